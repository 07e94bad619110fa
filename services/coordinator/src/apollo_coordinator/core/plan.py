"""Cuts the input into splits: which bytes each map task reads."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import pairwise

from apollo_common.assignment import Split, SplitPiece
from apollo_common.errors import TooManySplits, UnsupportedCompression
from apollo_common.key_samples import SAMPLED_BYTES
from apollo_common.record_format import LINES, RecordFormat, RecordKind, parse_record_format
from apollo_common.storage.port import ObjectInfo

MAX_SPLITS = 100_000
MAX_PACKED_OBJECTS = 1_000  # in one split: each costs a request to the store
MANY_OBJECTS = 100  # of more, those are packed that have no more bytes than one of so many equal shares
HADOOP_SLOP_TENTHS = 11  # the last split of an object may be larger by a tenth (FileInputFormat.SPLIT_SLOP)

_CODECS = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd"}
_OTHER_COMPRESSION = (".xz", ".lz4", ".snappy", ".zip")


class SplitPolicy(StrEnum):
    """How objects become splits.

    `apart`: every split is of one object. `packed`: small objects share a split, up to the split size. `auto`: apart,
    unless there are so many that they are better packed. `hadoop`: as Hadoop's FileInputFormat and JobSubmitter do it.
    """

    AUTO = "auto"
    APART = "apart"
    PACKED = "packed"
    HADOOP = "hadoop"


def codec_of(url: str, record_format: RecordFormat = LINES) -> str:
    """How an object is compressed, by its extension; empty: not at all. UnsupportedCompression.

    A program that gets whole objects may know what Apollo does not.
    """
    if url.endswith(_OTHER_COMPRESSION) and record_format.kind is not RecordKind.WHOLE:
        raise UnsupportedCompression(
            f"{url} is compressed in a way that Apollo does not read: decompress it, "
            "compress it as .gz, .bz2 or .zst, or leave it out of the input"
        )
    return next((codec for extension, codec in _CODECS.items() if url.endswith(extension)), "")


def plan_splits(
    objects: Sequence[ObjectInfo],
    split_size_bytes: int,
    *,
    record_format: str = "lines",
    policy: SplitPolicy = SplitPolicy.AUTO,
    job_input: int = 0,
    max_splits: int = MAX_SPLITS,
) -> list[Split]:
    """Splits in the order of the objects; one per compressed or whole object, or per started `split_size_bytes`.

    Objects without a record give none. `job_input`: which of a job's inputs the objects are. TooManySplits names the
    setting, UnsupportedCompression the object.
    """
    parsed = parse_record_format(record_format)
    splits: list[Split] = []
    for pieces in _packed(objects, parsed, split_size_bytes, policy):
        if len(splits) == max_splits:
            raise TooManySplits(
                f"the input has more than {MAX_SPLITS} splits of {split_size_bytes} bytes: "
                "raise splitSize, or put small objects together"
            )
        splits.append(Split(tuple(pieces), record_format, job_input))
    return splits


def beginning(split: Split) -> Split:
    """What a sampler reads of a split: little more than SAMPLED_BYTES, as far as that can be said before it is read."""
    may_cut = parse_record_format(split.format).splittable
    pieces: list[SplitPiece] = []
    left_bytes = SAMPLED_BYTES
    for piece in split.pieces:
        if left_bytes <= 0:
            break
        cut = may_cut and not piece.codec
        pieces.append(replace(piece, length_bytes=min(piece.length_bytes, left_bytes)) if cut else piece)
        left_bytes -= piece.length_bytes
    return replace(split, pieces=tuple(pieces))


def as_hadoop_orders(splits: list[Split]) -> list[Split]:
    """The longest first, as JobSubmitter does it: the longest tasks shall not start last."""
    return sorted(splits, key=lambda split: -split.size_bytes)


def _packed(
    objects: Sequence[ObjectInfo], record_format: RecordFormat, split_size_bytes: int, policy: SplitPolicy
) -> Iterator[list[SplitPiece]]:
    goal_bytes = _goal_bytes(objects, split_size_bytes, policy)
    pack: list[SplitPiece] = []
    packed_bytes = 0
    for info in objects:
        pieces = list(_pieces(info, split_size_bytes, record_format, policy))
        small = len(pieces) == 1 and info.size_bytes <= goal_bytes
        if pack and (not small or packed_bytes + info.size_bytes > goal_bytes or len(pack) == MAX_PACKED_OBJECTS):
            yield pack
            pack, packed_bytes = [], 0
        if small:
            pack += pieces
            packed_bytes += info.size_bytes
        else:
            yield from ([piece] for piece in pieces)
    if pack:
        yield pack


def _goal_bytes(objects: Sequence[ObjectInfo], split_size_bytes: int, policy: SplitPolicy) -> int:
    """How much of small objects goes into one split; -1: they stay apart."""
    if policy is SplitPolicy.PACKED:
        return split_size_bytes
    if policy is SplitPolicy.AUTO and len(objects) > MANY_OBJECTS:
        return min(split_size_bytes, sum(info.size_bytes for info in objects) // MANY_OBJECTS)
    return -1


def _pieces(
    info: ObjectInfo, split_size_bytes: int, record_format: RecordFormat, policy: SplitPolicy
) -> Iterator[SplitPiece]:
    codec = codec_of(info.url, record_format)
    keeps_empty = policy is SplitPolicy.HADOOP or record_format.kind is RecordKind.WHOLE
    if not info.size_bytes and not keeps_empty:
        return
    starts = [0]
    if not codec and record_format.splittable:
        starts = _starts(info.size_bytes, split_size_bytes, as_hadoop=policy is SplitPolicy.HADOOP)
    for start, end in pairwise([*starts, info.size_bytes]):
        yield SplitPiece(info.url, start, end - start, info.size_bytes, info.version, codec)


def _starts(size_bytes: int, split_size_bytes: int, *, as_hadoop: bool) -> list[int]:
    starts = list(range(0, size_bytes, split_size_bytes)) or [0]
    if as_hadoop and len(starts) > 1 and (size_bytes - starts[-2]) * 10 <= split_size_bytes * HADOOP_SLOP_TENTHS:
        starts.pop()
    return starts
