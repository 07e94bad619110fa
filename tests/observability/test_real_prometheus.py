"""A real Prometheus watches real services while jobs run and faults are injected, one after another.

Every expression of every dashboard and rule returns data that is not zero all the time; each alert fires for its fault,
and ends when that is over; at no other time does one begin to. While an alert ends, the next fault is there already.
build/observability.md keeps every expression with the values that it returned.
"""

import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from apollo_common.assignment import INDEX_FILE
from observability.fragile_services import WORKERS, may_mount
from observability.sources import Expression, alerts, dashboard_expressions, recorded
from observability.sped_up import faster
from observability.units import metrics
from observability.watched import FACTOR, INPUT_BYTES, SCRAPE_SECONDS, SPLIT_WORDS, STARTS, Watched, watching
from support.apollo_cli import REPOSITORY, apollo
from support.coordinator_process import wait_for
from support.corpus import write_python_sources
from support.prometheus import Series
from support.s3_faults import Fault, FaultPlan, Rule
from support.s3_proxy import running_s3_proxy
from support.seaweedfs import S3Server

pytestmark = pytest.mark.timeout(1800)  # each wait below has a bound of its own

HEALTHY_JOBS = 4
TABLE = REPOSITORY / "build/observability.md"

MAY_BE_ZERO = {
    # Panel -> why nothing in this test makes it more.
    "Apollo / Overview / Waiting in the queue / oldest": "a job starts as soon as it is there",
    "Apollo / Overview / Jobs that wait for something / troubled": "workers are back before a job waits for long",
    "Apollo / Workers / Busy, idle, leaving / draining": "no worker is told to end",
    "Apollo / Workers / Cut off / cut off": "the coordinator goes on to hear its workers",
}


@pytest.fixture
def watched(s3_server: S3Server, s3_bucket: str, tmp_path: Path) -> Iterator[Watched]:
    if not may_mount():
        pytest.skip("mounts a small volume to fill: needs root")
    text = write_python_sources(tmp_path / "in.txt", INPUT_BYTES)
    s3_server.client().put_object(Bucket=s3_bucket, Key="in.txt", Body=text.read_bytes())
    plan = FaultPlan()
    with running_s3_proxy(s3_server.endpoint_url, plan) as proxy:
        settings = s3_server.environment | {"AWS_ENDPOINT_URL_S3": proxy.endpoint_url}
        settings |= {"APOLLO_STORAGE_ENDPOINTS": proxy.endpoint_url}
        with watching(tmp_path, settings, plan, s3_bucket) as watched:
            yield watched


def test_dashboards_return_data_and_alerts_fire_for_their_faults_alone(watched: Watched, tmp_path: Path) -> None:
    all_is_well(watched)
    what_no_alert_tells_of(watched, tmp_path)
    jobs_fail(watched)
    workers_come_and_go(watched)
    with a_job_hangs(watched), the_volume_fills(watched):
        the_store_refuses(watched)
        the_event_loop_is_held_up(watched)
    the_journal_is_slow(watched)
    a_worker_is_bad(watched)
    rows = list(evaluated(watched))
    the_coordinator_is_down(watched)
    watched.until_all_is_quiet()
    rows += fired(watched)
    write_table(rows)
    assert not [row for row in rows if math.isnan(row.most)]
    assert {row.expression.where for row in rows if not row.most} <= MAY_BE_ZERO.keys()
    assert MAY_BE_ZERO.keys() <= {row.expression.where for row in rows}
    asked = {name for row in rows for name in metrics(row.expression.over("5m"))}
    assert not asked - watched.as_they_are.names(), "nobody serves these; `or vector(0)` would hide it"
    assert not [rule for rule in watched.as_they_are.rules() if rule["health"] != "ok"]
    assert {firing.alert for firing in watched.firings()} == alerts().keys()
    assert not watched.uncalled_for()


def all_is_well(watched: Watched) -> None:
    """A few calls to the store go wrong, and are repeated; a body is cut, and read on."""
    get = frozenset({"GetObject"})
    watched.store.replace([Rule(Fault.INTERNAL_ERROR, get, times=2), Rule(Fault.CUT_ANSWER, get, times=2)])
    for _ in range(HEALTHY_JOBS):
        assert watched.services.run(**watched.job()) == "succeeded"
    seen = f'sum(apollo_jobs_ended_total{{status="succeeded"}}) >= {HEALTHY_JOBS}'
    wait_for(lambda: watched.sped_up.query(seen), "a scrape after the jobs")


def what_no_alert_tells_of(watched: Watched, directory: Path) -> None:
    """An artifact, a combiner, a straggler, a map output that is damaged, and somebody who may not call."""
    services = watched.services
    program = directory / "words.sh"
    program.write_text(f"#!/bin/sh\n{SPLIT_WORDS} | sed 's/$/\\t1/'\n")
    pushed = apollo("--coordinator", services.url, "artifacts", "push", program)
    assert pushed.status == 0, pushed.stderr
    counted = {"mapperName": program.name, "combinerName": "builtin:sum", "reducerName": "builtin:sum"}
    assert services.run(**watched.job(**counted)) == "succeeded"
    straggles = 'shell:[ "$APOLLO_PARTITION/${APOLLO_ATTEMPT##*-}" = 0/0 ] && sleep 600; ' + SPLIT_WORDS
    assert services.run(**watched.job(mapperName=straggles)) == "succeeded"
    damage_a_map_output(watched)
    stranger = urllib.request.Request(f"{services.url}/api/v1/jobs", headers={"Host": "elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(stranger, timeout=60)


def damage_a_map_output(watched: Watched) -> None:
    """Of a job whose last map still runs: what was done is found unreadable, and done again."""
    services = watched.services
    gate = services.directory / "gate"
    held = f"shell:[ $APOLLO_PARTITION = 0 ] || until [ -e {gate} ]; do sleep 0.2; done; {SPLIT_WORDS}"
    job = services.submit(**watched.job(mapperName=held, maxAttempts=4, speculation=False))
    wait_for(lambda: maps_completed(watched, job), "the first map")
    (index,) = (services.volume / "intermediate" / job).rglob(INDEX_FILE)
    os.truncate(index, 0)
    gate.touch()
    assert services.ended(job) == "succeeded"


def maps_completed(watched: Watched, job: str) -> int:
    completed: int = watched.services.request("GET", f"/jobs/{job}")["progress"]["maps"]["completed"]
    return completed


def jobs_fail(watched: Watched) -> None:
    failing = {"mapperName": "shell:cat >/dev/null; exit 3"}
    with watched.fault("ApolloJobsFailing"):
        watched.until_it_fires("ApolloJobsFailing", act=lambda: watched.services.run(**watched.job(**failing)))


def workers_come_and_go(watched: Watched) -> None:
    """All of them, while they work: their streams break."""
    job = watched.services.submit(**watched.job(mapperName="shell:sleep 600"))
    working = f'sum(apollo_grpc_streams{{state="open"}}) == {WORKERS}'
    wait_for(lambda: watched.as_they_are.query(working), "attempts on all workers")
    with watched.fault("ApolloWorkersFlapping", beside=STARTS):
        watched.services.replace_workers()
        watched.until_it_fires("ApolloWorkersFlapping")
    watched.services.stop(job)


@contextmanager
def a_job_hangs(watched: Watched) -> Iterator[None]:
    """On one worker. Other faults are injected while its alert waits, as it does longest."""
    hangs = watched.job(mapperName="shell:sleep 600", splitSize=INPUT_BYTES, speculation=False)
    with watched.fault("ApolloNoProgress"):
        job = watched.services.submit(**hangs)
        yield
        watched.until_it_fires("ApolloNoProgress")
    watched.services.stop(job)


@contextmanager
def the_volume_fills(watched: Watched) -> Iterator[None]:
    """Almost: there is room for what other faults need."""
    with watched.fault("ApolloVolumeNearlyFull"), watched.services.nearly_full_volume():
        yield
        watched.until_it_fires("ApolloVolumeNearlyFull")


def the_store_refuses(watched: Watched) -> None:
    """What workers read, with the one error of a store in trouble that the library does not repeat: many fail soon.
    The job's tasks are tried again until it is over.
    """
    with watched.fault("ApolloS3Errors"):
        watched.store.replace([Rule(Fault.SKEWED, frozenset({"GetObject"}))])
        job = watched.services.submit(**watched.job(splitSize=4 << 10))
        watched.until_it_fires("ApolloS3Errors")
    watched.store.replace([])
    wait_for(lambda: maps_completed(watched, job), "a map that could read at last")
    watched.services.stop(job)


def the_event_loop_is_held_up(watched: Watched) -> None:
    """So long that a timer is over a second late, and so short that Prometheus gets answers in between."""

    def hold_up() -> None:
        watched.services.hold_up_coordinator(1.6)
        time.sleep(1)

    with watched.fault("ApolloEventLoopLag"):
        watched.until_it_fires("ApolloEventLoopLag", act=hold_up)


def the_journal_is_slow(watched: Watched) -> None:
    """While tasks begin and end. First so long that an append fails, though not as long as a coordinator has to take no
    jobs to count as down; then appends wait.
    """

    def hold_up(seconds: float) -> None:
        watched.services.hold_up_journal(seconds)
        time.sleep(0.5)

    with watched.fault("ApolloJournalSlow"):
        job = watched.services.submit(**watched.job(mapperName="shell:sleep 0.3; cat", splitSize=2 << 10))
        wait_for(lambda: maps_completed(watched, job), "the first map: from here on there are facts all the time")
        hold_up(10)
        watched.until_it_fires("ApolloJournalSlow", act=lambda: hold_up(3.5))
    watched.services.stop(job)


def a_worker_is_bad(watched: Watched) -> None:
    """Every program fails there and nowhere else: it is left alone."""
    bad = f"shell:case $HOME in {watched.services.volume}/worker-0/*) exit 3;; esac; sleep 0.1; cat"
    job = watched.job(mapperName=bad, splitSize=4 << 10, maxAttempts=4)
    assert watched.services.run(**job) == "succeeded"
    wait_for(lambda: watched.as_they_are.query("apollo_workers_quarantined_total > 0"), "its quarantine")


def the_coordinator_is_down(watched: Watched) -> None:
    with watched.fault("ApolloCoordinatorDown", beside=STARTS):
        watched.services.kill("coordinator")
        watched.until_it_fires("ApolloCoordinatorDown")
        watched.services.start_coordinator()


@dataclass(frozen=True)
class Row:
    expression: Expression
    found: list[Series]
    most: float  # of any series at any time; NaN: there was none

    def __str__(self) -> str:
        numbers = sorted({f"{series.value:.4g}" for series in self.found if not math.isnan(series.value)}, key=float)
        shown = " ... ".join(dict.fromkeys((numbers[0], numbers[-1]))) if numbers else "nothing"
        text = self.expression.text.replace("|", "\\|")
        cells = (self.expression.where, f"`{text}`", self.expression.unit, len(self.found), shown, f"{self.most:.4g}")
        return f"| {' | '.join(map(str, cells))} |"


def evaluated(watched: Watched) -> Iterator[Row]:
    """What every panel asks for, and what every recording rule records: now, and at most since the test began."""
    expressions = [(each, each.over("5m")) for each in dashboard_expressions()]
    expressions += [(Expression(f"rule {name}", text), text) for name, text in recorded().items()]
    since = f"{int(time.time() - watched.began_at)}s:{SCRAPE_SECONDS}s"
    for expression, text in expressions:
        most = watched.as_they_are.query(f"max(max_over_time(({text})[{since}]))")
        yield Row(expression, watched.as_they_are.query(text), max((series.value for series in most), default=math.nan))


def fired(watched: Watched) -> Iterator[Row]:
    """Every alert's expression at the time at which it began to fire for its fault."""
    for firing in watched.firings():
        for fault in watched.faults:
            if fault.explains(firing) and fault.alert == firing.alert:
                after, for_seconds = firing.began - fault.began, firing.ended - firing.began
                where = f"alert {firing.alert}, {after:.0f} s after its fault, for {for_seconds:.0f} s"
                expression = faster(alerts()[firing.alert]["expr"], FACTOR)
                found = watched.sped_up.query(expression, at=firing.began)
                # What an alert found may well be a zero: `up == 0`.
                yield Row(Expression(where, expression), found, len(found) or math.nan)


def write_table(rows: list[Row]) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    heads = ["| where | expression | unit | series | values | most |", f"|{' --- |' * 6}"]
    TABLE.write_text("\n".join([*heads, *map(str, rows)]) + "\n")
