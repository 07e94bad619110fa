"""Services with two Prometheus servers that watch them, and what these say of alerts.

One server has the rule files as they are, for the dashboards; the other has the same with times FACTOR times shorter
(sped_up.py), for the alerts.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from observability.fragile_services import WORKERS, FragileServices
from observability.sources import PROMETHEUS
from observability.sped_up import sped_up
from support.coordinator_process import wait_for
from support.prometheus import Prometheus, running_prometheus
from support.s3_faults import FaultPlan
from support.services import Services

FACTOR = 20
SCRAPE_SECONDS = 2  # a loaded machine needs them to answer; it takes seven in a row without an answer to be down
FIRES_WITHIN_SECONDS = 240
ENDS_WITHIN_SECONDS = 240  # 30 minutes, FACTOR times shorter, have to pass by
GAP_SECONDS = 15  # a firing alert is told of every second, but a loaded machine skips some
LOOK_SECONDS = 1

STARTS = frozenset({"ApolloEventLoopLag"})
"""What processes that start set off on a loaded machine, where seconds stand for minutes."""

SPLIT_WORDS = r"tr -s '[:space:]' '\n'"
WORDS = {"mapperName": f"shell:{SPLIT_WORDS}", "reducerName": "builtin:count", "nReducers": 2}
INPUT_BYTES, SPLIT_BYTES = 256 << 10, 64 << 10


@dataclass(frozen=True)
class Injected:
    """A fault that is there for one alert's sake, in Unix time. It may set off those `beside`."""

    alert: str
    began: float
    over: float  # the alert had begun to fire by then
    beside: frozenset[str] = frozenset()

    def explains(self, firing: "Firing") -> bool:
        return firing.alert in {self.alert, *self.beside} and self.began <= firing.began <= self.over


@dataclass(frozen=True)
class Firing:
    """An alert that fired without a break, by Prometheus' own record in Unix time."""

    alert: str
    began: float
    ended: float


@dataclass
class Watched:
    services: FragileServices
    as_they_are: Prometheus
    sped_up: Prometheus
    store: FaultPlan
    bucket: str  # with INPUT_BYTES of text as in.txt
    began_at: float  # all services were seen by then
    faults: list[Injected] = field(default_factory=list)

    _outputs: int = 0

    def job(self, **body: Any) -> dict[str, Any]:
        """A job's body, with an output of its own."""
        self._outputs += 1
        places = {"inputPath": f"s3://{self.bucket}/in.txt", "outputPath": f"s3://{self.bucket}/out-{self._outputs}"}
        return {**WORDS, **places, "splitSize": SPLIT_BYTES, **body}

    @contextmanager
    def fault(self, alert: str, *, beside: frozenset[str] = frozenset()) -> Iterator[None]:
        """What happens within makes `alert` fire. Its end is not waited for: see `until_all_is_quiet`."""
        began = time.time()
        yield
        wait_for(lambda: not beside & self.sped_up.pending(), f"{beside} to fire, or not", FIRES_WITHIN_SECONDS)
        self.faults.append(Injected(alert, began, time.time(), beside))

    def until_it_fires(self, alert: str, *, act: Callable[[], object] = lambda: time.sleep(LOOK_SECONDS)) -> None:
        """Do it again and again until this alert fires."""
        deadline = time.monotonic() + FIRES_WITHIN_SECONDS
        while alert not in self.sped_up.firing():
            assert time.monotonic() < deadline, f"{alert} does not fire; {self.sped_up.firing()} do"
            act()

    def until_all_is_quiet(self) -> None:
        wait_for(lambda: not self.sped_up.firing(), "the end of all alerts", ENDS_WITHIN_SECONDS)

    def firings(self) -> list[Firing]:
        """Since the beginning, in the order in which they began."""
        seconds = int(time.time() - self.began_at)
        times: dict[str, list[float]] = {}
        for labels, told in self.sped_up.times('ALERTS{alertstate="firing"}', seconds):
            times.setdefault(labels["alertname"], []).extend(told)
        found = [Firing(name, began, ended) for name, told in times.items() for began, ended in spans(sorted(told))]
        return sorted(found, key=lambda firing: firing.began)

    def uncalled_for(self) -> list[tuple[str, float]]:
        """Alerts that began to fire while none of their faults was there, with the seconds since the beginning."""
        return [
            (firing.alert, firing.began - self.began_at)
            for firing in self.firings()
            if not any(fault.explains(firing) for fault in self.faults)
        ]


@contextmanager
def watching(directory: Path, settings: Mapping[str, str], store: FaultPlan, bucket: str) -> Iterator[Watched]:
    with ExitStack() as stack:
        services = stack.enter_context(FragileServices(directory / "apollo", settings))
        plain = stack.enter_context(_prometheus(directory / "as-they-are", services, lambda rules: rules))
        quick = stack.enter_context(_prometheus(directory / "sped-up", services, lambda rules: sped_up(rules, FACTOR)))
        wait_for(lambda: _all_are_seen(plain) and _all_are_seen(quick), "the first scrape of all services")
        wait_for(lambda: not quick.firing() | quick.pending(), "all to have started", ENDS_WITHIN_SECONDS)
        yield Watched(services, plain, quick, store, bucket, time.time())


@contextmanager
def _prometheus(directory: Path, services: Services, transform: Callable[[str], str]) -> Iterator[Prometheus]:
    """As infra/prometheus/prometheus.yml says, at these services' addresses and at short intervals."""
    (directory / "rules").mkdir(parents=True)
    for file in (PROMETHEUS / "rules").glob("*.yml"):
        (directory / "rules" / file.name).write_text(transform(file.read_text()))
    configuration: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    often = f"{SCRAPE_SECONDS}s"
    configuration["global"] = {"scrape_interval": often, "scrape_timeout": often, "evaluation_interval": "1s"}
    places = {"apollo-coordinator": [services.url], "apollo-worker": services.worker_urls}
    for job in configuration["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [url.removeprefix("http://") for url in places[job["job_name"]]]}]
    with running_prometheus(directory, configuration) as server:
        yield server


def _all_are_seen(server: Prometheus) -> bool:
    """A Prometheus that has just started misses what it has not scraped yet."""
    health = [target["health"] for target in server.targets()]
    return len(health) == 1 + WORKERS and set(health) == {"up"}


def spans(times: list[float]) -> Iterator[tuple[float, float]]:
    """First and last of those that lie close together."""
    breaks = [after for before, after in itertools.pairwise(times) if after - before > GAP_SECONDS]
    for began, beyond in itertools.pairwise([times[0], *breaks, float("inf")]):
        yield began, max(at for at in times if at < beyond)
