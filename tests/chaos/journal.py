"""The journal of a dead coordinator, looked at on a copy: sound, foldable, and never shorter than it was."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from apollo_coordinator.core.state import State
from apollo_coordinator.engine.recovery import recover
from apollo_coordinator.store.journal import SqliteJournal
from support.quiet import quiet_logs


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
        for path in (*self._data.glob("journal.db*"), *self._data.glob("lock")):
            shutil.copy(path, copy)
        if not (copy / "journal.db").exists():  # killed before it made one
            shutil.rmtree(copy)
            return
        found = [*self._sound(copy / "journal.db"), *self._foldable(copy)]
        self.problems += [f"{problem} ({copy})" for problem in found]
        if not found:
            shutil.rmtree(copy)

    def _sound(self, path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as database:
            try:
                answers = [row[0] for row in database.execute("PRAGMA integrity_check")]
                rows = database.execute("SELECT sequence, job, kind, body FROM facts").fetchall()
            except sqlite3.DatabaseError as error:
                return [f"integrity_check: {error}"]
        before, self._facts = self._facts, {row[0]: hash(row) for row in rows}
        changed = [sequence for sequence, digest in before.items() if self._facts.get(sequence) != digest]
        return [
            *([] if answers == ["ok"] else [f"integrity_check: {answers[:3]}"]),
            *([f"facts {changed[:5]} were there before and are gone or others"] if changed else []),
        ]

    def _foldable(self, copy: Path) -> list[str]:
        try:
            with quiet_logs():
                asyncio.run(self._recover(copy))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next coordinator would meet it
            return [f"a coordinator could not recover from it: {error!r}"]
        return []

    async def _recover(self, copy: Path) -> None:
        journal = await SqliteJournal.open(copy)
        try:
            await recover(journal, State(), restored=lambda _: None, folded=lambda _, __: None)
        finally:
            await journal.close()
