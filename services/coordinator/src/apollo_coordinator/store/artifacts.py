"""The artifact store on disk: content by digest, names that point at it.

    blobs/SHA256        the bytes, never changed
    names/SHA256.json   one artifact each, under the digest of its name (names may hold any character)
    incoming/           uploads under way; emptied at the start

A blob is complete and durable before a name points at it, so a crash at any moment leaves whole artifacts only.
"""

import asyncio
import hashlib
import json
import os
import platform
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Self

from apollo_common.errors import ArtifactTooLarge, ObjectNotFound
from apollo_common.logging import get_logger
from apollo_common.storage.files import fsync_directory, write_all
from apollo_coordinator.callers import ANYONE, Caller
from apollo_coordinator.ports import ArtifactInfo
from apollo_coordinator.store.files import remove_temporaries, volume_errors, write_atomically
from apollo_coordinator.store.inspect import Probe, check_name

MAX_ARTIFACT_BYTES = 256 << 20
_WRITE_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_log = get_logger(__name__)


class ArtifactFiles:
    """The ArtifactStore port on a directory that no other process writes to. Made by `open`."""

    def __init__(self, root: Path, *, max_bytes: int, machine: str, now_ms: Callable[[], int]) -> None:
        self._blobs, self._names, self._incoming = root / "blobs", root / "names", root / "incoming"
        self._max_bytes = max_bytes
        self._machine = machine
        self._now_ms = now_ms
        self._infos: dict[str, ArtifactInfo] = {}
        self._pins: Counter[str] = Counter()
        self._changing = threading.Lock()  # names and blobs; held by worker threads only, for moments

    @classmethod
    async def open(
        cls,
        root: Path,
        *,
        max_bytes: int = MAX_ARTIFACT_BYTES,
        machine: str = platform.machine(),
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> Self:
        """Read what is there. `machine`: what the workers run on, as in uname -m."""
        store = cls(root, max_bytes=max_bytes, machine=machine, now_ms=now_ms)
        await asyncio.to_thread(store._load)
        return store

    async def receive(
        self, name: str, chunks: AsyncIterator[bytes], *, kind: str = "executable", caller: Caller = ANYONE
    ) -> ArtifactInfo:
        check_name(name)
        upload = _Upload(self._incoming)
        try:
            await asyncio.to_thread(upload.open)
            buffer = bytearray()
            async for chunk in chunks:
                buffer += chunk
                if upload.size_bytes + len(buffer) > self._max_bytes:
                    raise ArtifactTooLarge(f"The upload is larger than {self._max_bytes} bytes.")
                if len(buffer) >= _WRITE_BYTES:
                    await asyncio.to_thread(upload.write, bytes(buffer))
                    buffer.clear()
            await asyncio.to_thread(upload.write, bytes(buffer))
            return await asyncio.to_thread(self._publish, name, upload, kind, caller)
        finally:
            await asyncio.shield(asyncio.to_thread(upload.discard))

    async def get(self, name: str) -> ArtifactInfo | None:
        return self._infos.get(name)

    async def all(self) -> list[ArtifactInfo]:
        return sorted(self._infos.values(), key=lambda info: (info.created_ms, info.name))

    async def delete(self, name: str) -> None:
        if name not in self._infos:
            raise ObjectNotFound(f"There is no artifact {name!r}.")
        await asyncio.to_thread(self._forget, name)

    def path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise ObjectNotFound("This is no artifact's digest.")
        return self._blobs / digest

    @contextmanager
    def pinned(self, digests: Iterable[str]) -> Iterator[None]:
        held = list(digests)
        self._pins.update(held)
        try:
            yield
        finally:
            self._pins.subtract(held)
            self._pins += Counter()  # drops what is at zero

    async def expire(self, before_ms: int, in_use: Callable[[str], bool]) -> int:
        old = [
            info
            for info in self._infos.values()
            if (info.uploaded_ms or info.created_ms) < before_ms and not in_use(info.digest)
        ]
        return sum([await asyncio.to_thread(self._forget_unchanged, info) for info in old])

    async def collect(self, in_use: Callable[[str], bool]) -> int:
        # A digest without a name comes into use again only by an upload, which gives it a name that `_remove` sees.
        unnamed = await asyncio.to_thread(self._unreferenced)
        return await asyncio.to_thread(self._remove, [digest for digest in unnamed if not in_use(digest)])

    @property
    def count(self) -> int:
        """How many names there are."""
        return len(self._infos)

    def size_bytes(self) -> int:
        """Of all files on disk, also those that `collect` will remove; blocking. OSError."""
        with os.scandir(self._blobs) as entries:
            return sum(entry.stat().st_size for entry in entries)

    def _load(self) -> None:
        for directory in (self._blobs, self._names, self._incoming):
            directory.mkdir(parents=True, exist_ok=True)
        remove_temporaries(self._names)
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        for path in self._names.glob("*.json"):
            info = ArtifactInfo(**json.loads(path.read_bytes()))
            if self.path(info.digest).exists():
                self._infos[info.name] = info
            else:
                _log.warning("an artifact's bytes are missing", name=info.name, digest=info.digest)

    def _publish(self, name: str, upload: "_Upload", kind: str, caller: Caller) -> ArtifactInfo:
        """Runs in a thread, to its end even when the request is cancelled: names and memory never disagree."""
        protocol = "" if kind == "file" else upload.probe.protocol(self._machine)
        digest = upload.seal()
        now_ms = self._now_ms()
        with self._changing, volume_errors():
            known = self._infos.get(name)
            if known is not None and (known.digest, known.type) != (digest, kind):
                caller.check_owner(f"artifact {name!r}", known.user)
            blob = self.path(digest)
            if not blob.exists():
                upload.path.replace(blob)
                fsync_directory(self._blobs)
            created_ms, user = (known.created_ms, known.user) if known is not None else (now_ms, caller.user)
            info = ArtifactInfo(name, kind, upload.size_bytes, digest, protocol, created_ms, now_ms, user)
            write_atomically(self._name_path(name), json.dumps(asdict(info)).encode(), mode=0o644)
            self._infos[name] = info
        return info

    def _forget(self, name: str) -> None:
        with self._changing:
            self._name_path(name).unlink(missing_ok=True)
            fsync_directory(self._names)
            self._infos.pop(name, None)

    def _forget_unchanged(self, info: ArtifactInfo) -> bool:
        """Unless it is wanted again: uploaded once more, or by a job that is being submitted."""
        with self._changing:
            if self._infos.get(info.name) is not info or info.digest in self._pins:
                return False
            self._name_path(info.name).unlink(missing_ok=True)
            fsync_directory(self._names)
            del self._infos[info.name]
        return True

    def _unreferenced(self) -> list[str]:
        with self._changing:
            named = {info.digest for info in self._infos.values()}
            found = [entry.name for entry in os.scandir(self._blobs)]
        return [digest for digest in found if digest not in named and digest not in self._pins]

    def _remove(self, digests: list[str]) -> int:
        with self._changing:
            named = {info.digest for info in self._infos.values()}
            removed = [digest for digest in digests if digest not in named and digest not in self._pins]
            for digest in removed:
                self.path(digest).unlink(missing_ok=True)
        return len(removed)

    def _name_path(self, name: str) -> Path:
        return self._names / f"{hashlib.sha256(name.encode()).hexdigest()}.json"


class _Upload:
    """One file that is arriving. Its lock keeps `discard` from closing under a write that outlived its request."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / secrets.token_hex(16)
        self.probe = Probe()
        self._hash = hashlib.sha256()
        self._descriptor = -1
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        return self.probe.size_bytes

    def open(self) -> None:
        with self._lock, volume_errors():
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, content: bytes) -> None:
        with self._lock, volume_errors():
            self._hash.update(content)
            self.probe.feed(content)
            write_all(self._descriptor, content)

    def seal(self) -> str:
        """Make the bytes durable; returns their digest."""
        with self._lock, volume_errors():
            os.fchmod(self._descriptor, 0o444)
            os.fsync(self._descriptor)
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Close, and remove the file unless it has become a blob."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            self.path.unlink(missing_ok=True)
