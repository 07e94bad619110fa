"""Map outputs on the volume that workers share: one directory per job, which goes when the job has ended.

Coordinators may share a volume. Each leaves a file `.apollo-coordinator-ID` in its root, before it has jobs there.
While there is one such file only, directories of jobs that its coordinator does not know are nobody's.
"""

import asyncio
import re
import shutil
from pathlib import Path

from apollo_common.errors import StorageUnavailable
from apollo_common.ids import JOB_ID_LENGTH, JobId

JOB_DIRECTORY = re.compile(rf"[a-z0-9]{{{JOB_ID_LENGTH}}}")
_MARK = ".apollo-coordinator-"


class IntermediateFiles:
    """See apollo_coordinator.ports.IntermediateStore. Only names that Apollo gives are touched."""

    def __init__(self, volume: Path, *, coordinator: str) -> None:
        """Leaves the coordinator's mark. StorageUnavailable."""
        self._volume = volume
        self._mark = f"{_MARK}{coordinator}"
        try:
            (volume / self._mark).touch()
        except OSError as error:
            raise StorageUnavailable(f"the intermediate volume {volume} cannot be written: {error.strerror}") from error

    async def remove(self, job: JobId) -> None:
        await asyncio.to_thread(self._remove, job)

    async def holds(self, job: JobId) -> bool:
        return await asyncio.to_thread(self._holds, job)

    async def jobs(self) -> list[JobId]:
        names = await asyncio.to_thread(self._names)
        return [JobId(name) for name in names if JOB_DIRECTORY.fullmatch(name)]

    async def others(self) -> list[str]:
        # Directories are listed before marks are: who made one of them has left its mark by now.
        names = await asyncio.to_thread(self._names)
        return [str(self._volume / name) for name in names if name.startswith(_MARK) and name != self._mark]

    def _names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self._volume.iterdir())
        except OSError as error:
            raise StorageUnavailable(f"the intermediate volume cannot be listed: {error.strerror}") from error

    def _holds(self, job: JobId) -> bool:
        try:
            return any((self._volume / job).iterdir())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageUnavailable(f"the intermediate volume cannot be listed: {error.strerror}") from error

    def _remove(self, job: JobId) -> None:
        directory = self._volume / job
        try:
            shutil.rmtree(directory)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not directory.exists():
                return
            # Also when something in it has just gone: a worker that was given up may still be tidying.
            raise StorageUnavailable(f"the intermediate data of job {job} stays: {error.strerror}") from error
