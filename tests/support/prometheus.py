"""A real Prometheus for tests, Debian's, with promtool.

`running_prometheus(directory, configuration)` is a server with that configuration; `Prometheus` asks it.
"""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.debian import ensure_programs
from support.ports import free_port

PACKAGE = "prometheus"
PROGRAMS = ("prometheus", "promtool")
CONFIGURATION = "prometheus.yml"
START_SECONDS = 60
STOP_SECONDS = 30
ANSWER_SECONDS = 30
POLL_SECONDS = 0.1

Labels = dict[str, str]


class QueryRefused(Exception):
    """What Prometheus says of an expression that it does not understand."""


@dataclass(frozen=True)
class Series:
    labels: Labels
    value: float


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str, *, at: float | None = None) -> list[Series]:
        """An instant query, now or at a Unix time. A scalar is one series without labels."""
        found = self._ask("query", query=expression, **({} if at is None else {"time": f"{at:.3f}"}))
        if found["resultType"] == "scalar":
            return [Series({}, float(found["result"][1]))]
        return [Series(each["metric"], float(each["value"][1])) for each in found["result"]]

    def times(self, selector: str, seconds: int) -> list[tuple[Labels, list[float]]]:
        """When each series had a value in the last `seconds`, in Unix time."""
        found = self._ask("query", query=f"{selector}[{seconds}s]")["result"]
        return [(each["metric"], [float(at) for at, _ in each["values"]]) for each in found]

    def names(self) -> set[str]:
        """Of all series that there are or were."""
        return set(self._ask("label/__name__/values"))

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return self._alerts("firing")

    def pending(self) -> set[str]:
        """The names of the alerts that will fire if nothing changes."""
        return self._alerts("pending")

    def targets(self) -> list[dict[str, Any]]:
        """Those that are scraped: `labels`, `health`, `lastError`, ..."""
        found: list[dict[str, Any]] = self._ask("targets")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its `health` and `lastError`."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _alerts(self, state: str) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self._ask("alerts")["alerts"] if alert["state"] == state}

    def _ask(self, what: str, **parameters: str) -> Any:
        address = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise QueryRefused(json.load(error)["error"]) from None


def promtool(*arguments: str | Path, given: str = "") -> str:
    """What it prints, `given` on standard input; an AssertionError with that when it finds a fault."""
    command = [ensure_programs(PACKAGE, PROGRAMS) / "promtool", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running_prometheus(directory: Path, configuration: Mapping[str, Any]) -> Iterator[Prometheus]:
    """Its data and its log lie in `directory`; rule files that the configuration names are relative to that."""
    (directory / CONFIGURATION).write_text(yaml.safe_dump(dict(configuration)))
    address = f"127.0.0.1:{free_port()}"
    command = [
        ensure_programs(PACKAGE, PROGRAMS) / "prometheus", f"--config.file={CONFIGURATION}",
        "--storage.tsdb.path=data", f"--web.listen-address={address}",
    ]  # fmt: skip
    log = directory / "prometheus.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        _wait_ready(address, process, log)
        yield Prometheus(f"http://{address}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/-/ready", timeout=ANSWER_SECONDS):
                return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Prometheus did not start ({error}):\n{log.read_text()[-2000:]}")
            time.sleep(POLL_SECONDS)
