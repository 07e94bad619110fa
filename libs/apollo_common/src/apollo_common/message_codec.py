"""Protobuf messages of the generated classes to bytes and back, at a fraction of betterproto's own cost.

betterproto asks for a field's type and default anew at each value, and silences warnings each time: a third of a
coordinator's processor time under load. Here that is looked up once per class. The bytes are the same.
https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final, NamedTuple

import betterproto2
from betterproto2 import FieldMetadata, Message, ProtoClassMetadata
from grpclib import GRPCError, Status
from grpclib.encoding.base import CodecBase

_VARINT: Final = 0
_FIXED_64: Final = 1
_LENGTH: Final = 2
_FIXED_32: Final = 5
_FIXED_BYTES: Final = {_FIXED_64: 8, _FIXED_32: 4}
_MAX_VARINT_BYTES: Final = 10
_WORD: Final = 1 << 64

_Write = Callable[[Any], bytes]
_Read = Callable[[Any], Any]


class MessageCodec(CodecBase):
    """What grpclib puts messages on the wire with."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        if not isinstance(message, message_type):
            raise TypeError(f"a message has to be a {message_type.__name__}, not a {type(message).__name__}")
        return encode(message)

    def decode(self, data: bytes, message_type: Any) -> Message:
        """GRPCError with the status that gRPC has for what cannot be read, at either end: INTERNAL.

        https://grpc.github.io/grpc/core/md_doc_statuscodes.html
        """
        try:
            return decode(data, message_type)
        except ValueError as error:
            raise GRPCError(Status.INTERNAL, f"what came is no {message_type.__name__}: {error}") from None


class _Writer(NamedTuple):
    """A field to be written. `present` fields are written whatever their value, unless it is None."""

    name: str
    present: bool
    write: _Write


class _Reader(NamedTuple):
    """A field to be read."""

    name: str
    wire_type: int
    read: _Read
    repeated: bool
    entries: bool  # of a map


def encode(message: Message) -> bytes:
    """ValueError or TypeError for a value that is not of its field's type."""
    parts = []
    for name, present, write in _writers(type(message)):
        value = getattr(message, name)
        if value is not None and (present or value):
            parts.append(write(value))
    parts.append(message._unknown_fields)  # noqa: SLF001 - of a newer version, passed on as betterproto does
    return b"".join(parts)


def decode(data: bytes, message_type: type[Message]) -> Message:
    """ValueError for what is no such message; what a newer version sends beyond it is kept, but not looked at."""
    message = message_type()
    readers = _readers(message_type)
    unknown = []
    position = 0
    while position < len(data):
        began = position
        tag, position = _varint_at(data, position)
        wire_type = tag & 7
        raw: Any
        if wire_type == _VARINT:
            raw, position = _varint_at(data, position)
        else:
            size = _FIXED_BYTES.get(wire_type)
            if size is None:
                if wire_type != _LENGTH:
                    raise ValueError(f"wire type {wire_type} is not of proto3")
                size, position = _varint_at(data, position)
            raw = data[position : position + size]
            if len(raw) < size:
                raise ValueError("the message ends in the middle of a field")
            position += size
        reader = readers.get(tag >> 3)
        if reader is None or reader.wire_type != wire_type:
            unknown.append(data[began:position])
        else:
            _put(message, reader, raw)
    message._unknown_fields = b"".join(unknown)  # noqa: SLF001 - as above
    return message


def _put(message: Message, reader: _Reader, raw: Any) -> None:
    value = reader.read(raw)
    if reader.repeated:
        getattr(message, reader.name).append(value)
    elif reader.entries:
        getattr(message, reader.name)[value.key] = value.value
    else:
        setattr(message, reader.name, value)


# Fields, looked up once per class


def _known(message_type: Any) -> ProtoClassMetadata:
    """Betterproto's own table of the fields."""
    known: ProtoClassMetadata = message_type._betterproto  # noqa: SLF001 - there is no public one
    return known


@cache
def _writers(message_type: type[Message]) -> tuple[_Writer, ...]:
    return tuple(
        _Writer(name, bool(meta.optional or meta.group), _writer_of(meta))
        for name, meta in _known(message_type).meta_by_field_name.items()
    )


@cache
def _readers(message_type: type[Message]) -> dict[int, _Reader]:
    known = _known(message_type)
    return {
        meta.number: _Reader(
            name,
            _VARINT if meta.proto_type in _VARINTS else _LENGTH,
            _value_reader(meta.proto_type, known.cls_by_field[name]),
            bool(meta.repeated),
            meta.map_meta is not None,
        )
        for name, meta in known.meta_by_field_name.items()
    }


def _writer_of(meta: FieldMetadata) -> _Write:
    if meta.map_meta is not None:
        key, value = (_singular_writer(part.number, part.proto_type) for part in meta.map_meta)
        entry = partial(_length_delimited, _tag(meta.number, _LENGTH))
        return lambda entries: b"".join([entry(key(name) + value(entries[name])) for name in entries])
    write = _singular_writer(meta.number, meta.proto_type)
    if not meta.repeated:
        return write
    if meta.proto_type in _VARINTS:
        raise NotImplementedError("a repeated number: no message has one, since a packed blob is faster")
    return lambda values: b"".join(map(write, values))


def _singular_writer(number: int, proto_type: str) -> _Write:
    if proto_type in _VARINTS:
        tag = _tag(number, _VARINT)
        return lambda value: tag + _varint(value)
    content = _CONTENTS.get(proto_type)
    if content is None:
        raise NotImplementedError(f"a field of type {proto_type}: no message has one")
    tag = _tag(number, _LENGTH)
    return lambda value: _length_delimited(tag, content(value))


def _value_reader(proto_type: str, kind: type) -> _Read:
    if proto_type in (betterproto2.TYPE_MESSAGE, betterproto2.TYPE_MAP):
        return lambda raw: decode(raw, kind)
    if proto_type == betterproto2.TYPE_ENUM:
        return lambda raw: kind(_signed(raw, 32))
    return _VALUES[proto_type]


def _length_delimited(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    """Negative numbers as their two's complement in 64 bits."""
    if 0 <= value < 0x80:
        return _SHORT[value]
    if not -(_WORD >> 1) <= value < _WORD:
        raise ValueError(f"{value} does not fit into 64 bits")
    value %= _WORD
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _varint_at(data: bytes, position: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    if position < len(data) and data[position] < 0x80:
        return data[position], position + 1
    value = 0
    for shift, byte in enumerate(data[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, position + shift + 1
    raise ValueError("the message holds a number without an end")


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


_SHORT: Final = [bytes([value]) for value in range(0x80)]
_VARINTS: Final = (
    *(betterproto2.TYPE_BOOL, betterproto2.TYPE_ENUM, betterproto2.TYPE_INT32, betterproto2.TYPE_INT64),
    *(betterproto2.TYPE_UINT32, betterproto2.TYPE_UINT64),
)
_CONTENTS: Final[dict[str, Callable[[Any], bytes]]] = {
    betterproto2.TYPE_STRING: str.encode,
    betterproto2.TYPE_BYTES: lambda value: b"".join((value,)),  # TypeError for numbers, of which bytes() makes zeros
    betterproto2.TYPE_MESSAGE: encode,
}
_VALUES: Final[dict[str, _Read]] = {
    betterproto2.TYPE_STRING: partial(str, encoding="utf-8"),
    betterproto2.TYPE_BYTES: bytes,
    betterproto2.TYPE_BOOL: bool,
    betterproto2.TYPE_INT32: partial(_signed, bits=32),
    betterproto2.TYPE_INT64: partial(_signed, bits=64),
    betterproto2.TYPE_UINT32: lambda raw: raw & 0xFFFFFFFF,
    betterproto2.TYPE_UINT64: lambda raw: raw % _WORD,
}
