"""Jobs that are made slow on purpose, in one way each: the first line of their explanation names it.

They are slow by sleeping, not by work, and judged by shares: so the machine's own pace counts for little.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.apollo_cli import Outcome, apollo
from support.coordinator_process import CoordinatorProcess
from support.s3_faults import Fault, FaultPlan, Rule
from support.s3_proxy import running_s3_proxy

WORKERS = 3
SLOW_GET = Rule(Fault.TRICKLE, frozenset({"GetObject"}), seconds=3)

pytestmark = pytest.mark.timeout(300)


class Site:
    """A coordinator with workers, whose S3 answers slowly."""

    def __init__(self, coordinator: CoordinatorProcess, directory: Path, bucket: str, s3: Any) -> None:
        self.coordinator, self.directory, self.bucket, self.s3 = coordinator, directory, bucket, s3

    def write(self, name: str, *lines: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def job(self, *options: object) -> str:
        """One that has succeeded."""
        output = self.directory / f"out-{len(list(self.directory.glob('out-*')))}"
        done = self.call("submit", "--wait", "--json", "--output", output, *options)
        assert done.status == 0, done
        return done.job["id"]

    def lines(self, job: str) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = self.call("explain", job, "--json").job["lines"]
        return lines

    def call(self, *arguments: object) -> Outcome:
        return apollo(*arguments, "--coordinator", self.coordinator.url)


@pytest.fixture(scope="module")
def site(s3_server, tmp_path_factory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    with running_s3_proxy(s3_server.endpoint_url, FaultPlan([SLOW_GET])) as proxy:
        settings = {**s3_server.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint_url}
        with CoordinatorProcess(directory / "up", settings, workers=WORKERS) as coordinator:
            site = Site(coordinator, directory, "slow", s3_server.client())
            warm = [
                site.write(f"warm/{number}", "x") for number in range(WORKERS)
            ]  # a worker's first attempt loads much
            site.job("--mapper", "shell:sleep 1; cat", "--reducers", "0", "--input", warm[0].parent)
            yield site


def test_too_few_workers(site):
    """Four tasks, one after the other."""
    given = site.write("four.txt", *(f"{number:07}" for number in range(4)))
    job = site.job(
        "--mapper", "shell:sleep 1.5; cat", "--reducer", "builtin:count",
        "--input", given, "--split-size", 8, "--workers", 1,
    )  # fmt: skip
    first = site.lines(job)[0]
    assert (first["finding"], first["setting"]) == ("max-workers", "maxWorkers")
    assert first["fix"] == "Raise maxWorkers from 1 to 4."
    assert site.call("explain", job).stdout.splitlines()[0].endswith("Raise --workers from 1 to 4.")


def test_a_slow_program(site):
    given = site.write("words.txt", *("word" for _ in range(120)))
    job = site.job("--mapper", "shell:while read -r w; do sleep 0.03; echo $w; done", "--reducers", 0, "--input", given)
    first = site.lines(job)[0]
    assert (first["finding"], first["figures"]["phase"]) == ("program", "mapper")
    assert first["figures"]["programShare"] > 0.5
    assert 1 < first["figures"]["recordsPerSecond"] < 34


def test_a_skewed_key(site):
    """One that a reducer has 150 values of, and 12 that it has one of. What is told outlives the coordinator."""
    given = site.write("skewed.txt", *("hot" for _ in range(150)), *(f"key{number}" for number in range(12)))
    job = site.job(
        "--mapper", "builtin:identity", "--reducer", "shell:while read -r w; do sleep 0.03; done; echo done",
        "--input", given, "--reducers", WORKERS,
    )  # fmt: skip
    lines = site.lines(job)
    assert (lines[0]["finding"], lines[0]["setting"]) == ("skew", "combinerName")
    assert "The key 'hot' has 150 of its" in lines[0]["text"]
    assert lines[0]["figures"]["bytes"] > 2 * lines[0]["figures"]["medianBytes"]
    site.coordinator.kill()
    site.coordinator.start()
    assert site.lines(job) == lines


def test_tiny_splits(site):
    for number in range(60):
        given = site.write(f"tiny/{number}.txt", "to", "be").parent
    job = site.job("--mapper", "shell:cat", "--reducer", "builtin:count", "--input", given)
    first = site.lines(job)[0]
    assert (first["finding"], first["setting"]) == ("attempt-starts", "splitPolicy")
    assert first["fix"] == "Set splitPolicy to packed, for 1 split instead of 60."


def test_a_slow_s3(site):
    site.s3.create_bucket(Bucket=site.bucket)
    for number in range(WORKERS):
        site.s3.put_object(Bucket=site.bucket, Key=f"in/{number}.txt", Body=b"to\nbe\n" * 1000)
    job = site.job("--mapper", "shell:cat", "--reducer", "builtin:count", "--input", f"s3://{site.bucket}/in/")
    first = site.lines(job)[0]
    assert (first["finding"], first["figures"]["phase"]) == ("read", "mapper")
    assert 0 < first["figures"]["bytesPerSecond"] < 6000


def test_a_job_in_balance(site):
    """Every worker has a map and then a reduce of the same length."""
    for number in range(WORKERS):
        given = site.write(f"even/{number}.txt", *(f"{number}{line}" for line in range(100))).parent
    job = site.job(
        "--mapper", "shell:sleep 2; cat", "--reducer", "shell:sleep 2; cat", "--reducers", WORKERS, "--input", given,
    )  # fmt: skip
    first = site.lines(job)[0]
    assert first["finding"] == "balanced"
    assert "setting" not in first
