"""What may be full, in the words that users read: answers, errors and logs say the same, and no path of a service."""

from enum import StrEnum

from apollo_common.units import format_size

MIB = 1 << 20


class Volume(StrEnum):
    INTERMEDIATE = "the intermediate volume"  # map outputs, shared by all workers
    WORKER = "the worker's own disk"
    OUTPUT = "the output's volume"
    COORDINATOR = "the coordinator's volume"


def shortage(volume: str, needed_bytes: int = 0, size_bytes: int = 0) -> str:
    """That a volume is full, and what to do. `needed_bytes`: about how much more is needed than is free; 0: nobody
    knows. `size_bytes`: of the volume, where so much can never be free there; else 0.
    """
    more = f": it needs about {format_size(needed_bytes)} more" if needed_bytes else ""
    never = f", and has {format_size(size_bytes)} in all" if size_bytes else ""
    what = "enlarge it" if size_bytes else "free space on it or enlarge it"
    return f"{volume} is full{more}{never}; {what}"


def in_whole_mib(size_bytes: int) -> int:
    """An estimate, rounded up."""
    return -(-size_bytes // MIB) * MIB
