"""Sizes in bytes as people write them, in the API, the command line and the settings alike."""

import re

_FACTORS: dict[str, int] = {
    "B": 1,
    **{letter: 1 << 10 * power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}IB": 1 << 10 * power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
}
_SIZE = re.compile(r"([0-9]{1,15})\s?([A-Za-z]{1,3})")


def parse_size_bytes(text: str) -> int:
    """A whole number with a unit, as coreutils reads them: 64MiB and 64M are 64 * 2**20, 64MB is 64 * 10**6.

    Raises ValueError with a sentence for the user.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _FACTORS.get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{text[:40]!r} is no size; write a whole number and a unit, such as 64MiB, 512KiB or 1GB")
    return int(match[1]) * factor


def format_size(size_bytes: int) -> str:
    """A size for people, in binary units: 512 B, 1.5 MiB."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"
