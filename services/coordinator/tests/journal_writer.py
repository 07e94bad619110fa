"""A process that goes on with a journal until it is killed, and says after each append what is safe."""

import asyncio
import sys
from pathlib import Path

from apollo_common.ids import JobId
from apollo_coordinator.ports import StoredFact
from apollo_coordinator.store.journal import SqliteJournal

BATCH = 7


async def main(directory: Path) -> None:
    journal = await SqliteJournal.open(directory)
    sequence = await journal.last_sequence()
    while True:
        numbers = range(sequence + 1, sequence + BATCH + 1)
        await journal.append([StoredFact(n, JobId("j"), n, n, "kind", "x" * 1000) for n in numbers])
        sequence = numbers[-1]
        sys.stdout.write(f"{sequence}\n")
        sys.stdout.flush()


asyncio.run(main(Path(sys.argv[1])))
