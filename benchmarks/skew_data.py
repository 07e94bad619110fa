"""The inputs of the benchmark `skew`: the same bytes every time, written in blocks of rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.uint8]

LINE_BYTES = 100
_KEY_LETTERS = 10
_DIGITS = 12
_BLOCK_ROWS = 1 << 16
_SEED = 20261123
# 3 to the 18th and 10 have no divisor in common: products with it, cut to 9 digits, are distinct and in no order.
_SCATTER = 387_420_489
_SCATTER_DIGITS = 9
_FOLDER_FILES = 100
_URL_STEMS = tuple(  # what many URLs begin with: bytes, and how many of 16 URLs do
    (f"https://www.example.com/{'archive-of-the-year/' * 99}"[:stem_bytes].encode(), share)
    for stem_bytes, share in ((60, 5), (180, 6), (420, 4), (1500, 1))
)


def write_lines(path: Path, size_bytes: int, *, hot_share: float = 0.0) -> None:
    """Lines of a random key and a value that has the line's number; so many have one and the same key."""
    draw = np.random.default_rng(_SEED)
    with path.open("wb") as out:
        for first, count in _blocks(size_bytes // LINE_BYTES):
            rows = _lines(draw, first, count)
            rows[draw.random(count) < hot_share, :_KEY_LETTERS] = np.frombuffer(b"everywhere", np.uint8)
            out.write(rows.data)


def write_small_files(folder: Path, files: int, mean_lines: int) -> None:
    """Files in folders: of none to twice the mean, every third without an end of its last line."""
    draw = np.random.default_rng(_SEED)
    first = 0
    for number in range(files):
        count = number * 37 % (2 * mean_lines + 1)
        content = _lines(draw, first, count).tobytes()
        path = folder / f"{number // _FOLDER_FILES:04d}" / f"{number % _FOLDER_FILES:04d}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.removesuffix(b"\n") if number % 3 == 0 else content)
        first += count


def write_urls(path: Path, count: int) -> None:
    """Distinct URLs of four lengths; those of a length differ in their last 9 bytes only, and come in no order."""
    stems = [np.frombuffer(stem, np.uint8) for stem, share in _URL_STEMS for _ in range(share)]
    step = _BLOCK_ROWS // len(stems)
    with path.open("wb") as out:
        for number, first in enumerate(range(0, count, step)):
            numbers = np.arange(first, min(first + step, count), dtype=np.int64)
            stem = stems[number % len(stems)]
            rows = np.empty((len(numbers), len(stem) + _SCATTER_DIGITS + 1), np.uint8)
            rows[:, : len(stem)] = stem
            rows[:, len(stem) : -1] = _decimal(numbers * _SCATTER, _SCATTER_DIGITS)
            rows[:, -1] = ord("\n")
            out.write(rows.data)


def write_large_objects(folder: Path, objects: int, size_bytes: int) -> None:
    """Objects that begin with ten bytes of key, which two of them share, and go on in noise."""
    draw = np.random.default_rng(_SEED)
    for number in range(objects):
        noise = draw.bytes(1 << 20)
        with (folder / f"object-{number:04d}").open("wb") as out:
            left = size_bytes - out.write(f"{(objects - 1 - number) // 2:09d}\n".encode())
            while left:
                left -= out.write(noise[:left])


def _lines(draw: np.random.Generator, first: int, count: int) -> Rows:
    rows = np.full((count, LINE_BYTES), ord("v"), np.uint8)
    rows[:, :_KEY_LETTERS] = draw.integers(ord("a"), ord("z") + 1, (count, _KEY_LETTERS), np.uint8)
    rows[:, _KEY_LETTERS] = ord("\t")
    numbers = np.arange(first, first + count, dtype=np.int64)
    rows[:, _KEY_LETTERS + 1 : _KEY_LETTERS + 1 + _DIGITS] = _decimal(numbers, _DIGITS)
    rows[:, -1] = ord("\n")
    return rows


def _decimal(numbers: NDArray[np.int64], digits: int) -> Rows:
    """The last digits of each number."""
    places = 10 ** np.arange(digits - 1, -1, -1, dtype=np.int64)
    return (numbers[:, None] // places % 10 + ord("0")).astype(np.uint8)


def _blocks(rows: int) -> Iterator[tuple[int, int]]:
    """The first row and the number of rows of each block."""
    for first in range(0, rows, _BLOCK_ROWS):
        yield first, min(_BLOCK_ROWS, rows - first)
