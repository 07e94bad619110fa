"""Services on a small volume, and what a test may do to them."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from support.coordinator_process import wait_for
from support.services import Services

WORKERS = 3
VOLUME_BYTES = 256 << 20


class FragileServices(Services):
    """What they write, but for their logs, lies on a small volume in memory: it can be filled, and no disk slows
    them down. To mount it needs root.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        super().__init__(directory, settings, workers=WORKERS)

    def start(self) -> None:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_BYTES}", "apollo-test", self.volume]
        subprocess.run(mount, check=True)
        super().start()

    def close(self) -> None:
        super().close()
        if self.volume.is_mount():
            subprocess.run(["umount", "--lazy", self.volume], check=True)

    def replace_workers(self) -> None:
        """kill -9 of all; each is started again, as another worker."""
        before = self._worker_ids()
        for number in range(WORKERS):
            self.kill(f"worker-{number}")
            self.start_worker(number)
        wait_for(lambda: len(self._worker_ids() - before) == WORKERS, "other workers")

    def hold_up_coordinator(self, seconds: float) -> None:
        """Its process stands still for so long."""
        process = self._processes["coordinator"]
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    def hold_up_journal(self, seconds: float) -> None:
        """Somebody else writes to its database for so long."""
        with closing(sqlite3.connect(self.volume / "data/journal.db", timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("ROLLBACK")

    @contextmanager
    def nearly_full_volume(self) -> Iterator[None]:
        ballast = self.volume / "ballast"
        ballast.write_bytes(bytes(VOLUME_BYTES * 95 // 100))
        try:
            yield
        finally:
            ballast.unlink()

    def _worker_ids(self) -> set[str]:
        return {worker["id"] for worker in self.request("GET", "/workers")}


def may_mount() -> bool:
    return os.geteuid() == 0
