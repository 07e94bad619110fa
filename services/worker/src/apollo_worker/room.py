"""How much room an attempt that met a full volume would still have needed."""

import os
from pathlib import Path

from apollo_common.errors import VolumeFull
from apollo_common.volumes import in_whole_mib, shortage


def whole_bytes(made_bytes: int, read_bytes: int, total_bytes: int) -> int:
    """What all of the input will make, after `made_bytes` of the first `read_bytes` of it; 0 while nobody knows."""
    return made_bytes * max(total_bytes, read_bytes) // read_bytes if read_bytes else 0


def tell_of_room(error: VolumeFull, needed_bytes: int, kept_bytes: int, place: Path) -> None:
    """Say in the error how much more is needed than is free at `place`, as long as what was written lies there. Blocks.

    `needed_bytes` in all, 0 when nobody knows; `kept_bytes` of them are written, and go with the attempt.
    """
    try:
        volume = os.statvfs(place)
    except OSError:
        return
    if needed_bytes:
        free_bytes, size_bytes = volume.f_bavail * volume.f_frsize, volume.f_blocks * volume.f_frsize
        error.needed_bytes = in_whole_mib(max(1, needed_bytes - kept_bytes - free_bytes))
        error.args = (shortage(error.volume, error.needed_bytes, size_bytes if needed_bytes > size_bytes else 0),)
