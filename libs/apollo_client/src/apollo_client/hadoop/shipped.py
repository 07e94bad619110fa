"""The files that go with a job: `-files`, `-file`, `-archives`, and our own programs.

Each is uploaded under its digest and name, so that jobs of several users never replace each other's, and gets the name
that the job's programs expect when a task begins (`hadoop_task.py`).
"""

import hashlib
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apollo_client.hadoop.arguments import StreamingArguments
from apollo_client.hadoop.errors import HadoopUsage, LaunchFailed
from apollo_client.hadoop.files.tree import Files
from apollo_client.hadoop.paths import Paths
from apollo_common.threads import in_thread

_DIGEST_DIGITS = 16
_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class Shipped:
    """`path` is named as the artifact will be. `kind` is `file`, or the archive's own name, which tells its format."""

    path: Path
    wanted: str
    kind: str = "file"


async def collect(given: StreamingArguments, files: Files, paths: Paths, directory: Path) -> list[Shipped]:
    """Brings every file into `directory`, links where it can. LaunchFailed names what does not exist."""
    collector = _Collector(files, paths, directory)
    shipped = [await collector.file("-files", text) for text in given.files]
    for text in (name for names in given.packed for name in names.split(",") if name):
        entry = await collector.file("-file", text)
        if entry.kind != "file":
            raise HadoopUsage(f"-file {text}: is a directory; give it with -files")
        shipped.append(entry)
    shipped += [await collector.archive(text) for text in given.archives]
    by_name: dict[str, Shipped] = {}
    for entry in shipped:
        if by_name.setdefault(entry.wanted, entry) != entry:
            raise HadoopUsage(f"two files are to be called {entry.wanted}: give one of them another name with #NAME")
    return list(by_name.values())


async def program(path: Path, directory: Path) -> Shipped:
    """One of our own programs, under a name that no file of a job's has."""
    linked = await in_thread(_linked, path, path.name, directory)
    return Shipped(linked, f".{linked.name}")


class _Collector:
    def __init__(self, files: Files, paths: Paths, directory: Path) -> None:
        self._files = files
        self._paths = paths
        self._directory = directory

    async def file(self, option: str, text: str) -> Shipped:
        path, name = await self._here(option, text)
        if not path.is_dir():
            return Shipped(await in_thread(_linked, path, name, self._directory), name)
        packed = await in_thread(_packed, path, self._directory)
        return Shipped(await in_thread(_linked, packed, f"{Path(name).name}.tar", self._directory), name, ".tar")

    async def archive(self, text: str) -> Shipped:
        path, name = await self._here("-archives", text)
        linked = await in_thread(_linked, path, path.name, self._directory)
        return Shipped(linked, name, path.name.lower())

    async def _here(self, option: str, text: str) -> tuple[Path, str]:
        """The file on this machine, fetched if need be, and the name that it is to have."""
        location, _, fragment = text.partition("#")
        url = self._paths.url(location)
        name = _checked(option, fragment or url.rpartition("/")[2])
        status = await self._files.status(url)
        if status is None:
            raise LaunchFailed(f"File {location} does not exist ({option})")
        if url.startswith("file://"):
            return Path(url.removeprefix("file://")), name
        if status.is_directory:
            raise HadoopUsage(f"{option} {text}: is a directory in a bucket; give an archive of it")
        fetched = self._directory / f"fetched-{len(os.listdir(self._directory))}" / status.name  # noqa: PTH208
        await self._files.of(f"file://{fetched}").write(f"file://{fetched}", self._files.of(url).read(url))
        return fetched, name


def _checked(option: str, name: str) -> str:
    parts = name.split("/")
    if not name or name.startswith("/") or ".." in parts or "." in parts:
        raise HadoopUsage(f"{option}: {name!r} is no name in the directory of a task")
    return name


def _packed(source: Path, directory: Path) -> Path:
    """A directory as a tar file that is equal for equal content, so that it is uploaded once."""
    target = directory / f"packed-{len(os.listdir(directory))}.tar"  # noqa: PTH208
    with tarfile.open(target, "w") as archive:
        for path in sorted(source.rglob("*")):
            archive.add(path, path.relative_to(source), recursive=False, filter=_anonymous)
    return target


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


def _linked(path: Path, name: str, directory: Path) -> Path:
    """A link to the file, named as its artifact."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()[:_DIGEST_DIGITS]
    last = Path(name).name.encode()[-(_MAX_NAME_BYTES - _DIGEST_DIGITS - 1) :].decode(errors="ignore")
    link = directory / f"{digest}-{last}"
    if not link.exists():
        link.symlink_to(path.absolute())
    return link


def placements(shipped: Sequence[Shipped]) -> list[list[str]]:
    """As `hadoop_task.py` takes them."""
    return [[entry.path.name, entry.wanted, entry.kind] for entry in shipped]
