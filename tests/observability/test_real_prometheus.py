"""A real Prometheus watches real services while jobs run and faults are injected, one after another.

Every expression of every dashboard and rule returns data that is not zero all the time; each alert fires for its fault,
and ends when that is over; at no other time does one fire. Two servers watch: one has the rule files as they are, for
the dashboards; the other has the same with times FACTOR times shorter (sped_up.py), for the alerts.
build/observability.md keeps every expression with the values that it returned.
"""

import itertools
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from apollo_worker.shuffle.map_output import INDEX_FILE
from observability.fragile_services import WORKERS, FragileServices, may_mount
from observability.sources import PROMETHEUS, Expression, alerts, dashboard_expressions, recorded
from observability.sped_up import faster, sped_up
from observability.units import metrics
from support.apollo_cli import REPOSITORY, apollo
from support.coordinator_process import wait_for
from support.corpus import write_python_sources
from support.prometheus import Prometheus, Series, running_prometheus
from support.s3_faults import Fault, FaultPlan, Rule
from support.s3_proxy import running_s3_proxy
from support.seaweedfs import S3Server
from support.services import Services

pytestmark = pytest.mark.timeout(1800)  # each wait below has a bound of its own

FACTOR = 20
SCRAPE_SECONDS = 2  # a loaded machine needs them to answer; it takes seven in a row without an answer to be down
HEALTHY_JOBS = 8
FIRES_WITHIN_SECONDS = 180
ENDS_WITHIN_SECONDS = 240  # 30 minutes, FACTOR times shorter, have to pass by
TABLE = REPOSITORY / "build/observability.md"

MAY_BE_ZERO = {
    # Panel -> why nothing in this test makes it more.
    "Apollo / Coordinator / Appends that failed / failed": "appends wait, they do not fail",
    "Apollo / Coordinator / Appends that failed / stalled": "appends wait, they do not fail",
    "Apollo / Overview / Waiting in the queue / oldest": "a job starts as soon as it is there",
    "Apollo / Overview / Jobs that wait for something / troubled": "nothing is full to the last byte",
    "Apollo / Workers / Busy, idle, leaving / draining": "no worker is told to end",
    "Apollo / Workers / Cut off / cut off": "the coordinator goes on to hear its workers",
}

SPLIT_WORDS = r"tr -s '[:space:]' '\n'"
WORDS = {"mapperName": f"shell:{SPLIT_WORDS}", "reducerName": "builtin:count", "nReducers": 2}
INPUT_BYTES, SPLIT_BYTES = 256 << 10, 64 << 10


@dataclass(frozen=True)
class Window:
    """From a fault until all that it may have set off is quiet again, in Unix time."""

    began: float
    ended: float
    alerts: frozenset[str]


@dataclass
class Watched:
    services: FragileServices
    as_they_are: Prometheus
    sped_up: Prometheus
    store: FaultPlan
    bucket: str
    began_at: float  # all services were seen by then
    injected_at: dict[str, float] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    _outputs: int = 0

    def job(self, **body: Any) -> dict[str, Any]:
        """A job's body, with an output of its own."""
        self._outputs += 1
        places = {"inputPath": f"s3://{self.bucket}/in.txt", "outputPath": f"s3://{self.bucket}/out-{self._outputs}"}
        return {**WORDS, **places, "splitSize": SPLIT_BYTES, **body}

    @contextmanager
    def fault(self, alert: str, *, beside: Collection[str] = ()) -> Iterator[None]:
        """What happens within makes `alert` fire, and may make those `beside`. In the end all of them are quiet."""
        began = self.injected_at[alert] = time.time()
        yield
        alerts = frozenset({alert, *beside})
        wait_for(lambda: not alerts & self.sped_up.firing(), f"the end of {alerts}", ENDS_WITHIN_SECONDS)
        self.windows.append(Window(began, time.time(), alerts))

    def until_it_fires(self, alert: str, *, act: Callable[[], object]) -> None:
        """Do it again and again until this alert fires."""
        deadline = time.monotonic() + FIRES_WITHIN_SECONDS
        while alert not in self.sped_up.firing():
            assert time.monotonic() < deadline, f"{alert} does not fire; {self.sped_up.firing()} do"
            act()

    def fired_at(self) -> dict[str, float]:
        """When each alert fired for the first time, by Prometheus' own record."""
        window = f"[{int(time.time() - self.began_at)}s:1s]"
        asked = f'min by (alertname) (min_over_time(timestamp(ALERTS{{alertstate="firing"}}){window}))'
        return {series.labels["alertname"]: series.value for series in self.sped_up.query(asked)}

    def uncalled_for(self) -> set[tuple[str, float]]:
        """Alerts that fired while none of their faults was about, with the seconds since the beginning."""
        edges = sorted(
            {self.began_at, time.time(), *(edge for each in self.windows for edge in (each.began, each.ended))}
        )
        found = set()
        for began, ended in itertools.pairwise(edges):
            expected = {name for each in self.windows if each.began <= began < each.ended for name in each.alerts}
            found |= {(name, began - self.began_at) for name in self._fired_between(began, ended) - expected}
        return found

    def _fired_between(self, began: float, ended: float) -> set[str]:
        """Seconds that lie within as a whole."""
        seconds = int(ended - began)
        if not seconds:
            return set()
        asked = f'count by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{seconds}s]))'
        return {series.labels["alertname"] for series in self.sped_up.query(asked, at=ended)}


@pytest.fixture
def watched(s3_server: S3Server, s3_bucket: str, tmp_path: Path) -> Iterator[Watched]:
    if not may_mount():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("mounts a small volume to fill: needs root")
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


def test_dashboards_return_data_and_alerts_fire_for_their_faults_alone(watched: Watched, tmp_path: Path) -> None:
    all_is_well(watched)
    what_no_alert_tells_of(watched, tmp_path)
    jobs_fail(watched)
    workers_come_and_go(watched)
    with a_job_hangs(watched):
        the_volume_fills(watched)
        the_store_refuses(watched)
    the_event_loop_is_held_up(watched)
    the_journal_is_slow(watched)
    a_worker_is_bad(watched)
    rows = list(evaluated(watched))
    the_coordinator_is_down(watched)
    rows += fired(watched)
    write_table(rows)
    assert not [row for row in rows if math.isnan(row.most)]
    assert {row.expression.where for row in rows if not row.most} <= MAY_BE_ZERO.keys()
    assert MAY_BE_ZERO.keys() <= {row.expression.where for row in rows}
    asked = {name for row in rows for name in metrics(row.expression.over("5m"))}
    assert not asked - watched.as_they_are.names(), "nobody serves these; `or vector(0)` would hide it"
    assert not [rule for rule in watched.as_they_are.rules() if rule["health"] != "ok"]
    assert watched.injected_at.keys() == alerts().keys()
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
    wait_for(lambda: services.request("GET", f"/jobs/{job}")["progress"]["maps"]["completed"], "the first map")
    (index,) = (services.volume / "intermediate" / job).rglob(INDEX_FILE)
    os.truncate(index, 0)
    gate.touch()
    assert services.ended(job) == "succeeded"


def jobs_fail(watched: Watched) -> None:
    failing = {"mapperName": "shell:cat >/dev/null; exit 3"}
    with watched.fault("ApolloJobsFailing"):
        watched.until_it_fires("ApolloJobsFailing", act=lambda: watched.services.run(**watched.job(**failing)))


def workers_come_and_go(watched: Watched) -> None:
    """While they work: streams break, and the job gets nowhere."""
    job = watched.services.submit(**watched.job(mapperName="shell:sleep 600"))
    with watched.fault("ApolloWorkersFlapping", beside=["ApolloNoProgress"]):
        watched.until_it_fires("ApolloWorkersFlapping", act=watched.services.replace_workers)
        watched.services.stop(job)


@contextmanager
def a_job_hangs(watched: Watched) -> Iterator[None]:
    """On one worker. Other faults are injected while the alert waits."""
    with watched.fault("ApolloNoProgress"):
        hangs = watched.job(mapperName="shell:sleep 600", splitSize=INPUT_BYTES, speculation=False)
        job = watched.services.submit(**hangs)
        yield
        watched.until_it_fires("ApolloNoProgress", act=a_moment)
        watched.services.stop(job)


def the_volume_fills(watched: Watched) -> None:
    with watched.fault("ApolloVolumeNearlyFull"), watched.services.nearly_full_volume():
        watched.until_it_fires("ApolloVolumeNearlyFull", act=a_moment)


def the_store_refuses(watched: Watched) -> None:
    """What workers read: jobs fail of it, too."""
    with watched.fault("ApolloS3Errors", beside=["ApolloJobsFailing"]):
        watched.store.replace([Rule(Fault.FORBIDDEN, frozenset({"GetObject"}))])
        watched.until_it_fires("ApolloS3Errors", act=lambda: watched.services.run(**watched.job()))
        watched.store.replace([])


def the_event_loop_is_held_up(watched: Watched) -> None:
    """So long that a timer is over a second late, and so short that Prometheus gets answers in between."""

    def hold_up() -> None:
        watched.services.hold_up_coordinator(1.6)
        time.sleep(1)

    with watched.fault("ApolloEventLoopLag"):
        watched.until_it_fires("ApolloEventLoopLag", act=hold_up)


def the_journal_is_slow(watched: Watched) -> None:
    """While tasks begin and end. Appends wait, but not for so long that they fail."""

    def hold_up() -> None:
        watched.services.hold_up_journal(2)
        time.sleep(0.5)

    with watched.fault("ApolloJournalSlow"):
        job = watched.services.submit(**watched.job(mapperName="shell:sleep 0.3; cat", splitSize=2 << 10))
        watched.until_it_fires("ApolloJournalSlow", act=hold_up)
        watched.services.stop(job)


def a_worker_is_bad(watched: Watched) -> None:
    """Every program fails there and nowhere else: it is left alone."""
    bad = f"shell:case $HOME in {watched.services.volume}/worker-0/*) exit 3;; esac; sleep 0.1; cat"
    job = watched.job(mapperName=bad, splitSize=4 << 10, maxAttempts=4)
    assert watched.services.run(**job) == "succeeded"
    wait_for(lambda: watched.as_they_are.query("apollo_workers_quarantined_total > 0"), "its quarantine")


def the_coordinator_is_down(watched: Watched) -> None:
    with watched.fault("ApolloCoordinatorDown"):
        watched.services.kill("coordinator")
        watched.until_it_fires("ApolloCoordinatorDown", act=a_moment)
        watched.services.start_coordinator()


def a_moment() -> None:
    time.sleep(SCRAPE_SECONDS / 2)


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
    """Every alert's expression at the time at which it began to fire."""
    for name, at in watched.fired_at().items():
        expression = faster(alerts()[name]["expr"], FACTOR)
        where = f"alert {name}, {at - watched.injected_at[name]:.0f} s after its fault"
        found = watched.sped_up.query(expression, at=at)
        # What an alert found may well be a zero: `up == 0`.
        yield Row(Expression(where, expression), found, len(found) or math.nan)


def write_table(rows: list[Row]) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    heads = ["| where | expression | unit | series | values | most |", f"|{' --- |' * 6}"]
    TABLE.write_text("\n".join([*heads, *map(str, rows)]) + "\n")
