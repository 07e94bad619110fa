"""A real Prometheus watches real services while jobs run and faults are injected, one after another.

Every expression of every dashboard and rule returns data; each alert fires for its fault, and none before its own. Two
servers watch: one has the rule files as they are, for the dashboards; the other has the same with times thirty times
shorter (sped_up.py), for the alerts. build/observability.md keeps every expression with the values that it returned.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from observability.fragile_services import WORKERS, FragileServices, may_mount
from observability.sources import PROMETHEUS, Expression, alerts, dashboard_expressions, recorded
from observability.sped_up import faster, sped_up
from observability.units import metrics
from support.apollo_cli import REPOSITORY
from support.coordinator_process import wait_for
from support.corpus import write_python_sources
from support.prometheus import Prometheus, Series, running_prometheus
from support.s3_faults import Fault, FaultPlan, Rule
from support.s3_proxy import running_s3_proxy
from support.seaweedfs import S3Server
from support.services import Services

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(not may_mount(), reason="mounts a small volume to fill: needs root"),
]

FACTOR = 30
SCRAPE_SECONDS = 2  # a loaded machine needs them to answer
QUIET_SECONDS = 10
FIRES_WITHIN_SECONDS = 90
TABLE = REPOSITORY / "build/observability.md"

WORDS = {"mapperName": "shell:tr -s '[:space:]' '\\n'", "reducerName": "builtin:count", "nReducers": 2}
INPUT_BYTES, SPLIT_BYTES = 256 << 10, 64 << 10


@dataclass
class Watched:
    services: FragileServices
    as_they_are: Prometheus
    sped_up: Prometheus
    store: FaultPlan
    bucket: str
    began_at: float  # all services were seen by then
    injected_at: dict[str, float] = field(default_factory=dict)
    _outputs: int = 0

    def job(self, **body: Any) -> dict[str, Any]:
        """A job's body, with an output of its own."""
        self._outputs += 1
        places = {"inputPath": f"s3://{self.bucket}/in.txt", "outputPath": f"s3://{self.bucket}/out-{self._outputs}"}
        return {**WORDS, **places, "splitSize": SPLIT_BYTES, **body}

    def until_it_fires(self, *names: str, act: Callable[[], object]) -> None:
        """Do it again and again until all of these alerts have fired."""
        for name in names:
            self.injected_at.setdefault(name, time.time())
        deadline = time.monotonic() + FIRES_WITHIN_SECONDS
        while missing := set(names) - self.fired_at().keys():
            assert time.monotonic() < deadline, f"{missing} do not fire; {self.sped_up.firing()} do"
            act()

    def fired_at(self) -> dict[str, float]:
        """When each alert fired for the first time, by Prometheus' own record."""
        window = f"[{int(time.time() - self.began_at)}s:1s]"
        asked = f'min by (alertname) (min_over_time(timestamp(ALERTS{{alertstate="firing"}}){window}))'
        return {series.labels["alertname"]: series.value for series in self.sped_up.query(asked)}


@pytest.fixture
def watched(s3_server: S3Server, s3_bucket: str, tmp_path: Path) -> Iterator[Watched]:
    text = write_python_sources(tmp_path / "in.txt", INPUT_BYTES)
    s3_server.client().put_object(Bucket=s3_bucket, Key="in.txt", Body=text.read_bytes())
    plan = FaultPlan()
    with ExitStack() as stack:
        proxy = stack.enter_context(running_s3_proxy(s3_server.endpoint_url, plan))
        settings = s3_server.environment | {"AWS_ENDPOINT_URL_S3": proxy.endpoint_url}
        settings |= {"APOLLO_STORAGE_ENDPOINTS": proxy.endpoint_url}
        services = stack.enter_context(FragileServices(tmp_path / "apollo", settings))
        plain = stack.enter_context(prometheus(tmp_path / "as-they-are", services, lambda rules: rules))
        quick = stack.enter_context(prometheus(tmp_path / "sped-up", services, lambda rules: sped_up(rules, FACTOR)))
        wait_for(lambda: all_are_seen(plain) and all_are_seen(quick), "the first scrape of all services")
        yield Watched(services, plain, quick, plan, s3_bucket, time.time())


@contextmanager
def prometheus(directory: Path, services: Services, transform: Callable[[str], str]) -> Iterator[Prometheus]:
    """As infra/prometheus/prometheus.yml says, at these services' addresses and at short intervals."""
    (directory / "rules").mkdir(parents=True)
    for file in (PROMETHEUS / "rules").glob("*.yml"):
        (directory / "rules" / file.name).write_text(transform(file.read_text()))
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    often = f"{SCRAPE_SECONDS}s"
    configuration["global"] = {"scrape_interval": often, "scrape_timeout": often, "evaluation_interval": "1s"}
    places = {"apollo-coordinator": [services.url], "apollo-worker": services.worker_urls}
    for job in configuration["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [url.removeprefix("http://") for url in places[job["job_name"]]]}]
    with running_prometheus(directory, configuration) as server:
        yield server


def all_are_seen(server: Prometheus) -> bool:
    """A Prometheus that has just started misses what it has not scraped yet."""
    health = [target["health"] for target in server.targets()]
    return len(health) == 1 + WORKERS and set(health) == {"up"} and not server.firing()


def test_dashboards_return_data_and_alerts_fire_for_their_faults_alone(watched: Watched) -> None:
    all_is_well(watched)
    jobs_fail(watched)
    workers_come_and_go(watched)
    with a_job_hangs(watched):
        the_volume_fills(watched)
        the_store_refuses(watched)
    the_event_loop_is_held_up(watched)
    the_journal_is_slow(watched)
    rows = list(evaluated(watched.as_they_are))
    the_coordinator_is_down(watched)
    rows += fired(watched)
    write_table(rows)
    assert not [row for row in rows if not row.has_data]
    asked = {name for row in rows for name in metrics(row.expression.over("5m"))}
    assert not asked - watched.as_they_are.names(), "nobody serves these; `or vector(0)` would hide it"
    assert not [rule for rule in watched.as_they_are.rules() if rule["health"] != "ok"]
    assert watched.injected_at.keys() == alerts().keys()
    early = {name for name, at in watched.fired_at().items() if at < watched.injected_at[name]}
    assert not early, "these fired before their fault"


def all_is_well(watched: Watched) -> None:
    """A few calls to the store go wrong, and are repeated."""
    watched.store.replace([Rule(Fault.INTERNAL_ERROR, frozenset({"GetObject"}), times=2)])
    end = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < end:
        assert watched.services.run(**watched.job()) == "succeeded"
    assert not watched.sped_up.firing()


def jobs_fail(watched: Watched) -> None:
    failing = {"mapperName": "shell:cat >/dev/null; exit 3"}
    watched.until_it_fires("ApolloJobsFailing", act=lambda: watched.services.run(**watched.job(**failing)))


def workers_come_and_go(watched: Watched) -> None:
    watched.until_it_fires("ApolloWorkersFlapping", act=watched.services.replace_workers)


@contextmanager
def a_job_hangs(watched: Watched) -> Iterator[None]:
    """On one worker. Other faults are injected while the alert waits."""
    watched.injected_at["ApolloNoProgress"] = time.time()
    job = watched.services.submit(**watched.job(mapperName="shell:sleep 600", splitSize=INPUT_BYTES))
    yield
    watched.until_it_fires("ApolloNoProgress", act=a_moment)
    watched.services.stop(job)


def the_volume_fills(watched: Watched) -> None:
    with watched.services.nearly_full_volume():
        watched.until_it_fires("ApolloVolumeNearlyFull", act=a_moment)


def the_store_refuses(watched: Watched) -> None:
    """What workers read."""
    watched.store.replace([Rule(Fault.FORBIDDEN, frozenset({"GetObject"}))])
    watched.until_it_fires("ApolloS3Errors", act=lambda: watched.services.run(**watched.job()))
    watched.store.replace([])


def the_event_loop_is_held_up(watched: Watched) -> None:
    """So long that a timer is over a second late, and so short that Prometheus gets answers in between."""

    def hold_up() -> None:
        watched.services.hold_up_coordinator(1.6)
        time.sleep(1)

    watched.until_it_fires("ApolloEventLoopLag", act=hold_up)


def the_journal_is_slow(watched: Watched) -> None:
    """While tasks begin and end. Appends wait, but not for so long that they fail."""

    def hold_up() -> None:
        watched.services.hold_up_journal(2)
        time.sleep(0.5)

    job = watched.services.submit(**watched.job(mapperName="shell:sleep 0.3; cat", splitSize=2 << 10))
    watched.until_it_fires("ApolloJournalSlow", act=hold_up)
    watched.services.stop(job)


def the_coordinator_is_down(watched: Watched) -> None:
    watched.services.kill("coordinator")
    watched.until_it_fires("ApolloCoordinatorDown", act=a_moment)


def a_moment() -> None:
    time.sleep(SCRAPE_SECONDS / 2)


@dataclass(frozen=True)
class Row:
    expression: Expression
    found: list[Series]

    @property
    def has_data(self) -> bool:
        return any(not math.isnan(series.value) for series in self.found)

    def __str__(self) -> str:
        numbers = sorted({f"{series.value:.4g}" for series in self.found if not math.isnan(series.value)}, key=float)
        shown = " ... ".join(dict.fromkeys((numbers[0], numbers[-1]))) if numbers else "nothing"
        text = self.expression.text.replace("|", "\\|")
        return f"| {self.expression.where} | `{text}` | {self.expression.unit} | {len(self.found)} | {shown} |"


def evaluated(server: Prometheus) -> Iterator[Row]:
    """What every panel asks for, and what every recording rule records, over the minutes of this test."""
    for expression in dashboard_expressions():
        yield Row(expression, server.query(expression.over("5m")))
    for name, text in recorded().items():
        yield Row(Expression(f"rule {name}", text), server.query(text))


def fired(watched: Watched) -> Iterator[Row]:
    """Every alert's expression at the time at which it began to fire."""
    for name, at in watched.fired_at().items():
        expression = faster(alerts()[name]["expr"], FACTOR)
        where = f"alert {name}, {at - watched.injected_at[name]:.0f} s after its fault"
        yield Row(Expression(where, expression), watched.sped_up.query(expression, at=at))


def write_table(rows: list[Row]) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    heads = ["| where | expression | unit | series | values |", "| --- | --- | --- | --- | --- |"]
    TABLE.write_text("\n".join([*heads, *map(str, rows)]) + "\n")
