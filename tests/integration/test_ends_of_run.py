"""However `apollo run` ends, at whatever moment: no process, socket, temporary file or upload is left behind."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.leftovers import Scene, wait_for

IMPORTED_EARLY = "_pydantic_core"  # a shared object: it is mapped when the command has begun with its imports
WAITS = "touch {seen}; cat; exec sleep 1000"


def job(scene: Scene, mapper: str, reducer: str = "builtin:count", output: object = None) -> list[object]:
    source = scene.given / "in.txt"
    source.write_text("a\nb\na\n")
    return [
        "--mapper", mapper, "--reducer", reducer, "--input", source, "--output", output or scene.root / "out",
        "--workers", 1,
    ]  # fmt: skip


def waiting_job(scene: Scene, phase: str, output: object = None) -> tuple[Path, list[object]]:
    """A job whose map or reduce program never ends, and the file that appears when it runs."""
    seen = scene.given / "seen"
    waits = f"shell:{WAITS.format(seen=seen)}"
    return seen, job(scene, waits, output=output) if phase == "map" else job(scene, "shell:cat", waits, output)


def published(output: str = "out", parts: int = 1) -> list[str]:
    return [output, f"{output}/_SUCCESS", *(f"{output}/part-r-{index:05d}" for index in range(parts))]


def _imports(scene: Scene, seen: Path) -> None:
    wait_for(lambda: scene.has_mapped("apollo_client", IMPORTED_EARLY), "the command's imports")


def _has_a_directory(scene: Scene, seen: Path) -> None:
    wait_for(lambda: list(scene.temporary.iterdir()), "a private directory")


def _starts_a_worker(scene: Scene, seen: Path) -> None:
    wait_for(lambda: scene.named("apollo-worker"), "a worker")


def _runs_the_program(scene: Scene, seen: Path) -> None:
    wait_for(seen.exists, "the program")


MOMENTS: dict[str, tuple[str, Callable[[Scene, Path], None]]] = {
    "importing": ("map", _imports),
    "starting": ("map", _has_a_directory),
    "starting a worker": ("map", _starts_a_worker),
    "mapping": ("map", _runs_the_program),
    "reducing": ("reduce", _runs_the_program),
}
"""Which program of the job waits, and how the moment is known."""


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_leaves_nothing(scene: Scene, moment: str, number: signal.Signals) -> None:
    phase, reached = MOMENTS[moment]
    seen, options = waiting_job(scene, phase)
    run = scene.start("run", *options)
    reached(scene, seen)
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    # Before it takes signals over there is nothing to clean up, and the system's own way is as good.
    assert run.returncode in ((128 + number,) if moment != "importing" else (128 + number, -number)), said.decode()
    assert b"Traceback" not in said
    scene.nothing_runs()
    assert scene.files() == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_under_nohup_a_run_outlives_its_terminal(scene: Scene, moment: str) -> None:
    seen, options = waiting_job(scene, MOMENTS[moment][0])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it to the command
    run = scene.start("run", *options)
    MOMENTS[moment][1](scene, seen)
    run.send_signal(signal.SIGHUP)
    _runs_the_program(scene, seen)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said.decode()
    scene.nothing_runs()
    assert scene.files() == []


def test_a_second_interrupt_changes_nothing(scene: Scene) -> None:
    seen, options = waiting_job(scene, "reduce")
    run = scene.start("run", *options)
    _runs_the_program(scene, seen)
    for _ in range(3):
        run.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said.decode()
    assert b"Traceback" not in said
    scene.nothing_runs()
    assert scene.files() == []


@pytest.mark.parametrize("phase", ["map", "reduce"])
def test_a_reader_that_leaves_ends_the_job(scene: Scene, phase: str) -> None:
    """As `apollo run --json | head -1` does."""
    _, options = waiting_job(scene, phase)
    run = scene.start("run", "--json", *options)
    assert run.stdout is not None
    assert run.stdout.readline()
    run.stdout.close()
    run.stdout = None
    _, said = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGPIPE, said.decode()
    assert b"Traceback" not in said
    scene.nothing_runs()
    assert scene.files() == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_kill_leaves_goes_with_the_next_run(scene: Scene, moment: str) -> None:
    phase, reached = MOMENTS[moment]
    seen, options = waiting_job(scene, phase)
    run = scene.start("run", *options)
    reached(scene, seen)
    run.kill()
    run.communicate()
    scene.nothing_runs()
    again = scene.apollo("run", *job(scene, "shell:cat", output=scene.root / "next"))
    assert again.status == 0, again
    scene.nothing_runs()
    assert scene.files() == published("next")


@pytest.mark.parametrize(
    ("mapper", "reducer"), [("shell:cat; exit 3", "builtin:count"), ("shell:cat", "shell:cat; exit 3")]
)
def test_a_failed_job_leaves_nothing(scene: Scene, mapper: str, reducer: str) -> None:
    done = scene.apollo("run", "--max-attempts", 2, *job(scene, mapper, reducer))
    assert done.status == 1, done
    scene.nothing_runs()
    assert scene.files() == []


def test_a_job_that_overwrites_and_fails_leaves_what_was_there(scene: Scene) -> None:
    (scene.root / "out").mkdir()
    for name in ("part-r-00000", "_SUCCESS"):
        (scene.root / "out" / name).write_text("of before")
    options = job(scene, "shell:cat", "shell:cat; exit 3")
    assert scene.apollo("run", "--overwrite", "--max-attempts", 1, *options).status == 1
    scene.nothing_runs()
    assert scene.files() == published()
    assert (scene.root / "out/part-r-00000").read_text() == "of before"


def _worker(scene: Scene) -> int:
    return scene.named("apollo-worker")[0]


def _launcher(scene: Scene) -> int:
    return scene.named("launcher.py")[0]


def _program(scene: Scene) -> int:
    return scene.named("/bin/sh -c")[0]


@pytest.mark.parametrize("victim", [_worker, _launcher, _program])
@pytest.mark.parametrize("phase", ["map", "reduce"])
def test_a_job_goes_on_when_a_process_is_killed(scene: Scene, phase: str, victim: Callable[[Scene], int]) -> None:
    """The first attempt waits to be killed; the next one does its work."""
    seen = scene.given / "seen"
    program = f"shell:if test -e {seen}; then exec cat; fi; touch {seen}; sleep 1000"
    options = job(scene, program) if phase == "map" else job(scene, "shell:sed 's/$/\\t1/'", program)
    run = scene.start("run", *options)
    _runs_the_program(scene, seen)
    os.kill(victim(scene), signal.SIGKILL)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said.decode()
    scene.nothing_runs()
    assert scene.files() == published()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_no_upload_is_left_in_s3(scene: Scene, s3_server, s3_bucket, number: signal.Signals) -> None:
    client = s3_server.client()
    seen, options = waiting_job(scene, "reduce", f"s3://{s3_bucket}/out")
    run = scene.start("run", *options, **s3_server.environment)
    _runs_the_program(scene, seen)
    assert client.list_multipart_uploads(Bucket=s3_bucket).get("Uploads")
    run.send_signal(number)
    run.communicate(timeout=60)
    scene.nothing_runs()
    if number == signal.SIGKILL:
        again = scene.apollo("run", *job(scene, "shell:cat"), **s3_server.environment)
        assert again.status == 0, again
    assert client.list_multipart_uploads(Bucket=s3_bucket).get("Uploads", []) == []
    assert client.list_objects_v2(Bucket=s3_bucket)["KeyCount"] == 0
