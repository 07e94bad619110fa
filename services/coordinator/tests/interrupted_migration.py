"""A process that opens the journal of a data directory and is killed when its migration has done half of its work."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiosqlite

from apollo_coordinator.store import journal

HALF_DONE = (
    "CREATE TABLE notes (text TEXT) STRICT; DELETE FROM facts; SELECT die(); CREATE TABLE more (text TEXT) STRICT;"
)


async def mortal(database: aiosqlite.Connection) -> aiosqlite.Connection:
    connected = await database
    await connected.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    return connected


connect = aiosqlite.connect
aiosqlite.connect = lambda *args, **options: mortal(connect(*args, **options))
journal.MIGRATIONS = (journal.MIGRATIONS[0], HALF_DONE)
asyncio.run(journal.SqliteJournal.open(Path(sys.argv[1])))
