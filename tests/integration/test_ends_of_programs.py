"""Whatever a program starts, ignores or leaves lying about ends with its attempt, which ends well or is stopped."""

import signal

import pytest

from support.leftovers import Scene, wait_for

DAEMON = """\
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
for descriptor in range(3):
    os.close(descriptor)
os.execve(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(1000)"], {})
"""

ENDING = {
    "leaves a child in the background": "sleep 1000 & cat",
    "leaves a child that holds its output": "(sleep 1000) & cat",
    "leaves a session of its own": "setsid sleep 1000 </dev/null >/dev/null 2>&1 & cat",
    "leaves a daemon": "python3 {daemon}; cat",
    "leaves children that ignore signals": "(trap '' TERM INT HUP; sleep 1000; sleep 1000) & cat",
    "leaves many children": "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 1000 & done; cat",
    "leaves directories that nobody may read": "mkdir -p a/b; touch a/b/c; chmod 0 a/b a; cat",
    "leaves a pipe and a file without a name": "mkfifo p; ln -s /nowhere l; cat",
    "locks itself out": "chmod 0 .; cat",
    "fills standard error": "head -c 20000000 /dev/zero | tr '\\0' x >&2; cat",
}
"""Programs that end well, and what they do before."""

STAYING = {
    "ignores signals": "trap '' TERM INT HUP QUIT; cat; while :; do sleep 1000; done",
    "hangs before it has read": "exec sleep 1000",
    "hangs with its output closed": "cat; exec >&-; sleep 1000",
    "hangs with everything closed": "cat; exec <&- >&- 2>&-; sleep 1000",
    "stops itself": "cat; kill -STOP $$",
    "never stops writing": "cat; yes",
    "never stops complaining": "cat; yes >&2",
    "never stops starting children": "cat; while :; do sleep 0.05 & sleep 0.02; done",
}
"""Programs that have to be stopped."""


def options(scene: Scene, script: str) -> list[object]:
    source, daemon = scene.given / "in.txt", scene.given / "daemon.py"
    source.write_text("a\nb\na\n")
    daemon.write_text(DAEMON)
    script = f"touch {scene.given / 'seen'}; {script.format(daemon=daemon)}"
    return [
        "--mapper", f"shell:{script}", "--reducer", "builtin:count", "--input", source,
        "--output", scene.root / "out", "--workers", 1,
    ]  # fmt: skip


@pytest.mark.parametrize("what", ENDING)
def test_a_program_that_ends_leaves_nothing(scene: Scene, what: str) -> None:
    done = scene.apollo("run", *options(scene, ENDING[what]))
    assert done.status == 0, done
    scene.nothing_runs()
    assert scene.files() == ["out", "out/_SUCCESS", "out/part-r-00000"]
    assert (scene.root / "out/part-r-00000").read_text() == "a\t2\nb\t1\n"


@pytest.mark.parametrize("what", STAYING)
def test_a_program_that_is_stopped_leaves_nothing(scene: Scene, what: str) -> None:
    run = scene.start("run", *options(scene, STAYING[what]))
    wait_for((scene.given / "seen").exists, "the program")
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said.decode()
    scene.nothing_runs()
    assert scene.files() == []
