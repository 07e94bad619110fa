"""Cuts the input into splits: which bytes each map task reads."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from apollo_common.assignment import Split, SplitPiece
from apollo_common.errors import TooManySplits, UnsupportedCompression
from apollo_common.key_samples import SAMPLED_BYTES
from apollo_common.storage.port import ObjectInfo

MAX_SPLITS = 100_000

_CODECS = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd"}
_OTHER_COMPRESSION = (".xz", ".lz4", ".snappy", ".zip")


def codec_of(url: str) -> str:
    """How an object is compressed, by its extension; empty: not at all. UnsupportedCompression."""
    if url.endswith(_OTHER_COMPRESSION):
        raise UnsupportedCompression(
            f"{url} is compressed in a way that Apollo does not read: decompress it, "
            "compress it as .gz, .bz2 or .zst, or leave it out of the input"
        )
    return next((codec for extension, codec in _CODECS.items() if url.endswith(extension)), "")


def plan_splits(
    objects: Iterable[ObjectInfo], split_size_bytes: int, *, record_format: str = "lines", max_splits: int = MAX_SPLITS
) -> list[Split]:
    """One split per started `split_size_bytes` of a plain object, one per compressed or whole one, in order.

    Empty objects give none. TooManySplits names the setting, UnsupportedCompression the object.
    """
    splits: list[Split] = []
    for info in objects:
        for piece in _pieces(info, split_size_bytes, record_format):
            if len(splits) == max_splits:
                raise TooManySplits(
                    f"the input has more than {max_splits} splits of {split_size_bytes} bytes: "
                    "raise splitSize, or put small objects together"
                )
            splits.append(Split((piece,), record_format))
    return splits


def beginning(split: Split) -> Split:
    """What a sampler reads of a split: at most SAMPLED_BYTES, as far as that can be said before it is decoded."""
    first = split.pieces[0]
    if not first.codec and split.format == "lines":
        first = replace(first, length_bytes=min(first.length_bytes, SAMPLED_BYTES))
    return Split((first,), split.format)


def _pieces(info: ObjectInfo, split_size_bytes: int, record_format: str) -> Iterator[SplitPiece]:
    codec = codec_of(info.url)
    step_bytes = info.size_bytes if codec or record_format == "whole" else split_size_bytes
    for offset in range(0, info.size_bytes, max(1, step_bytes)):
        length_bytes = min(step_bytes, info.size_bytes - offset)
        yield SplitPiece(info.url, offset, length_bytes, info.size_bytes, info.version, codec)
