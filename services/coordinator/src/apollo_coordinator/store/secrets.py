"""Job credentials on disk: one file per job that only the coordinator's user can read, removed when the job ends."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from apollo_common.ids import JobId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.ports import JobSecrets
from apollo_coordinator.store.files import remove_temporaries, write_atomically


class SecretFiles:
    """The SecretStore port on a directory of mode 0700, files of mode 0600."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
        remove_temporaries(root)

    async def put(self, job: JobId, secrets: JobSecrets) -> None:
        content = json.dumps({"input": asdict(secrets.input_access), "output": asdict(secrets.output_access)})
        await asyncio.to_thread(write_atomically, self._path(job), content.encode(), mode=0o600)

    async def get(self, job: JobId) -> JobSecrets | None:
        try:
            content = await asyncio.to_thread(self._path(job).read_bytes)
        except FileNotFoundError:
            return None
        document = json.loads(content)
        return JobSecrets(StorageAccess(**document["input"]), StorageAccess(**document["output"]))

    async def delete(self, job: JobId) -> None:
        await asyncio.to_thread(self._path(job).unlink, missing_ok=True)

    async def sweep(self, known: Callable[[JobId], bool]) -> int:
        unknown = [job for job in await asyncio.to_thread(self._jobs) if not known(job)]
        for job in unknown:
            await self.delete(job)
        return len(unknown)

    def _jobs(self) -> list[JobId]:
        return [JobId(path.stem) for path in self._root.glob("*.json")]

    def _path(self, job: JobId) -> Path:
        if not (job.isascii() and job.isalnum()):
            raise ValueError(f"not a job id: {job!r}")
        return self._root / f"{job}.json"
