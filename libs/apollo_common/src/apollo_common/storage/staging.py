"""Uploads of the file store: one hidden file each, below `<directory of the object>/.apollo-staging/`.

Pieces are appended in the order in which they come, and a piece's ETag is where it begins; so an object whose pieces
came in order needs no copy when it is completed: fsync, rename, fsync of the directory. All of this blocks, and runs
in threads.

An upload's id is `<inode>-<mark>-<name>`. On completion the mark, a random number, becomes the nanoseconds of the
file's modification time: a file with this inode and mark is what the upload made, even if the answer got lost.
"""

import errno
import fcntl
import os
import re
import secrets
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from apollo_common.assignment import PartUpload
from apollo_common.errors import UploadLost
from apollo_common.storage.files import copy_within, fsync_directory, inode, write_all

STAGING = ".apollo-staging"

_CREATED = "created"  # in the staging directory: the topmost directory that was made for this output
_MARKS = 10**9  # nanoseconds in a second
_NOTE = "?"  # ends the name of the note that lies beside an upload while its pieces are put in order


class Staging:
    """The uploads of one file store."""

    def __init__(self) -> None:
        self._directories = threading.Lock()  # one thread at a time makes or removes staging directories

    def create(self, target: Path) -> str:
        """Begin an upload; returns its id."""
        with self._directories:
            staging = target.parent / STAGING
            created = _make_directories(target.parent)
            staging.mkdir(exist_ok=True)
            if created is not None:
                (staging / _CREATED).write_bytes(os.fsencode(created))
            name = f"{secrets.randbelow(_MARKS)}-{target.name}"
            descriptor = os.open(staging / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            return f"{os.fstat(descriptor).st_ino}-{name}"
        finally:
            os.close(descriptor)

    def append(self, target: Path, upload_id: str, content: bytes) -> int:
        """Append a piece; returns where it begins. What a failed write left is cut off again."""
        try:
            descriptor = os.open(_staged(target, upload_id), os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise _lost(target) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            begin = os.lseek(descriptor, 0, os.SEEK_END)
            try:
                write_all(descriptor, content)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, begin)
                raise
            return begin
        finally:
            os.close(descriptor)

    def complete(self, target: Path, upload_id: str, parts: Sequence[PartUpload]) -> None:
        staged = _staged(target, upload_id)
        try:
            descriptor = os.open(staged, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            if not _made(target, upload_id):
                raise _lost(target) from None
        else:
            try:
                _put_in_order(descriptor, staged, parts)
                _set_mark(descriptor, upload_id)
                os.fsync(descriptor)
                staged.rename(target)
            finally:
                os.close(descriptor)
        fsync_directory(target.parent)
        _note(staged).unlink(missing_ok=True)
        with self._directories:
            _remove_if_unused(staged.parent)

    def abort(self, target: Path, upload_id: str) -> None:
        """Discard an upload, and the directories that were made for its output when nothing else is in them."""
        staged = _staged(target, upload_id)
        staged.unlink(missing_ok=True)
        _note(staged).unlink(missing_ok=True)
        with self._directories:
            created = _read_created(staged.parent)
            if _remove_if_unused(staged.parent) and created is not None:
                _remove_empty(target.parent, created)

    def list_uploads(self, prefix: str) -> list[tuple[str, str]]:
        """(path of the object, upload id) of the uploads whose object's path starts with `prefix`."""
        uploads = []
        for directory, directories, _ in os.walk(f"{prefix.rpartition('/')[0]}/"):
            if STAGING not in directories:
                continue
            for staged in sorted((Path(directory) / STAGING).iterdir()):
                target = f"{directory.rstrip('/')}/{staged.name.partition('-')[2]}"
                if staged.name != _CREATED and not staged.name.endswith(_NOTE) and target.startswith(prefix):
                    uploads.append((target, f"{inode(staged)}-{staged.name}"))
        return uploads


def _staged(target: Path, upload_id: str) -> Path:
    if re.fullmatch(r"[0-9]+-[0-9]+-[^/]+", upload_id) is None:
        raise _lost(target)
    return target.parent / STAGING / upload_id.partition("-")[2]


def _set_mark(descriptor: int, upload_id: str) -> None:
    marked_ns = time.time_ns() // _MARKS * _MARKS + int(upload_id.split("-")[1])
    os.utime(descriptor, ns=(marked_ns, marked_ns))


def _made(target: Path, upload_id: str) -> bool:
    """Whether the file is what this upload made."""
    number, mark, _ = upload_id.split("-", 2)
    try:
        found = target.stat()
    except FileNotFoundError:
        return False
    return (found.st_ino, found.st_mtime_ns % _MARKS) == (int(number), int(mark))


def _note(staged: Path) -> Path:
    return staged.with_name(f"{staged.name}{_NOTE}")


def _lost(target: Path) -> UploadLost:
    return UploadLost(f"the upload of file://{target} is gone")


def _put_in_order(descriptor: int, staged: Path, parts: Sequence[PartUpload]) -> None:
    """Leave exactly `parts`, by number, in the staged file. Free when they were appended in order.

    Else the pieces are copied in order behind what is there, and from there to the front. The note says where the
    copy begins once it is whole, so that a crash at any point lets the next call go on.
    """
    ordered = sorted(parts, key=lambda part: part.number)
    begins = list(accumulate((part.size_bytes for part in ordered), initial=0))
    total_bytes = begins.pop()
    length_bytes = os.fstat(descriptor).st_size
    note = _note(staged)
    if not note.exists():
        if any(int(part.etag) + part.size_bytes > length_bytes for part in ordered):
            raise UploadLost(f"the upload {staged} has lost bytes")
        if all(int(part.etag) == begin for part, begin in zip(ordered, begins, strict=True)):
            os.ftruncate(descriptor, total_bytes)
            return
        for part, begin in zip(ordered, begins, strict=True):
            copy_within(descriptor, int(part.etag), length_bytes + begin, part.size_bytes)
        os.fsync(descriptor)
        note.write_text(str(length_bytes))
        fsync_directory(note.parent)
    elif length_bytes == total_bytes:
        return
    copy_within(descriptor, int(note.read_text()), 0, total_bytes)
    os.ftruncate(descriptor, total_bytes)


def _make_directories(directory: Path) -> Path | None:
    """Make the directory; returns the topmost one that was not there."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    return missing[-1] if missing else None


def _read_created(staging: Path) -> Path | None:
    try:
        return Path(os.fsdecode((staging / _CREATED).read_bytes()))
    except FileNotFoundError:
        return None


def _remove_if_unused(staging: Path) -> bool:
    """Remove the staging directory when no upload is left in it; whether it is gone."""
    try:
        if any(entry.name != _CREATED for entry in staging.iterdir()):
            return False
        (staging / _CREATED).unlink(missing_ok=True)
        staging.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        return False
    return True


def _remove_empty(directory: Path, topmost: Path) -> None:
    """Remove directories that are empty, from `directory` up to `topmost`."""
    with suppress(OSError):
        for path in (directory, *directory.parents):
            path.rmdir()
            if path == topmost:
                return
