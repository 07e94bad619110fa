"""The frame codec of Apollo's artifact protocol, version 1 (docs/artifact-protocol.md). Pure."""

import struct
import sys
from array import array
from itertools import accumulate, pairwise
from typing import NamedTuple

from apollo_sdk.block import Block

VERSION = 1
HEADER_BYTES = 8

HELLO, INPUT, RECORDS, GROUPS, PAIRS, OUTPUT, COUNTER, STATUS, END, ERROR = range(1, 11)

_LINES = 0
_INEXACT_OFFSETS = 1
_CONTINUES = 1

_HEADER = struct.Struct("<II")
_HELLO = struct.Struct("<II")
_RECORDS = struct.Struct("<HHIQ")
_GROUPS = struct.Struct("<III")
_COUNTER = struct.Struct("<qI")


class ProtocolMismatch(Exception):
    """The worker speaks another version of the protocol."""


class GroupFrame(NamedTuple):
    """Keys with the values of each; `continues`: the first group goes on from the last one of the frame before."""

    continues: bool
    keys: list[bytes]
    values: list[list[bytes]]


def header(content: bytes) -> tuple[int, int]:
    """The frame's type and the length of its body."""
    body_bytes, kind = _HEADER.unpack(content)
    return kind, body_bytes


def frame(kind: int, body: bytes) -> bytes:
    return _HEADER.pack(len(body), kind) + body


def hello(settings: dict[str, str]) -> bytes:
    keys = [key.encode() for key in settings]
    values = [value.encode() for value in settings.values()]
    return frame(HELLO, _HELLO.pack(VERSION, 0) + _pairs_body(keys, values))


def pairs(keys: list[bytes], values: list[bytes]) -> bytes:
    return frame(PAIRS, _pairs_body(keys, values))


def counter(group: str, name: str, increment: int) -> bytes:
    encoded = group.encode()
    return frame(COUNTER, _COUNTER.pack(increment, len(encoded)) + encoded + name.encode())


def end(taken: int) -> bytes:
    return frame(END, taken.to_bytes(8, "little"))


def decode_hello(body: bytes) -> dict[str, str]:
    """The worker's settings."""
    version, _ = _HELLO.unpack_from(body)
    if version != VERSION:
        raise ProtocolMismatch(f"this program speaks version {VERSION} of the artifact protocol, the worker {version}")
    count = int.from_bytes(body[8:12], "little")
    key_lengths, at = _u32(body, 12, count)
    value_lengths, at = _u32(body, at, count)
    keys, at = _items(body, at, key_lengths)
    values, at = _items(body, at, value_lengths)
    return {key.decode(): value.decode() for key, value in zip(keys, values, strict=True)}


def decode_records(body: bytes, input_url: str) -> Block:
    framing, flags, count, offset = _RECORDS.unpack_from(body)
    at, lengths = _RECORDS.size, None
    if framing != _LINES:
        lengths, at = _u32(body, at, count)
    return Block(body[at:], count, offset, input_url, lengths, exact_offsets=not flags & _INEXACT_OFFSETS)


def decode_groups(body: bytes) -> GroupFrame:
    groups, flags, total = _GROUPS.unpack_from(body)
    key_lengths, at = _u32(body, _GROUPS.size, groups)
    counts, at = _u32(body, at, groups)
    value_lengths, at = _u32(body, at, total)
    keys, at = _items(body, at, key_lengths)
    values, at = _items(body, at, value_lengths)
    ends = accumulate(counts)
    cut = [values[end - count : end] for end, count in zip(ends, counts, strict=True)]
    return GroupFrame(bool(flags & _CONTINUES), keys, cut)


def _pairs_body(keys: list[bytes], values: list[bytes]) -> bytes:
    lengths = array("I", map(len, keys))
    lengths.extend(map(len, values))
    if sys.byteorder == "big":
        lengths.byteswap()
    return b"".join((len(keys).to_bytes(4, "little"), lengths.tobytes(), *keys, *values))


def _u32(body: bytes, at: int, count: int) -> "tuple[array[int], int]":
    stop = at + 4 * count
    numbers = array("I", body[at:stop])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers, stop


def _items(body: bytes, at: int, lengths: "array[int]") -> tuple[list[bytes], int]:
    """Cut consecutive items, beginning at `at`; and where they end."""
    ends = list(accumulate(lengths, initial=at))
    return [body[start:stop] for start, stop in pairwise(ends)], ends[-1]
