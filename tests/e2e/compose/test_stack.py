"""What `up` brings: four workers, metrics of all, boards where Grafana looks for them, and few rights."""

import json
import re
import urllib.request

import pytest

from support.apollo_cli import REPOSITORY, apollo
from support.compose.project import GRAFANA_URL, PROMETHEUS_URL, URL, address_of, exceptions
from support.compose.waiting import eventually
from support.prometheus import Prometheus

pytestmark = pytest.mark.timeout(300)

ONCE = "apollo-s3-volume-1"  # it has done its work before the others start
BOARDS = REPOSITORY / "infra/grafana/dashboards"


async def test_workers_are_scaled_to_four(project, rest):
    async def workers() -> set[str]:
        return {worker["address"].partition(":")[0] async for worker in rest.workers()}

    there = {address_of(container) for container in project.containers("worker").values()}
    assert len(there) == 4
    await eventually(workers, there)


def test_the_command_line_takes_the_token_from_the_checkout(project):
    listed = apollo("--coordinator", URL, "jobs", "--json", cwd=project.checkout)
    assert listed.status == 0, listed
    stranger = apollo("--coordinator", URL, "jobs", cwd=project.checkout / "docs")
    assert (stranger.status, "Set APOLLO_TOKEN" in stranger.stderr) == (1, True)


async def test_prometheus_scrapes_the_coordinator_and_every_worker(project):
    prometheus = Prometheus(PROMETHEUS_URL)

    async def scraped() -> dict[str, int]:
        healthy = [each["labels"]["job"] for each in prometheus.targets() if each["health"] == "up"]
        return {job: healthy.count(job) for job in healthy}

    await eventually(scraped, {"apollo-coordinator": 1, "apollo-worker": 4})
    rules = prometheus.rules()
    assert rules
    assert {rule["name"] for rule in rules if rule["health"] == "err"} == set()


@pytest.mark.usefixtures("project")
def test_grafana_finds_its_boards_and_where_to_ask():
    def read(path: str) -> str:
        with urllib.request.urlopen(f"{GRAFANA_URL}/{path}") as answer:
            return answer.read().decode()

    boards = sorted(BOARDS.glob("*.json"))
    assert boards
    for board in boards:
        assert json.loads(read(f"dashboards/{board.name}")) == json.loads(board.read_text())
    assert "url: http://prometheus:9090" in read("provisioning/datasources/prometheus.yml")
    assert "path: /etc/grafana/dashboards" in read("provisioning/dashboards/apollo.yml")


def test_no_container_may_more_than_it_needs(project):
    containers = project.containers()
    hosts = {name: each["HostConfig"] for name, each in containers.items()}
    assert len(hosts) == 9
    assert exceptions(hosts, lambda host: host["ReadonlyRootfs"]) == set()
    assert exceptions(hosts, lambda host: host["CapDrop"] == ["ALL"]) == set()
    assert exceptions(hosts, lambda host: not host["CapAdd"]) == {ONCE}
    assert exceptions(hosts, lambda host: "no-new-privileges:true" in host["SecurityOpt"]) == set()
    assert exceptions(hosts, lambda host: host["Memory"] > 0 and host["PidsLimit"] > 0) == set()
    users = {name: each["Config"]["User"].partition(":")[0] for name, each in containers.items()}
    assert {name for name, user in users.items() if user in ("", "0", "root")} == {ONCE}
    published = [
        binding["HostIp"]
        for host in hosts.values()
        for bindings in (host["PortBindings"] or {}).values()
        for binding in bindings
    ]
    assert published
    assert set(published) == {"127.0.0.1"}


async def test_programs_run_in_the_sandbox(rest):
    described = [worker["sandbox"] async for worker in rest.workers()]
    assert len(described) == 4
    assert {each.partition(" ")[0] for each in described} == {"landlock"}, described


def test_every_image_has_a_version(project):
    names = set(project.compose("config", "--images").split())
    assert len(names) == 4
    assert {name for name in names if not re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?", name)} == set()


def test_no_secret_stands_in_the_files(project, tmp_path):
    """And without one of them nothing starts."""
    composed, example = ((REPOSITORY / name).read_text() for name in ("docker-compose.yml", ".env.example"))
    names = [name for name in project.secrets if not name.endswith("_KEY_ID")]
    assert len(names) == 4
    for name in names:
        assert len(project.secrets[name]) >= 32
        assert f"\n{name}=\n" in example
        others = [f"{other}={value}" for other, value in project.secrets.items() if other != name]
        (tmp_path / name).write_text("\n".join(others))
        with pytest.raises(AssertionError, match=f"required variable {name} is missing a value: make .env"):
            project.compose(f"--env-file={tmp_path / name}", "config")
        assert project.secrets[name] not in composed + example
