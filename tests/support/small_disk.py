"""A file system of its own that is small enough to be filled: ext4 on a loop device, or memory where there is none."""

import os
import subprocess
from pathlib import Path
from typing import Self

import pytest

MIB = 1 << 20

_BALLAST = "ballast"
_BLOCK_BYTES = 4 << 10

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


class SmallDisk:
    """As a context manager it is mounted at `place`, and neither mount nor loop device nor image is left behind."""

    def __init__(self, place: Path, size_bytes: int) -> None:
        self.place = place
        self._size_bytes = size_bytes
        self._image = place.with_name(f"{place.name}.img")

    def __enter__(self) -> Self:
        self.place.mkdir(parents=True, exist_ok=True)
        try:
            if not self._mount_loop():
                _run("mount", "-t", "tmpfs", "-o", f"size={self._size_bytes}", "apollo-test", self.place)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        while self.place.is_mount():
            _run("umount", "--lazy", self.place)  # detaches the loop device, too
        self._image.unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.place)
        return found.f_bavail * found.f_frsize

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take what is free but for so much, beside what was taken before."""
        ballast = os.open(self.place / _BALLAST, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while _take(ballast, self.free_bytes - leave_bytes):
                pass
        finally:
            os.close(ballast)

    def make_room(self) -> None:
        """Give back all that `fill` has taken."""
        (self.place / _BALLAST).unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """All regular files but those of the file system and the test."""
        return sorted(path for path in self.place.rglob("*") if path.is_file() and path.name != _BALLAST)

    def _mount_loop(self) -> bool:
        """False: this machine has no loop device to give, or cannot make the file system."""
        with self._image.open("wb") as image:
            image.truncate(self._size_bytes)
        try:
            _run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", self._image)
            _run("mount", "-o", "loop", self._image, self.place)
        except (subprocess.CalledProcessError, FileNotFoundError):
            self._image.unlink(missing_ok=True)
            return False
        (self.place / "lost+found").rmdir()
        return True


def _take(file: int, size_bytes: int) -> bool:
    """Append so much, or half of it while that is too much: a file system needs some blocks for itself. Whether any."""
    while size_bytes >= _BLOCK_BYTES:
        try:
            os.posix_fallocate(file, os.fstat(file).st_size, size_bytes)
        except OSError:
            size_bytes //= 2
        else:
            return True
    return False


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
