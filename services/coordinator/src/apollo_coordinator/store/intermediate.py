"""Map outputs on the volume that workers share: one directory per job, which goes when the job has ended."""

import asyncio
import re
import shutil
from pathlib import Path

from apollo_common.errors import StorageUnavailable
from apollo_common.ids import JOB_ID_LENGTH, JobId

_JOB_DIRECTORY = re.compile(rf"[a-z0-9]{{{JOB_ID_LENGTH}}}")


class IntermediateFiles:
    """See apollo_coordinator.ports.IntermediateStore."""

    def __init__(self, volume: Path) -> None:
        self._volume = volume

    async def remove(self, job: JobId) -> None:
        await asyncio.to_thread(self._remove, str(job))

    async def sweep(self, known: frozenset[JobId]) -> None:
        await asyncio.to_thread(self._sweep, known)

    def _sweep(self, known: frozenset[JobId]) -> None:
        """Only names that Apollo gives are touched: the volume may hold what is not ours."""
        try:
            names = sorted(entry.name for entry in self._volume.iterdir() if entry.is_dir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageUnavailable(f"the intermediate volume cannot be listed: {error.strerror}") from error
        for name in names:
            if _JOB_DIRECTORY.fullmatch(name) and name not in known:
                self._remove(name)

    def _remove(self, name: str) -> None:
        try:
            shutil.rmtree(self._volume / name)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageUnavailable(f"the intermediate data of job {name} stays: {error.strerror}") from error
