"""`apollo up` holds nothing of ended jobs; its workers outlive it when it is killed, for as long as was set."""

import json
import os
import signal
import urllib.request
from collections import Counter
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from support.leftovers import Scene, below, descriptors, lives, settled, wait_for
from support.ports import free_port

ORPHAN_SECONDS = 3
ADOPTION_SECONDS = 60
MARK = ".apollo-coordinator-"
ENDED = ("succeeded", "failed", "stopped")


class Up:
    """A coordinator with one worker, on data of the scene's; and what is asked of it."""

    def __init__(self, scene: Scene, orphan_seconds: int = ADOPTION_SECONDS) -> None:
        self.scene = scene
        self.orphan_seconds = orphan_seconds
        self.data = scene.root / "data"
        self.port = free_port()
        self.process = self.start()
        self.seen = scene.given / "seen"
        (scene.given / "in.txt").write_text("a\nb\na\n")

    def start(self, workers: int = 1) -> "Popen[bytes]":
        arguments = ["up", "--workers", workers, "--port", self.port, "--data-dir", self.data]
        log = (self.scene.given / "up.log").open("ab")
        with log:
            process = self.scene.start(
                *arguments,
                stderr=log.fileno(),
                stdout=log.fileno(),
                APOLLO_WORKER_ORPHAN_SECONDS=str(self.orphan_seconds),
            )
        self.process = process
        wait_for(self.answers, "the coordinator")
        return process

    def answers(self) -> bool:
        try:
            self.ask("GET", "/jobs")
        except OSError:
            return False
        return True

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What the API answers. OSError, also for an answer that is an error."""
        url = f"http://127.0.0.1:{self.port}/api/v1{path}"
        content = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, content, method=method), timeout=30) as answer:
            return json.load(answer)

    def submit(self, mapper: str, reducer: str = "builtin:count", **more: object) -> str:
        self.seen.unlink(missing_ok=True)
        places = {"inputPath": f"file://{self.scene.given}/in.txt", "outputPath": f"file://{self.scene.root}/out"}
        programs = {"mapperName": mapper, "reducerName": reducer, "nReducers": 1, "maxAttempts": 1, "overwrite": True}
        identity: str = self.ask("POST", "/jobs", places | programs | more)["job"]["id"]
        return identity

    def end_of(self, job: str) -> str:
        return wait_for(lambda: (status := self.ask("GET", f"/jobs/{job}")["status"]) in ENDED and status, "its end")

    def stop(self, job: str) -> None:
        assert self.ask("DELETE", f"/jobs/{job}")["status"] == "stopped"

    def waiting(self, phase: str) -> str:
        """A job whose map or reduce program runs and never ends."""
        program = f"shell:cat; : >{self.seen}; exec sleep 1000"  # with no process of its own that comes and goes
        job = self.submit(program) if phase == "map" else self.submit("shell:cat", program)
        wait_for(self.seen.exists, "the program")
        return job

    @property
    def worker(self) -> int:
        (worker,) = wait_for(lambda: self.scene.named("apollo-worker"), "a worker")
        return worker

    def left(self) -> list[str]:
        """What lies in the places that are empty between jobs, but for the mark of the volume's coordinator."""
        places = [self.data / "intermediate", self.data / "secrets", *self.data.glob("workers/*/attempts")]
        places += [*self.data.glob("workers/*/scratch"), self.scene.temporary, self.scene.home]
        return [str(found) for place in places for found in below(place) if not found.name.startswith(MARK)]


@pytest.fixture
def up(scene: Scene) -> Up:
    return Up(scene)


def succeed(up: Up) -> None:
    assert up.end_of(up.submit("shell:cat")) == "succeeded"


def fail_in_map(up: Up) -> None:
    assert up.end_of(up.submit("shell:cat; exit 3")) == "failed"


def fail_in_reduce(up: Up) -> None:
    assert up.end_of(up.submit("shell:cat", "shell:cat; exit 3")) == "failed"


def stop_in_map(up: Up) -> None:
    up.stop(up.waiting("map"))


def stop_in_reduce(up: Up) -> None:
    up.stop(up.waiting("reduce"))


ENDS = [succeed, fail_in_map, fail_in_reduce, stop_in_map, stop_in_reduce]


def test_no_end_of_a_job_leaves_anything(up: Up) -> None:
    """The second round finds processes, descriptors and sockets exactly as the first has left them."""

    def rounds() -> tuple[set[int], Counter[str], Counter[str]]:
        for end in ENDS:
            end(up)
            wait_for(lambda: not up.left(), f"an end of all after {end.__name__}; there is {up.left()}")
        return settled(lambda: (set(up.scene.processes()), descriptors(up.process.pid), descriptors(up.worker)))

    first = rounds()
    assert first[0] == {up.process.pid, up.worker}
    assert rounds() == first
    assert [path for path in up.scene.files() if path.startswith("out")] == ["out", "out/_SUCCESS", "out/part-r-00000"]


def test_kept_intermediate_data_is_where_the_job_says_until_then(up: Up) -> None:
    job = up.submit("shell:cat", keepIntermediate=True)
    assert up.end_of(job) == "succeeded"
    kept = Path(up.ask("GET", f"/jobs/{job}")["intermediateLocation"].removeprefix("file://"))
    assert kept.parent == up.data / "intermediate"
    assert [path.name for path in sorted(kept.rglob("*")) if path.is_file()] == ["data.arrow", "index"]
    up.process.send_signal(signal.SIGINT)
    up.process.wait()
    up.start()
    assert list(kept.rglob("data.arrow"))


def test_without_workers_what_was_done_is_shown_and_what_is_left_waits(up: Up) -> None:
    done = up.submit("shell:cat")
    assert up.end_of(done) == "succeeded"
    up.process.send_signal(signal.SIGINT)
    up.process.wait()
    up.start(workers=0)
    left = up.submit("shell:cat")
    wait_for(lambda: up.ask("GET", f"/jobs/{left}")["status"] == "running", "its plan")
    assert up.ask("GET", f"/jobs/{done}")["status"] == "succeeded"
    assert up.scene.named("apollo-worker") == []
    up.process.send_signal(signal.SIGINT)
    up.process.wait()
    up.start()
    assert up.end_of(left) == "succeeded"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("phase", ["map", "reduce"])
def test_a_signal_ends_all_that_runs(up: Up, phase: str, number: signal.Signals) -> None:
    up.waiting(phase)
    up.process.send_signal(number)
    assert up.process.wait(timeout=60) == 128 + number
    up.scene.nothing_runs()
    assert list((up.data / "workers").iterdir()) == []


def test_workers_outlive_a_killed_coordinator_for_a_while(scene: Scene) -> None:
    """Then they end by themselves, with their programs, and leave nothing."""
    up = Up(scene, ORPHAN_SECONDS)
    up.waiting("map")
    worker = up.worker
    up.process.kill()
    up.process.wait()
    assert lives(worker)
    assert up.scene.named("sleep 1000")
    up.scene.nothing_runs()
    assert list((up.data / "workers").iterdir()) == []


def test_a_coordinator_that_is_back_in_time_has_its_workers_again(up: Up) -> None:
    job = up.waiting("map")
    before = set(up.scene.processes()) - {up.process.pid}
    up.process.kill()
    up.process.wait()
    up.start()
    assert set(up.scene.processes()) == before | {up.process.pid}
    up.stop(job)
    wait_for(lambda: set(up.scene.processes()) == {up.process.pid, up.worker}, "the end of the program")
    wait_for(lambda: not up.left(), "an end of all")


def test_an_up_that_ended_its_workers_does_not_wait_for_them_when_it_is_back(up: Up) -> None:
    job = up.waiting("map")
    up.process.send_signal(signal.SIGINT)
    up.process.wait()
    up.start()
    attempts = wait_for(
        lambda: two if len(two := up.ask("GET", f"/tasks/{job}-m-00000/attempts")) == 2 else None, "another attempt"
    )
    assert [attempt["status"] for attempt in attempts] == ["lost", "running"]
    assert attempts[0]["failure"]["message"] == "the worker ended while the coordinator was away"
    up.stop(job)


def test_what_is_killed_with_its_workers_is_swept_by_the_next(up: Up) -> None:
    job = up.waiting("reduce")
    for victim in (up.process.pid, up.worker):
        os.kill(victim, signal.SIGKILL)
    up.process.wait()
    up.scene.nothing_runs()
    assert list((up.data / "workers").iterdir())
    stale = up.data / "intermediate/aaaaaaaaaaaa/aaaaaaaaaaaa-m-00000"
    stale.mkdir(parents=True)
    up.start()
    up.stop(job)
    wait_for(lambda: not up.left(), "an end of all")
    worker = up.worker
    assert [path.name for path in (up.data / "workers").iterdir()] == [Path(f"/proc/{worker}/cwd").readlink().name]
