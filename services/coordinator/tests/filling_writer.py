"""A process that appends to a journal until its volume is full, is given room, and goes on.

Arguments: the data directory, and a file that takes up room on the same volume. Prints how many facts were safe when
the volume was full, how many are in the journal at the end, and each time whether there was room for a job.
"""

import asyncio
import sys
from pathlib import Path

from apollo_common.errors import VolumeFull
from apollo_common.ids import JobId
from apollo_coordinator.ports import StoredFact
from apollo_coordinator.store.journal import SqliteJournal


def batch(after: int) -> list[StoredFact]:
    return [StoredFact(n, JobId("j"), n, n, "kind", "x" * 1_000) for n in range(after + 1, after + 8)]


async def main(directory: Path, ballast: Path) -> None:
    journal = await SqliteJournal.open(directory)
    safe = 0
    try:
        while True:
            await journal.append(batch(safe))
            safe += 7
    except VolumeFull:
        print(safe, journal.has_room())  # noqa: T201
    ballast.unlink()
    await journal.append(batch(safe))
    await journal.close()
    journal = await SqliteJournal.open(directory)
    print(len([fact async for fact in journal.read_open()]), journal.has_room())  # noqa: T201
    await journal.close()


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
