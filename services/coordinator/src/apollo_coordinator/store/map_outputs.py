"""Reads the map outputs that workers have left, on the intermediate volume or in the bucket."""

from collections.abc import AsyncGenerator

from apollo_common.storage.port import ObjectStore


class MapOutputFiles:
    """See apollo_coordinator.ports.MapOutputReader."""

    def __init__(self, store: ObjectStore, url: str) -> None:
        """`url`: what the paths of map outputs are below, in the store's words, without a trailing slash."""
        self._store = store
        self._url = url

    async def size_bytes(self, path: str, file: str) -> int | None:
        info = await self._store.stat(self._at(path, file))
        return info.size_bytes if info is not None else None

    def read(self, path: str, file: str, *, offset: int, length_bytes: int) -> AsyncGenerator[bytes, None]:
        return self._store.read(self._at(path, file), offset=offset, length_bytes=length_bytes)

    def _at(self, path: str, file: str) -> str:
        return f"{self._url}/{path}/{file}"
