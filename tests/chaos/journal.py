"""The journal of a dead coordinator, looked at on a copy: sound, foldable, and never shorter than it was."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

from apollo_coordinator.core.apply import apply
from apollo_coordinator.core.codec import decode
from apollo_coordinator.core.state import State
from apollo_coordinator.store.journal import SqliteJournal


class JournalWatch:
    """Call `look` while no coordinator runs."""

    def __init__(self, data: Path, scratch: Path) -> None:
        self._data = data
        self._scratch = scratch
        self._facts: dict[int, int] = {}  # sequence -> digest
        self.looks = 0
        self.problems: list[str] = []

    def look(self) -> None:
        """Remember what is wrong; blocking."""
        self.looks += 1
        copy = self._scratch / f"journal-{self.looks}"
        copy.mkdir(parents=True)
        for path in self._data.glob("journal.db*"):
            shutil.copy(path, copy)
        if not (copy / "journal.db").exists():  # killed before it made one
            shutil.rmtree(copy)
            return
        found = [*self._integrity(copy / "journal.db"), *self._folded(copy)]
        self.problems += [f"{problem} ({copy})" for problem in found]
        if not found:
            shutil.rmtree(copy)

    def _integrity(self, path: Path) -> list[str]:
        database = sqlite3.connect(path)
        try:
            answers = [row[0] for row in database.execute("PRAGMA integrity_check")]
        except sqlite3.DatabaseError as error:
            return [f"integrity_check: {error}"]
        finally:
            database.close()
        return [] if answers == ["ok"] else [f"integrity_check: {answers[:3]}"]

    def _folded(self, copy: Path) -> list[str]:
        try:
            return asyncio.run(self._fold(copy))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next coordinator would meet it
            return [f"the facts cannot be folded: {error!r}"]

    async def _fold(self, copy: Path) -> list[str]:
        journal = await SqliteJournal.open(copy)
        state, facts = State(), {}
        try:
            async for stored in journal.read_all():
                facts[stored.sequence] = hash((stored.job, stored.kind, stored.body))
                apply(state, decode(stored.kind, stored.body, job=stored.job, at_ms=stored.at_ms))
        finally:
            await journal.close()
        changed = [sequence for sequence, digest in self._facts.items() if facts.get(sequence) != digest]
        self._facts = facts
        return [f"facts {changed[:5]} were there before and are gone or others"] if changed else []
