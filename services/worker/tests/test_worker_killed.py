"""kill -9 of a worker leaves nothing of its program running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_WORKER = """
import asyncio, sys
from pathlib import Path
from support.sessions import Bench
script = "setsid sh -c 'echo $$ > daemon; sleep 1000' & echo $$ > main; exec sleep 1000"
asyncio.run(Bench(Path(sys.argv[1]), script).map_lines(b"x"))
"""


def test_everything_dies_with_the_worker(tmp_path):
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, str(tmp_path)], env=_environment())
    try:
        processes = [_process_id(tmp_path, name) for name in ("main", "daemon")]
        launcher = int(Path(f"/proc/{processes[0]}/stat").read_text().rpartition(")")[2].split()[1])
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    _wait_until(lambda: not any(Path(f"/proc/{process}").exists() for process in [*processes, launcher]))
    assert not _running_in(tmp_path)


def test_everything_dies_with_the_launcher(tmp_path):
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(tmp_path)], env=_environment(), stderr=subprocess.PIPE
    )
    program, daemon = (_process_id(tmp_path, name) for name in ("main", "daemon"))
    os.kill(int(Path(f"/proc/{program}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
    _, errors = worker.communicate(timeout=30)
    assert b"launcher was killed" in errors
    _wait_until(lambda: not any(Path(f"/proc/{process}").exists() for process in (program, daemon)))
    assert not _running_in(tmp_path)


def _running_in(root: Path) -> list[str]:
    """Processes whose environment names a directory below `root`."""
    found = subprocess.run(["grep", "-lsa", f"TMPDIR={root}/", *_environ_files()], capture_output=True, check=False)
    return found.stdout.decode().split()


def _environ_files() -> list[str]:
    return [str(entry / "environ") for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _process_id(root: Path, name: str) -> int:
    def written() -> list[str]:
        return [path.read_text() for path in root.glob(f"*/work/{name}")]

    _wait_until(lambda: any(written()))
    return int(written()[0])


def _wait_until(condition) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
