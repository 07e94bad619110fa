"""A process that opens the journal of a data directory and is killed when its migration has done half of its work."""

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from apollo_coordinator.store import schema

HALF_DONE = (
    "CREATE TABLE notes (text TEXT) STRICT; DELETE FROM facts; SELECT die(); CREATE TABLE more (text TEXT) STRICT;"
)


def mortal(path: Path, **options: Any) -> sqlite3.Connection:
    database = connect(path, **options)
    database.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    return database


connect = sqlite3.connect
sqlite3.connect = mortal
schema.MIGRATIONS = (schema.MIGRATIONS[0], HALF_DONE)
schema.prepare(Path(sys.argv[1]) / "journal.db", known=True)
