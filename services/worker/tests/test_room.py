"""How much room is said to be missing where a volume is full."""

import os
from pathlib import Path

import pytest

from apollo_common.errors import VolumeFull
from apollo_worker.room import tell_of_room, whole_bytes

MIB = 1 << 20


@pytest.mark.parametrize(
    ("made", "read", "total", "whole"),
    [(50, 100, 100, 50), (50, 100, 400, 200), (0, 100, 400, 0), (50, 0, 400, 0), (50, 100, 0, 50)],
    ids=["all is read", "a quarter is read", "nothing made", "nothing read", "a total that nobody knows"],
)
def test_the_whole_follows_from_the_ratio_so_far(made, read, total, whole):
    assert whole_bytes(made, read, total) == whole


class Volume:
    """Of 100 MiB, with what is free of it."""

    f_frsize = 4096
    f_blocks = 100 * MIB // f_frsize

    def __init__(self, free_bytes: int) -> None:
        self.f_bavail = free_bytes // self.f_frsize


@pytest.mark.parametrize(
    ("needed", "kept", "free", "says"),
    [
        (50 * MIB, 10 * MIB, 0, "it is full: it needs about 40.0 MiB more; free space on it or enlarge it"),
        (50 * MIB, 10 * MIB, 15 * MIB, "it is full: it needs about 25.0 MiB more; free space on it or enlarge it"),
        (10 * MIB + 1, 10 * MIB, 0, "it is full: it needs about 1.0 MiB more; free space on it or enlarge it"),
        (10 * MIB, 10 * MIB, 15 * MIB, "it is full: it needs about 1.0 MiB more; free space on it or enlarge it"),
        (300 * MIB, MIB, 0, "it is full: it needs about 299.0 MiB more, and has 100.0 MiB in all; enlarge it"),
        (0, 0, 0, "as it was"),
    ],
    ids=["most is missing", "some is free", "rounded up", "others have taken it", "more than there is", "unknown"],
)
def test_what_is_missing_is_what_is_needed_but_for_what_is_free_or_written(monkeypatch, needed, kept, free, says):
    monkeypatch.setattr(os, "statvfs", lambda _: Volume(free))
    error = VolumeFull("as it was", volume="it")
    tell_of_room(error, needed, kept, Path("/somewhere"))
    assert str(error) == says
    assert bool(error.needed_bytes) == bool(needed)


def test_a_place_that_is_gone_leaves_the_error_as_it_was(tmp_path):
    error = VolumeFull("as it was", volume="it")
    tell_of_room(error, 50, 0, tmp_path / "gone")
    assert (str(error), error.needed_bytes) == ("as it was", 0)
