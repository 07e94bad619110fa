"""A worker's link that knows since when nothing runs over it, and how much memory the worker said that it has used."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from apollo_common.ids import AttemptId
from apollo_common.storage.port import AttemptAccess
from apollo_coordinator.order import AttemptOrder, AttemptProgress, AttemptReport, WorkerDescription
from apollo_coordinator.ports import WorkerLink


class ObservedLink:
    """See apollo_coordinator.ports.WorkerLink."""

    def __init__(self, link: WorkerLink) -> None:
        self._link = link
        self._streams = 0
        self._idle_since = asyncio.get_running_loop().time()
        self.memory_peak_bytes = 0
        """As last reported; 0: never."""

    @property
    def idle_since(self) -> float | None:
        """On the event loop's clock; None while an attempt is heard of."""
        return None if self._streams else self._idle_since

    async def run(self, order: AttemptOrder) -> AsyncGenerator[AttemptReport, None]:
        async with self._busy(self._link.run(order)) as reports:
            async for report in reports:
                if isinstance(report, AttemptProgress):
                    self.memory_peak_bytes = report.memory_peak_bytes
                yield report

    async def attach(self, attempt: AttemptId) -> AsyncGenerator[AttemptReport, None]:
        async with self._busy(self._link.attach(attempt)) as reports:
            async for report in reports:
                if isinstance(report, AttemptProgress):
                    self.memory_peak_bytes = report.memory_peak_bytes
                yield report

    async def cancel(self, attempt: AttemptId, reason: str) -> None:
        await self._link.cancel(attempt, reason)

    async def describe(self) -> WorkerDescription:
        return await self._link.describe()

    async def renew(self, attempt: AttemptId, access: AttemptAccess) -> None:
        await self._link.renew(attempt, access)

    async def install(self, digest: str, content: Path) -> None:
        await self._link.install(digest, content)

    async def close(self) -> None:
        await self._link.close()

    @asynccontextmanager
    async def _busy(self, reports: AsyncIterator[AttemptReport]) -> AsyncIterator[AsyncIterator[AttemptReport]]:
        self._streams += 1
        try:
            yield reports
        finally:
            if isinstance(reports, AsyncGenerator):
                await reports.aclose()
            self._streams -= 1
            self._idle_since = asyncio.get_running_loop().time()
