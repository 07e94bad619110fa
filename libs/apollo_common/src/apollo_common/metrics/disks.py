"""Sizes on disk, read every few seconds in a thread: a file system that hangs must not hold up a scrape."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry

from apollo_common.lifecycle import TaskOwner
from apollo_common.metrics.families import AnyFamily, Label, gauge

SAMPLE_EVERY_SECONDS: Final = 15.0

R = TypeVar("R")

_VOLUME: Final = {"volume": Label(("data", "intermediate", "work"), at_once=False)}
SIZE: Final = gauge("apollo_volume_size_bytes", "Size of the file system that holds the directory.", _VOLUME)
FREE: Final = gauge("apollo_volume_free_bytes", "What the service may still write there.", _VOLUME)

FAMILIES: Final[tuple[AnyFamily, ...]] = (SIZE, FREE)


class DiskMetrics:
    """Every watched place has a task of its own in `tasks`; one that hangs keeps its last values."""

    def __init__(self, registry: CollectorRegistry, tasks: TaskOwner) -> None:
        self._tasks = tasks
        self._size = SIZE.on(registry)
        self._free = FREE.on(registry)

    def watch_volume(self, name: str, path: Path) -> None:
        """Without series while it cannot be asked."""

        def found(volume: os.statvfs_result) -> None:
            self._size.of(name).set(volume.f_blocks * volume.f_frsize)
            self._free.of(name).set(volume.f_bavail * volume.f_frsize)

        def lost() -> None:
            self._size.drop(name)
            self._free.drop(name)

        self.watch(name, lambda: os.statvfs(path), found, lost)

    def watch(
        self, name: str, read: Callable[[], R], found: Callable[[R], None], lost: Callable[[], None] = lambda: None
    ) -> None:
        """Call `found` with what `read` returns, now and then; `lost` when it raises OSError. `read` may block."""
        self._tasks.spawn(_sample(read, found, lost), name=f"sizes of {name}")


async def _sample(read: Callable[[], R], found: Callable[[R], None], lost: Callable[[], None]) -> None:
    while True:
        try:
            found(await asyncio.to_thread(read))
        except OSError:
            lost()
        await asyncio.sleep(SAMPLE_EVERY_SECONDS)
