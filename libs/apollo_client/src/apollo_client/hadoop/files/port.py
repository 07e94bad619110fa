"""What the `fs` verbs and the inputs of a job need of a file system."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from apollo_common.errors import PermanentError


class PathProblem(PermanentError):
    """Something about one path, in Hadoop's words: `No such file or directory`. The verb puts its name before it."""

    reason = "path_problem"

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"`{path}': {what}")


NO_SUCH = "No such file or directory"
EXISTS = "File exists"
IS_DIRECTORY = "Is a directory"
NOT_DIRECTORY = "Is not a directory"


@dataclass(frozen=True, slots=True)
class Status:
    """A file or directory. `url` has no trailing slash; times are ms since 1970."""

    url: str
    is_directory: bool
    size_bytes: int = 0
    modified_ms: int = 0
    mode: int = 0o644
    owner: str = ""
    group: str = ""

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


class FileSystem(Protocol):
    """All methods take store URLs without a trailing slash. Errors are the storage's (apollo_common.errors)."""

    async def status(self, url: str) -> Status | None:
        """None when there is nothing. What only has something below it is a directory."""
        ...

    def children(self, url: str) -> AsyncIterator[Status]:
        """What lies right below a directory, hidden things too, in byte order of the names."""
        ...

    def read(self, url: str, *, offset: int = 0, length_bytes: int | None = None) -> AsyncIterator[bytes]:
        """A file's content, from `offset`, at most `length_bytes` of it."""
        ...

    async def write(self, url: str, content: AsyncIterator[bytes]) -> None:
        """Make or replace a file; nothing is seen of it before all of it is there. Directories above are made."""
        ...

    async def make_directory(self, url: str) -> None:
        """With all above it; no error where it exists."""
        ...

    async def remove(self, url: str) -> None:
        """A file or a directory with all below it."""
        ...
