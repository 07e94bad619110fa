"""Artifacts that the coordinator installed, as files named by their SHA-256, within a bounded size."""

import asyncio
import hashlib
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from apollo_common.errors import ArtifactCorrupt, ArtifactMissing, VolumeFull
from apollo_common.storage.file_errors import NO_SPACE
from apollo_common.threads import in_thread
from apollo_common.volumes import Volume, in_whole_mib, shortage

_DIGEST = re.compile(r"[0-9a-f]{64}")
_EXECUTABLE = 0o555


class ArtifactCache:
    """Starts empty. What was not used for longest makes room; what an attempt uses stays."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._sizes: dict[str, int] = {}  # by last use, the oldest first
        self._pins: dict[str, int] = {}
        self._writing = asyncio.Lock()
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

    def digests(self) -> list[str]:
        return list(self._sizes)

    @property
    def size_bytes(self) -> int:
        return sum(self._sizes.values())

    def __contains__(self, digest: str) -> bool:
        return digest in self._sizes

    @contextmanager
    def pinned(self, digests: Iterable[str]) -> Iterator[None]:
        """Keep these artifacts while an attempt uses them. ArtifactMissing."""
        wanted = list(digests)
        for digest in wanted:
            if digest not in self._sizes:
                raise ArtifactMissing(f"the worker does not hold artifact {digest[:12]}; it is installed again")
        for digest in wanted:
            self._pins[digest] = self._pins.get(digest, 0) + 1
            self._sizes[digest] = self._sizes.pop(digest)
        try:
            yield
        finally:
            for digest in wanted:
                self._pins[digest] -= 1
                if not self._pins[digest]:
                    del self._pins[digest]

    def path(self, digest: str) -> Path:
        """The file of an artifact that is here."""
        return self._directory / digest

    async def store(self, digest: str, size_bytes: int, content: AsyncIterator[bytes]) -> None:
        """Write and verify one artifact. ArtifactCorrupt when the bytes are others; VolumeFull when it cannot fit."""
        if not _DIGEST.fullmatch(digest):
            raise ArtifactCorrupt("an artifact's digest must be 64 hexadecimal digits")
        async with self._writing:
            if digest in self._sizes:
                async for _ in content:
                    pass
                return
            await in_thread(_unlink, self._make_room(size_bytes))
            partial = self._directory / f"{digest}.partial"
            try:
                await self._write(partial, digest, size_bytes, content)
                partial.chmod(_EXECUTABLE)
                partial.rename(self.path(digest))
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
                raise VolumeFull(
                    f"no room for artifact {digest[:12]}: {shortage(Volume.WORKER, in_whole_mib(size_bytes))}, "
                    "or point APOLLO_WORK_DIR at another one",
                    volume=Volume.WORKER,
                    needed_bytes=in_whole_mib(size_bytes),
                ) from error
            finally:
                partial.unlink(missing_ok=True)
            self._sizes[digest] = size_bytes

    async def _write(self, partial: Path, digest: str, size_bytes: int, content: AsyncIterator[bytes]) -> None:
        hasher = hashlib.sha256()
        written = 0
        with partial.open("wb") as file:
            async for chunk in content:
                written += len(chunk)
                if written > size_bytes:
                    break
                await in_thread(file.write, chunk)
                await in_thread(hasher.update, chunk)
            await in_thread(file.flush)
        if written != size_bytes or hasher.hexdigest() != digest:
            raise ArtifactCorrupt(f"artifact {digest[:12]} did not arrive whole; it is sent again")

    def _make_room(self, size_bytes: int) -> list[Path]:
        """Forget what was not used for longest; returns its files, to be removed. VolumeFull, and nothing forgotten."""
        free = self._limit_bytes - self.size_bytes
        dropped = []
        for digest in self._sizes:
            if free >= size_bytes:
                break
            if digest not in self._pins:
                free += self._sizes[digest]
                dropped.append(digest)
        if free < size_bytes:
            raise VolumeFull(
                f"an artifact of {size_bytes} bytes does not fit the worker's cache of {self._limit_bytes} bytes;"
                " raise APOLLO_ARTIFACT_CACHE_BYTES"
            )
        for digest in dropped:
            del self._sizes[digest]
        return [self.path(digest) for digest in dropped]


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
