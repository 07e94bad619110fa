"""The frame codec of Apollo's artifact protocol, version 1 (docs/artifact-protocol.md). Pure.

Every decoder takes any bytes, and raises WorkerProtocolError for those that are no frame.
"""

import struct
import sys
from array import array
from itertools import accumulate, pairwise
from typing import NamedTuple

from apollo_sdk.block import Block

VERSION = 1
HEADER_BYTES = 8
BODY_LIMIT_BYTES = 512 << 20
OFFSET_LIMIT = 1 << 62  # with what a frame holds, it still fits a signed number of 64 bits

HELLO, INPUT, RECORDS, GROUPS, PAIRS, OUTPUT, COUNTER, STATUS, END, ERROR = range(1, 11)

_FROM_WORKER = {HELLO: "HELLO", INPUT: "INPUT", RECORDS: "RECORDS", GROUPS: "GROUPS", END: "END"}
_LINES = 0
_SIZED = 1
_INEXACT_OFFSETS = 1
_CONTINUES = 1

_HEADER = struct.Struct("<II")
_HELLO = struct.Struct("<III")
_HELLO_START = struct.Struct("<II")
_RECORDS = struct.Struct("<HHIQ")
_GROUPS = struct.Struct("<III")
_COUNTER = struct.Struct("<qI")


class WorkerProtocolError(Exception):
    """The worker sent what version 1 of the protocol does not allow."""


class ProtocolMismatch(WorkerProtocolError):
    """The worker speaks another version of the protocol."""


class GroupFrame(NamedTuple):
    """Keys with the values of each; `continues`: the first group goes on from the last one of the frame before."""

    continues: bool
    keys: list[bytes]
    values: list[list[bytes]]


def header(content: bytes) -> tuple[int, int]:
    """The frame's type, one of a worker's, and the length of its body."""
    body_bytes, kind = _HEADER.unpack(content)
    if kind not in _FROM_WORKER:
        raise WorkerProtocolError(f"the worker sent a frame of type {kind}, which is none of a worker's")
    if body_bytes > BODY_LIMIT_BYTES:
        raise WorkerProtocolError(
            f"the worker sent a frame of {body_bytes} bytes; the protocol allows {BODY_LIMIT_BYTES}"
        )
    return kind, body_bytes


def frame(kind: int, body: bytes) -> bytes:
    return _HEADER.pack(len(body), kind) + body


def hello(settings: dict[str, str]) -> bytes:
    keys = [key.encode() for key in settings]
    values = [value.encode() for value in settings.values()]
    return frame(HELLO, _HELLO_START.pack(VERSION, 0) + _pairs_body(keys, values))


def pairs(keys: list[bytes], values: list[bytes]) -> bytes:
    return frame(PAIRS, _pairs_body(keys, values))


def counter(group: str, name: str, increment: int) -> bytes:
    encoded = group.encode()
    return frame(COUNTER, _COUNTER.pack(increment, len(encoded)) + encoded + name.encode())


def end(taken: int) -> bytes:
    return frame(END, taken.to_bytes(8, "little"))


def decode_hello(body: bytes) -> dict[str, str]:
    """The worker's settings."""
    version, _, count = _unpack(_HELLO, body, HELLO)
    if version != VERSION:
        raise ProtocolMismatch(f"this program speaks version {VERSION} of the artifact protocol, the worker {version}")
    key_lengths, at = _u32(body, _HELLO.size, count, HELLO)
    value_lengths, at = _u32(body, at, count, HELLO)
    keys, at = _items(body, at, key_lengths)
    values, at = _items(body, at, value_lengths)
    _expect(at == len(body), HELLO, "lengths that do not add up to its size")
    return {_text(key): _text(value) for key, value in zip(keys, values, strict=True)}


def decode_input(body: bytes) -> str:
    """The URL of the object that the records after it come from."""
    return _text(body)


def decode_records(body: bytes, input_url: str) -> Block:
    framing, flags, count, offset = _unpack(_RECORDS, body, RECORDS)
    _expect(offset < OFFSET_LIMIT, RECORDS, "an offset that no object has")
    at, lengths = _RECORDS.size, None
    if framing == _SIZED:
        lengths, at = _u32(body, at, count, RECORDS)
        _expect(at + sum(lengths) == len(body), RECORDS, "lengths that do not add up to its size")
    else:
        _expect(framing == _LINES, RECORDS, f"the framing {framing}")
    data = body[at:]
    if lengths is None:
        whole = data.count(b"\n") == count and (not data or data.endswith(b"\n"))
        _expect(whole, RECORDS, f"something else than {count} lines")
    return Block(data, count, offset, input_url, lengths, exact_offsets=not flags & _INEXACT_OFFSETS)


def decode_groups(body: bytes) -> GroupFrame:
    groups, flags, total = _unpack(_GROUPS, body, GROUPS)
    _expect(groups > 0, GROUPS, "no groups")
    key_lengths, at = _u32(body, _GROUPS.size, groups, GROUPS)
    counts, at = _u32(body, at, groups, GROUPS)
    value_lengths, at = _u32(body, at, total, GROUPS)
    _expect(sum(counts) == total, GROUPS, "another number of values than its groups have")
    keys, at = _items(body, at, key_lengths)
    values, at = _items(body, at, value_lengths)
    _expect(at == len(body), GROUPS, "lengths that do not add up to its size")
    ends = accumulate(counts)
    cut = [values[end - count : end] for end, count in zip(ends, counts, strict=True)]
    return GroupFrame(bool(flags & _CONTINUES), keys, cut)


def decode_end(body: bytes) -> None:
    """END from a worker is empty."""
    _expect(not body, END, f"{len(body)} bytes in its body")


def _pairs_body(keys: list[bytes], values: list[bytes]) -> bytes:
    lengths = array("I", map(len, keys))
    lengths.extend(map(len, values))
    if sys.byteorder == "big":
        lengths.byteswap()
    return b"".join((len(keys).to_bytes(4, "little"), lengths.tobytes(), *keys, *values))


def _unpack(layout: struct.Struct, body: bytes, kind: int) -> tuple[int, ...]:
    _expect(len(body) >= layout.size, kind, f"{len(body)} bytes in its body")
    return layout.unpack_from(body)


def _u32(body: bytes, at: int, count: int, kind: int) -> "tuple[array[int], int]":
    stop = at + 4 * count
    _expect(stop <= len(body), kind, "more lengths than it has room for")
    numbers = array("I", body[at:stop])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers, stop


def _items(body: bytes, at: int, lengths: "array[int]") -> tuple[list[bytes], int]:
    """Cut consecutive items, beginning at `at`; and where they should end."""
    ends = list(accumulate(lengths, initial=at))
    return [body[start:stop] for start, stop in pairwise(ends)], ends[-1]


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _expect(right: bool, kind: int, found: str) -> None:  # noqa: FBT001  # an assertion
    if not right:
        raise WorkerProtocolError(f"the worker sent a {_FROM_WORKER[kind]} frame with {found}")
