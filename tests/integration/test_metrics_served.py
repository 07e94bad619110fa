"""What a running coordinator and running workers serve is what docs/metrics.md says, family by family, both ways."""

import itertools
import re
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from support.apollo_cli import REPOSITORY, apollo
from support.coordinator_process import wait_for
from support.services import ENDS, Services

LINES = 5_000
WORDS = 97
FEW_JOBS, MANY_JOBS = 10, 1_000
CALLERS = 4
SMALL_SPLIT_BYTES = 16 << 10
OUTPUTS = itertools.count()
PATIENCE_SECONDS, LONG_PATIENCE_SECONDS = 60, 600

ROW = re.compile(r"^\| `(?P<name>[a-z0-9_]+)` \| (?P<type>\w+) \| (?P<labels>.*) \| (?P<meaning>.*) \|$")
LABEL = re.compile(r"`(?P<name>\w+)`: (?P<values>.*)")
VALUES = r"(?:`[^`]+`(?:, )?)+"
LITERAL_VALUES = re.compile(rf"(?P<all>{VALUES})(?P<coming> \(\*as they come\*(?:, but for (?P<first>{VALUES}))?\))?")


@dataclass(frozen=True)
class Row:
    """A family as the page tells of it. `labels` and `coming` have no values where the page describes them in words."""

    type: str
    meaning: str
    labels: dict[str, frozenset[str]]
    coming: dict[str, frozenset[str]]  # those that there is a series of from when they are first met


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("metrics")
    lines = (f"word{number % WORDS} again\n" for number in range(LINES))
    (directory / "input.txt").write_text("".join(lines))
    return directory


@pytest.fixture(scope="module")
def services(directory):
    with Services(directory / "services", {"APOLLO_FILE_ROOTS": str(directory)}, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def job(services, directory):
    return run_job(services, directory, "out")


def run_job(services: Services, directory: Path, output: str) -> str:
    """The id of a job that counts words, once it has succeeded."""
    done = apollo(
        *("--coordinator", services.url, "submit", "--wait", "--json"),
        *("--mapper", "shell:tr ' ' '\\n'", "--reducer", "builtin:count", "--reducers", 2, "--no-speculation"),
        *("--input", f"file://{directory}/input.txt", "--output", f"file://{directory}/{output}"),
    )
    assert done.status == 0, done.stderr
    return str(done.job["id"])


def documented(*sections: str) -> dict[str, Row]:
    rows, section = {}, ""
    for line in (REPOSITORY / "docs/metrics.md").read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        row = ROW.match(line)
        if row is not None and section in sections:
            found = [LABEL.fullmatch(cell) for cell in row["labels"].split("<br>") if cell]
            values = {label["name"]: LITERAL_VALUES.fullmatch(label["values"]) for label in found if label is not None}
            labels = {name: _values(literal["all"] if literal else None) for name, literal in values.items()}
            coming = {
                name: labels[name] - _values(literal["first"]) if literal and literal["coming"] else frozenset()
                for name, literal in values.items()
            }
            rows[row["name"]] = Row(row["type"], row["meaning"], labels, coming)
    return rows


def _values(listed: str | None) -> frozenset[str]:
    return frozenset(re.findall(r"`([^`]+)`", listed or ""))


def scrape(url: str) -> dict[str, Metric]:
    """By name as Prometheus shows it."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        return parsed(answer.read().decode())


def parsed(text: str) -> dict[str, Metric]:
    families = text_string_to_metric_families(text)
    return {f"{family.name}_total" if family.type == "counter" else family.name: family for family in families}


def check(served: dict[str, Metric], rows: dict[str, Row]) -> None:
    assert {name: (family.type, family.documentation) for name, family in served.items()} == {
        name: (row.type, row.meaning) for name, row in rows.items()
    }
    for name, family in served.items():
        for sample in family.samples:
            labels = {label: value for label, value in sample.labels.items() if label != "le"}
            assert labels.keys() == rows[name].labels.keys(), sample
            for label, value in labels.items():
                assert value in (rows[name].labels[label] or {value}), sample


def total(served: dict[str, Metric], name: str) -> float:
    return sum(sample.value for sample in served[name].samples)


def lines_of(directory: Path, *words: str) -> int:
    """How many lines coreutils make of the input."""
    script = f"cat {directory}/input.txt | {' | '.join(words)} | wc -l" if words else f"wc -l < {directory}/input.txt"
    return int(subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout)


def test_the_coordinator_serves_what_the_page_says(services, job):
    served = wait_for_volumes(services.url)
    check(served, documented("The coordinator", "Both"))
    assert {sample.labels["volume"] for sample in served["apollo_volume_free_bytes"].samples} == {
        "data",
        "intermediate",
    }


def test_workers_serve_what_the_page_says(services, job):
    for url in services.worker_urls:
        check(wait_for_volumes(url), documented("Workers", "Both"))


def test_a_worker_without_a_shared_volume_does_not_tell_of_the_disk_at_its_place(tmp_path):
    with Services(tmp_path / "services", {"APOLLO_SHARED_VOLUME": "false"}, workers=1) as running:
        (url,) = running.worker_urls
        served = wait_for(lambda: running_for_a_while(url), "a worker that has looked around")
    assert {sample.labels["volume"] for sample in served["apollo_volume_free_bytes"].samples} == {"work"}


def running_for_a_while(url: str) -> dict[str, Metric] | None:
    """What it serves once its event loop was timed, which begins after the volumes were asked."""
    try:
        served = scrape(url)
    except OSError:
        return None
    lag = [each.value for each in served["apollo_event_loop_lag_seconds"].samples if each.name.endswith("_count")]
    return served if lag[0] > 1 else None


def wait_for_volumes(url: str) -> dict[str, Metric]:
    """They are looked at beside everything else, and once in a while."""
    return wait_for(
        lambda: served if len((served := scrape(url))["apollo_volume_free_bytes"].samples) == 2 else None,
        "both volumes",
    )


def test_the_coordinator_and_its_workers_have_counted_the_same_work(services, job, directory):
    records, words = lines_of(directory), lines_of(directory, "tr ' ' '\\n'")
    distinct = lines_of(directory, "tr ' ' '\\n'", "sort -u")
    coordinator = scrape(services.url)
    workers = [scrape(url) for url in services.worker_urls]
    for name, expected in (
        ("input_records", records),
        ("input_bytes", (directory / "input.txt").stat().st_size),
        ("map_output_records", words),
        ("reduce_input_groups", distinct),
        ("output_records", distinct),
    ):
        assert total(coordinator, f"apollo_{name}_total") == expected, name
        assert sum(total(worker, f"apollo_worker_{name}_total") for worker in workers) == expected, name
    read_bytes = sum(total(worker, "apollo_worker_shuffle_read_bytes_total") for worker in workers)
    assert read_bytes == total(coordinator, "apollo_shuffle_bytes_total") > 0
    outcomes = {
        tuple(sorted(sample.labels.items())): sample.value
        for sample in coordinator["apollo_attempts_total"].samples
        if sample.value
    }
    assert outcomes == {
        (("outcome", "succeeded"), ("phase", "map")): 1,
        (("outcome", "succeeded"), ("phase", "reduce")): 2,
    }
    assert sum(total(worker, "apollo_worker_attempts_total") for worker in workers) == 3
    assert sum(total(worker, "apollo_worker_spills_total") for worker in workers) >= 1


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ('apollo_grpc_calls_total{method="describe",result="ok"}', "worker_unreachable", True),
        ('apollo_grpc_calls_total{method="describe",result="ok"}', "another result", False),
        ('apollo_s3_requests_total{operation="get_object",result="cancelled"}', "permanent", True),
        ('apollo_s3_requests_total{operation="get_object",result="ok"}', "permanent", False),
        ('apollo_attempts_total{phase="map",outcome="lost"}', "failed", False),
    ],
)
def test_what_is_documented_to_come_as_it_comes_is_told_from_growth(first, second, alike):
    rows = documented("The coordinator", "Both")
    type_line = f"# TYPE {first.partition('{')[0]} counter\n"
    labels, _, _ = first.rpartition('="')
    series = [series_of(parsed(f"{type_line}{each} 1\n"), rows) for each in (first, f'{labels}="{second}"}}')]
    assert (series[0] == series[1]) is alike


@pytest.mark.timeout(LONG_PATIENCE_SECONDS + 4 * PATIENCE_SECONDS)
def test_a_thousand_jobs_make_no_more_series_than_ten(services, job, directory):
    """Of the coordinator and of workers, once each of these has had an attempt of either phase."""
    pages = {services.url: documented("The coordinator", "Both")}
    pages |= {url: documented("Workers", "Both") for url in services.worker_urls}
    few = [run_small_job(services, directory) for _ in range(FEW_JOBS)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all(phases_of(url) == {"map", "reduce"} for url in services.worker_urls):
        assert time.monotonic() < deadline, "a worker gets no attempts"
        few.append(run_small_job(services, directory))
    for url in pages:
        wait_for_volumes(url)
    before = {url: series_of(scrape(url), rows) for url, rows in pages.items()}
    many = run_tiny_jobs(services, directory, MANY_JOBS)
    served = {url: scrape(url) for url in pages}
    assert {url: series_of(served[url], rows) for url, rows in pages.items()} == before
    for url, rows in pages.items():
        check(served[url], rows)
        labels = {value for family in served[url].values() for each in family.samples for value in each.labels.values()}
        assert not [value for value in labels if any(one in value for one in (job, *few, *many))]


def run_tiny_jobs(services: Services, directory: Path, count: int) -> list[str]:
    """Their ids. What a job is to the coordinator, with next to no work."""
    (directory / "tiny.txt").write_text("to be\nor not\n")
    body = {"mapperName": "builtin:identity", "reducerName": "builtin:count", "nReducers": 1, "speculation": False}

    def submit(number: int) -> str:
        place = {"inputPath": f"file://{directory}/tiny.txt", "outputPath": f"file://{directory}/tiny-{number}"}
        return services.submit(**body, **place)

    def ended() -> dict[str, float]:
        samples = scrape(services.url)["apollo_jobs_ended_total"].samples
        return {sample.labels["status"]: sample.value for sample in samples}

    earlier = ended()
    with ThreadPoolExecutor(CALLERS) as callers:
        jobs = list(callers.map(submit, range(count)))
    # Not by scrapes alone: each costs the coordinator as much as one of these jobs.
    wait_for(lambda: services.status(jobs[-1]) in ENDS, "the end of the last", LONG_PATIENCE_SECONDS)
    wait_for(lambda: sum(ended().values()) == sum(earlier.values()) + count, "the ends of all")
    assert ended() == earlier | {"succeeded": earlier["succeeded"] + count}
    return jobs


def run_small_job(services: Services, directory: Path) -> str:
    """Its id. Maps and reduces enough for both workers."""
    job = services.submit(
        inputPath=f"file://{directory}/input.txt",
        outputPath=f"file://{directory}/small-{next(OUTPUTS)}",
        mapperName="shell:cat",
        reducerName="builtin:count",
        nReducers=2,
        splitSize=SMALL_SPLIT_BYTES,
        speculation=False,
    )
    assert services.ended(job) == "succeeded"
    return job


def phases_of(url: str) -> set[str]:
    """Of the attempts that a worker has had."""
    return {sample.labels["phase"] for sample in scrape(url)["apollo_worker_attempts_total"].samples if sample.value}


def series_of(served: dict[str, Metric], rows: dict[str, Row]) -> set[tuple[str, ...]]:
    """By name and label values. Those that a series comes with when they are first met stand for each other: whether a
    call to a worker ever takes too long is the machine's affair.
    """
    return {
        (
            sample.name,
            *(
                f"{label}=" + ("as it comes" if value in rows[name].coming.get(label, ()) else value)
                for label, value in sorted(sample.labels.items())
            ),
        )
        for name, family in served.items()
        for sample in family.samples
    }
