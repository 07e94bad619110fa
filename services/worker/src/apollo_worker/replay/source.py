"""Where a replay gets what it needs, and the stores that an attempt then finds."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final, Protocol, cast

from apollo_common.assignment import DATA_FILE, INDEX_FILE, PartUpload
from apollo_common.storage.open import Stores
from apollo_common.storage.port import ObjectStore, StorageAccess, Upload
from apollo_common.threads import in_thread

MAP_OUTPUTS: Final = "replay:map-outputs"
PART: Final = "replay:part"
"""What the assignment of a replay names in place of a volume or bucket, and of its job's output."""

_FILES: Final = {DATA_FILE: "data", INDEX_FILE: "index"}


class Source(Protocol):
    """The coordinator, as the client speaks with it. Errors: ApolloError."""

    def artifact(self, digest: str) -> AsyncGenerator[bytes, None]: ...

    def map_output(self, attempt: str, file: str, offset: int, length_bytes: int) -> AsyncGenerator[bytes, None]:
        """Of `data` or `index`; less where the file ends."""
        ...


class ReplayStores:
    """See StoreOpener: the input where it is, map outputs from the source, the output into a file or nowhere."""

    def __init__(self, source: Source, output: Path | None) -> None:
        self._stores = Stores()
        self._map_outputs = _MapOutputs(source)
        self._part = PartFile(output)

    async def open(self, url: str, access: StorageAccess) -> ObjectStore:
        if url.startswith(MAP_OUTPUTS):  # a reduce reads them, and does nothing else with them
            return cast(ObjectStore, self._map_outputs)
        if url == PART:  # a part is uploaded, and nothing else
            return cast(ObjectStore, self._part)
        return await self._stores.open(url, access)

    async def close(self) -> None:
        await self._stores.close()


class _MapOutputs:
    """Of ObjectStore what BucketStore reads map outputs with."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, url: str, *, offset: int, length_bytes: int) -> AsyncGenerator[bytes, None]:
        _, attempt, name = url.rsplit("/", 2)
        return self._source.map_output(attempt, _FILES[name], offset, length_bytes)


class PartFile:
    """Of ObjectStore what PartWriter writes with: the pieces follow each other in a file, or are dropped."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    async def upload_part(self, upload: Upload, number: int, content: bytes) -> PartUpload:  # noqa: ARG002 - the port's
        if self._path is not None:
            await in_thread(_append, self._path, content, first=number == 1)
        return PartUpload(number, "", len(content))


def _append(path: Path, content: bytes, *, first: bool) -> None:
    with path.open("wb" if first else "ab") as file:
        file.write(content)
