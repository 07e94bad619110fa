"""The frame codec of the artifact protocol (docs/artifact-protocol.md): buffers in, values out, no I/O.

A frame is a header of 8 bytes (u32 body length, u32 type; little-endian, as everything) and its body. What comes from
the program is hostile until decoded: every decoder raises ProgramProtocolError with the frame's place in the stream.
"""

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apollo_common.errors import ProgramProtocolError, RecordTooLarge
from apollo_worker.core.budget import record_limit_bytes, record_limit_words
from apollo_worker.core.columns import Bytes, GroupBatch, Lengths, Offsets, PairBatch, RecordBlock

VERSION = 1
HEADER_BYTES = 8
SMALL_BODY_LIMIT_BYTES = 64 << 10  # of frames that are no data: HELLO, COUNTER, STATUS, END, ERROR
NAME_LIMIT_BYTES = 255  # of a counter's group and name
SMALLEST_DATA_LIMIT_BYTES = 16 << 20
_DATA_OVERHEAD_BYTES = 64 << 10

FRAMING_LINES = 0
FRAMING_SIZED = 1
FLAG_INEXACT_OFFSETS = 1
FLAG_CONTINUES = 1

_HEADER = struct.Struct("<II")
_HELLO = struct.Struct("<II")
_RECORDS = struct.Struct("<HHIQ")
_GROUPS = struct.Struct("<III")
_COUNTER = struct.Struct("<qI")
_U32 = np.dtype("<u4")

Buffer = bytes | bytearray | memoryview


class FrameType(IntEnum):
    HELLO = 1
    INPUT = 2
    RECORDS = 3
    GROUPS = 4
    PAIRS = 5
    OUTPUT = 6
    COUNTER = 7
    STATUS = 8
    END = 9
    ERROR = 10


FROM_PROGRAM = frozenset(
    {
        FrameType.HELLO,
        FrameType.PAIRS,
        FrameType.OUTPUT,
        FrameType.COUNTER,
        FrameType.STATUS,
        FrameType.END,
        FrameType.ERROR,
    }
)
_DATA = frozenset({FrameType.PAIRS, FrameType.OUTPUT})


class Limits(NamedTuple):
    """What one frame may hold, from the attempt's memory budget."""

    record_bytes: int
    data_body_bytes: int

    @classmethod
    def of_budget(cls, memory_budget_bytes: int) -> "Limits":
        record_bytes = record_limit_bytes(memory_budget_bytes)
        return cls(record_bytes, max(record_bytes, SMALLEST_DATA_LIMIT_BYTES) + _DATA_OVERHEAD_BYTES)


class Header(NamedTuple):
    type: FrameType
    body_bytes: int


class CounterFrame(NamedTuple):
    group: str
    name: str
    increment: int


def decode_header(content: Buffer, at: int) -> Header:
    """The header that stands `at` bytes into the program's stream. A data frame may still be `oversized`."""
    body_bytes, number = _HEADER.unpack(content)
    if at == 0 and number != FrameType.HELLO:
        raise ProgramProtocolError(
            f"at byte 0 of the program's stream: expected a HELLO frame (type {FrameType.HELLO:d}), found type "
            f"{number}; a program that does not use an Apollo SDK needs the protocol `text`"
        )
    if number not in FROM_PROGRAM:
        allowed = ", ".join(f"{kind.name} ({kind:d})" for kind in sorted(FROM_PROGRAM))
        raise _error(at, f"expected a frame type of {allowed}; found type {number}")
    kind = FrameType(number)
    if kind not in _DATA and body_bytes > SMALL_BODY_LIMIT_BYTES:
        raise _error(at, f"expected a {kind.name} frame of at most {SMALL_BODY_LIMIT_BYTES} bytes, found {body_bytes}")
    return Header(kind, body_bytes)


def oversized(header: Header, first_bytes: Buffer, at: int, limits: Limits) -> Exception:
    """What is wrong with a data frame above the limit, from the first four bytes of its body."""
    if header.type is FrameType.PAIRS and int.from_bytes(bytes(first_bytes), "little") == 1:
        return record_too_large(header.body_bytes, limits)
    return _error(
        at, f"expected a {header.type.name} frame of at most {limits.data_body_bytes} bytes, found {header.body_bytes}"
    )


def record_too_large(size_bytes: int, limits: Limits) -> RecordTooLarge:
    return RecordTooLarge(
        f"the program wrote a record of {size_bytes} bytes; {record_limit_words(limits.record_bytes)}, or write "
        "smaller records"
    )


def decode_hello(body: Bytes, at: int, limits: Limits) -> dict[str, str]:
    """The program's settings, such as the name of its SDK."""
    if len(body) < _HELLO.size + 4:
        raise _error(at, f"expected a HELLO frame of at least {_HELLO.size + 4} bytes, found {len(body)}")
    version, _ = _HELLO.unpack_from(body.data)
    if version != VERSION:
        raise _error(
            at, f"expected protocol version {VERSION}, found {version}; rebuild the program with a matching SDK"
        )
    settings = decode_pairs(body[_HELLO.size :], at, limits)
    return {_text(key, at): _text(value, at) for key, value in settings.to_pairs()}


def decode_pairs(body: Bytes, at: int, limits: Limits) -> PairBatch:
    """A PAIRS body: u32 count, u32 key lengths[count], u32 value lengths[count], key bytes, value bytes.

    Keys and values share the memory of `body`.
    """
    if len(body) < 4:
        raise _error(at, f"expected a PAIRS frame of at least 4 bytes, found {len(body)}")
    count = int.from_bytes(body[:4].tobytes(), "little")
    keys_at = 4 + 8 * count
    if keys_at > len(body):
        raise _error(at, f"expected at least {keys_at} bytes in a PAIRS frame of {count} pairs, found {len(body)}")
    lengths = body[4:keys_at].view(_U32)
    key_lengths, value_lengths = lengths[:count], lengths[count:]
    values_at = keys_at + _total(key_lengths)
    expected = values_at + _total(value_lengths)
    if expected != len(body):
        raise _error(at, f"expected {expected} bytes in a PAIRS frame, by its count and lengths, found {len(body)}")
    if len(body) > limits.record_bytes and count:
        largest = int((key_lengths.astype(np.uint64) + value_lengths).max())
        if largest > limits.record_bytes:
            raise record_too_large(largest, limits)
    return PairBatch(_offsets(key_lengths), body[keys_at:values_at], _offsets(value_lengths), body[values_at:])


def decode_counter(body: Bytes, at: int) -> CounterFrame:
    """A COUNTER body: i64 increment, u32 length of the group, group, name; UTF-8."""
    content = body.tobytes()
    if len(content) < _COUNTER.size:
        raise _error(at, f"expected a COUNTER frame of at least {_COUNTER.size} bytes, found {len(content)}")
    increment, group_bytes = _COUNTER.unpack_from(content)
    names = content[_COUNTER.size :]
    group, name = names[:group_bytes], names[group_bytes:]
    if group_bytes > len(names) or not 0 < len(group) <= NAME_LIMIT_BYTES or not 0 < len(name) <= NAME_LIMIT_BYTES:
        raise _error(at, f"expected a counter's group and name of 1 to {NAME_LIMIT_BYTES} bytes each")
    return CounterFrame(_text(group, at), _text(name, at), increment)


def decode_end(body: Bytes, at: int) -> int:
    """An END body from the program: u64, how many records (map) or groups (combine, reduce) it took."""
    if len(body) != 8:
        raise _error(at, f"expected an END frame of 8 bytes, found {len(body)}")
    return int.from_bytes(body.tobytes(), "little")


def decode_text(body: Bytes) -> str:
    """The message of a STATUS or ERROR frame; what is no UTF-8 is replaced."""
    return body.tobytes().decode("utf-8", "replace")


def encode_hello(settings: Mapping[str, str], limits: Limits) -> bytes:
    """u32 version, u32 the largest body that the worker takes, then the settings as in PAIRS."""
    pairs = PairBatch.from_pairs([(key.encode(), value.encode()) for key, value in settings.items()])
    frame = b"".join(encode_pairs(pairs))
    body = _HELLO.pack(VERSION, limits.data_body_bytes) + frame[HEADER_BYTES:]
    return _HEADER.pack(len(body), FrameType.HELLO) + body


def encode_input(url: str) -> bytes:
    """The object that the records after this come from."""
    body = url.encode()
    return _HEADER.pack(len(body), FrameType.INPUT) + body


def encode_records(block: RecordBlock) -> list[Buffer]:
    """u16 framing, u16 flags, u32 count, u64 offset of the first record, u32 lengths[count] when sized, data."""
    framing = FRAMING_LINES if block.lengths is None else FRAMING_SIZED
    flags = 0 if block.exact_offsets else FLAG_INEXACT_OFFSETS
    columns: list[Buffer] = [block.data] if block.lengths is None else [_u32(block.lengths), block.data]
    return _frame(FrameType.RECORDS, _RECORDS.pack(framing, flags, block.count, block.first_offset), columns)


def encode_groups(batch: GroupBatch) -> list[Buffer]:
    """u32 groups, u32 flags, u32 values; u32 key lengths[], counts[], value lengths[]; key bytes, value bytes."""
    values = len(batch.value_offsets) - 1
    return _frame(
        FrameType.GROUPS,
        _GROUPS.pack(len(batch), FLAG_CONTINUES if batch.continues else 0, values),
        [
            _u32(np.diff(batch.key_offsets)),
            _u32(batch.value_counts),
            _u32(np.diff(batch.value_offsets)),
            _content(batch.key_offsets, batch.key_bytes),
            _content(batch.value_offsets, batch.value_bytes),
        ],
    )


def encode_pairs(batch: PairBatch) -> list[Buffer]:
    """The layout that `decode_pairs` reads."""
    return _frame(
        FrameType.PAIRS,
        len(batch).to_bytes(4, "little"),
        [
            _u32(np.diff(batch.key_offsets)),
            _u32(np.diff(batch.value_offsets)),
            _content(batch.key_offsets, batch.key_bytes),
            _content(batch.value_offsets, batch.value_bytes),
        ],
    )


def encode_end() -> bytes:
    return _HEADER.pack(0, FrameType.END)


def _frame(kind: FrameType, head: bytes, columns: list[Buffer]) -> list[Buffer]:
    body_bytes = len(head) + sum(len(column) for column in columns)
    return [_HEADER.pack(body_bytes, kind) + head, *columns]


def _content(offsets: Offsets, content: Bytes) -> memoryview:
    return np.ascontiguousarray(content[offsets[0] : offsets[-1]]).data


def _u32(lengths: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(lengths, _U32).view(np.uint8).data


def _offsets(lengths: Lengths) -> Offsets:
    offsets = np.empty(len(lengths) + 1, np.int32)
    offsets[0] = 0
    np.cumsum(lengths, out=offsets[1:], dtype=np.int32)
    return offsets


def _total(lengths: Lengths) -> int:
    return int(lengths.sum(dtype=np.uint64))


def _text(content: bytes, at: int) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _error(at, f"expected UTF-8, found {content[:40]!r}") from error


def _error(at: int, message: str) -> ProgramProtocolError:
    return ProgramProtocolError(f"in the frame at byte {at} of the program's stream: {message}")
