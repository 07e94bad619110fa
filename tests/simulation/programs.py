"""The programs that the simulated workers run, and what one process makes of the same input.

Keys are words, values are the places they came from. A reduce writes its values as they arrive, so another order of map
outputs, a missing one or one read twice gives other bytes.
"""

from collections.abc import Sequence

from apollo_common.assignment import Split
from apollo_coordinator.core.spec import JobSpec

WORDS = ("ash", "birch", "cedar", "elm", "fir", "oak", "pine", "yew")

Pair = tuple[str, str]


def mapped(split: Split) -> list[Pair]:
    """The pairs of a made-up split, in order of emission: its place in the file chooses them."""
    (piece,) = split.pieces
    return [
        (WORDS[(piece.offset * 7 + n * n) % len(WORDS)], f"{piece.offset}.{n}") for n in range(piece.offset % 11 + 3)
    ]


def bad_records(spec: JobSpec, split: Split) -> list[bytes]:
    """Those of a split that its mapper fails on, if the job may skip any; no pair comes of them."""
    (piece,) = split.pieces
    count = piece.offset // piece.length_bytes % 3 if spec.max_bad_records else 0
    return [f"bad {piece.offset}.{n}".encode() for n in range(count)]


def partition_of(word: str, partitions: int, splitters: Sequence[bytes] | None) -> int:
    """By its place among the splitters, where there are any, else by its length."""
    if splitters is None:
        return len(word) % partitions
    return sum(splitter <= word.encode() for splitter in splitters)


def partitioned(pairs: Sequence[Pair], partitions: int, splitters: Sequence[bytes] | None) -> list[list[Pair]]:
    parts: list[list[Pair]] = [[] for _ in range(partitions)]
    for word, value in pairs:
        parts[partition_of(word, partitions, splitters)].append((word, value))
    return parts


def reduced(segments: Sequence[Sequence[Pair]]) -> bytes:
    """A line per word, with the values as they arrive from the map outputs in the order given."""
    values: dict[str, list[str]] = {}
    for segment in segments:
        for word, value in segment:
            values.setdefault(word, []).append(value)
    return written([(word, " ".join(values[word])) for word in sorted(values)])


def written(pairs: Sequence[Pair]) -> bytes:
    return "".join(f"{word}\t{value}\n" for word, value in pairs).encode()


def oracle(splits: Sequence[Split], n_reducers: int, splitters: Sequence[bytes] | None) -> dict[str, bytes]:
    """The parts by name, from one loop in one process."""
    if n_reducers == 0:
        return {f"part-m-{index:05d}": written(mapped(split)) for index, split in enumerate(splits)}
    lines: list[dict[str, str]] = [{} for _ in range(n_reducers)]
    for split in splits:
        for word, value in mapped(split):
            line = lines[partition_of(word, n_reducers, splitters)]
            line[word] = f"{line[word]} {value}" if word in line else value
    return {
        f"part-r-{index:05d}": "".join(f"{word}\t{line[word]}\n" for word in sorted(line)).encode()
        for index, line in enumerate(lines)
    }
