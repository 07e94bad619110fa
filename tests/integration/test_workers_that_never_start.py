"""Workers that refuse what they are set to: commands that need them say so and end, instead of waiting for ever."""

from collections.abc import Callable
from typing import Any

import pytest

from support.apollo_cli import Outcome
from support.leftovers import Scene
from support.ports import free_port


def run(scene: Scene, **env: str) -> Outcome:
    (scene.given / "in.txt").write_text("a\n")
    options = ["--mapper", "shell:cat", "--reducer", "builtin:count", "--input", scene.given / "in.txt"]
    return scene.apollo("run", *options, "--output", scene.root / "out", **env)


def nothing_is_left(scene: Scene) -> None:
    scene.nothing_runs()
    assert scene.files() == []


def test_a_sandbox_that_does_not_exist(scene: Scene) -> None:
    done = run(scene, APOLLO_SANDBOX="strict")
    assert (done.status, done.stdout) == (1, ""), done
    (line,) = done.stderr.splitlines()
    assert line == (
        "apollo: cannot start with these settings: APOLLO_SANDBOX: Input should be 'require', 'prefer' or 'off'"
    )
    nothing_is_left(scene)


def test_a_sandbox_that_is_required_and_that_the_kernel_does_not_have(
    scene: Scene, kernel_without_landlock: Callable[[Callable[[], Any]], Any]
) -> None:
    done = kernel_without_landlock(lambda: run(scene, APOLLO_SANDBOX="require"))
    assert (done.status, done.stdout) == (1, ""), done
    assert "APOLLO_SANDBOX is `require`, but the kernel offers no Landlock" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    nothing_is_left(scene)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("APOLLO_SANDBOX_READABLE", "table", "hold absolute paths, not 'table'"),
        ("APOLLO_SANDBOX_WRITABLE", "/", "must lie apart: programs would reach the worker's own files"),
    ],
)
def test_places_that_no_worker_takes(scene: Scene, variable: str, value: str, words: str) -> None:
    done = run(scene, **{variable: value})
    assert (done.status, done.stdout) == (1, ""), done
    last = done.stderr.splitlines()[-1]
    assert last.startswith("apollo: a worker does not start: apollo-worker: ")
    assert variable in last
    assert last.endswith(words)
    assert "Traceback" not in done.stderr
    nothing_is_left(scene)


def test_a_coordinator_of_ones_own_ends_too(scene: Scene) -> None:
    done = scene.apollo(
        "up", "--port", free_port(), "--data-dir", scene.given / "data", APOLLO_SANDBOX_READABLE="table"
    )
    assert done.status == 1, done
    assert done.stderr.splitlines()[-1].endswith("hold absolute paths, not 'table'")
    assert "Traceback" not in done.stderr
    nothing_is_left(scene)
