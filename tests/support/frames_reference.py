"""The frames of docs/artifact-protocol.md, read field by field: a slow reference that every codec is compared with."""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

HELLO, INPUT, RECORDS, GROUPS, PAIRS, OUTPUT, COUNTER, STATUS, END, ERROR = range(1, 11)
FROM_WORKER = (HELLO, INPUT, RECORDS, GROUPS, END)
FROM_PROGRAM = (HELLO, PAIRS, OUTPUT, COUNTER, STATUS, END, ERROR)
SMALL_BODY_BYTES = 64 << 10
NAME_BYTES = range(1, 256)


class NoFrame(Exception):
    """The bytes are not what the page describes."""


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def take(self, count: int) -> bytes:
        if count > len(self._content):
            raise NoFrame
        taken, self._content = self._content[:count], self._content[count:]
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._content))

    def number(self, layout: str = "I") -> int:
        (number,) = struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))
        return int(number)

    def lengths(self, count: int) -> list[int]:
        return [self.number() for _ in range(count)]

    def items(self, lengths: list[int]) -> list[bytes]:
        return [self.take(length) for length in lengths]

    def ends(self) -> None:
        _require(not self._content)


def _require(right: bool) -> None:  # noqa: FBT001  # an assertion
    if not right:
        raise NoFrame


def _pairs(body: _Body) -> list[tuple[bytes, bytes]]:
    count = body.number()
    key_lengths, value_lengths = body.lengths(count), body.lengths(count)
    keys, values = body.items(key_lengths), body.items(value_lengths)
    body.ends()
    return list(zip(keys, values, strict=True))


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise NoFrame from error


# What a worker sends: rendered in the words of the test vectors.


def worker_frame(kind: int, content: bytes) -> list[str]:
    """What the frame means. NoFrame where an SDK must refuse it."""
    if kind not in FROM_WORKER:
        raise NoFrame
    body = _Body(content)
    lines = _WORKER[kind](body)
    body.ends()
    return lines


def _worker_hello(body: _Body) -> list[str]:
    _require(body.number() == 1)
    lines = ["version 1", f"max_body_bytes {body.number()}"]
    settings = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in _pairs(body)}
    return lines + [f"setting {key} {value}" for key, value in settings.items()]  # of one that comes twice the last


def _input(body: _Body) -> list[str]:
    return [f"url {body.rest().decode(errors='replace')}"]


class _Records(NamedTuple):
    end_bytes: int  # of a record's line end
    exact_offsets: bool
    offset: int
    records: list[bytes]


def _decoded_records(body: _Body) -> _Records:
    framing, flags, count, offset = body.number("H"), body.number("H"), body.number(), body.number("Q")
    _require(framing in (0, 1) and offset < 1 << 62)
    if framing == 1:
        records = body.items(body.lengths(count))
    else:
        *records, unfinished = body.rest().split(b"\n")
        _require(not unfinished and len(records) == count)
    body.ends()
    return _Records(1 - framing, not flags & 1, offset, records)


def _records(body: _Body) -> list[str]:
    found = _decoded_records(body)
    exact = "true" if found.exact_offsets else "false"
    return [f"offset {found.offset}", f"exact_offsets {exact}", *(_hex("record", record) for record in found.records)]


def _groups(body: _Body) -> list[str]:
    groups, flags, total = body.number(), body.number(), body.number()
    _require(groups > 0)
    key_lengths, counts, value_lengths = body.lengths(groups), body.lengths(groups), body.lengths(total)
    _require(sum(counts) == total)
    keys, values = body.items(key_lengths), body.items(value_lengths)
    lines = [f"continues {'true' if flags & 1 else 'false'}"]
    for key, count in zip(keys, counts, strict=True):
        lines += [_hex("group", key), *(_hex("value", value) for value in values[:count])]
        values = values[count:]
    return lines


def _hex(word: str, content: bytes) -> str:
    return f"{word} {content.hex() or '-'}"


_WORKER: dict[int, Callable[[_Body], list[str]]] = {
    HELLO: _worker_hello,
    INPUT: _input,
    RECORDS: _records,
    GROUPS: _groups,
    END: lambda _: [],
}


def conversation(role: str, content: bytes) -> list[str] | None:
    """What tests/sdks' probes print of a worker's stream after its HELLO; None where an SDK must refuse it."""
    lines: list[str] = []
    url, last_key = "", ""
    stream = _Body(content)
    try:
        while True:
            body_bytes, kind = stream.number(), stream.number()
            body = stream.take(body_bytes)
            meaning = worker_frame(kind, body)
            if kind == END:
                return lines
            _require(kind in ((INPUT, RECORDS) if role == "map" else (GROUPS,)))
            if kind == INPUT:
                url = body.decode(errors="replace")
            elif kind == RECORDS:
                lines += _places(url or "-", _decoded_records(_Body(body)))
            else:
                lines += _continued(meaning, last_key)
                last_key = next(line for line in reversed(meaning) if line.startswith("group"))
    except NoFrame:
        return None


def _places(url: str, block: _Records) -> list[str]:
    lines, at = [], block.offset
    for number, record in enumerate(block.records):
        lines.append(f"record {url} {at if number == 0 or block.exact_offsets else -1} {record.hex()}")
        at += len(record) + block.end_bytes
    return lines


def _continued(meaning: list[str], last_key: str) -> list[str]:
    """The groups of a frame, without the key of one that goes on."""
    continues, *lines = meaning
    if continues == "continues true":
        _require(lines[0] == last_key)
        lines = lines[1:]
    return [line.replace(" -", " ") for line in lines]


# What a program sends: a whole stream, as a worker must take it.


class Heard(NamedTuple):
    """What is right of a program's stream, and the byte at which the frame begins that is not."""

    told: list[
        tuple[Any, ...]
    ]  # ("pairs", [(key, value)]), ("raw", bytes), ("counter", group, name, n), ("status", text)
    refused_at: int | None
    gave_up: bool = False  # the program said so, in an ERROR frame


def program_stream(content: bytes, data_body_bytes: int) -> Heard:
    """`data_body_bytes`: the largest body of PAIRS and OUTPUT that the worker takes."""
    told: list[tuple[Any, ...]] = []
    at, ended = 0, False
    while at < len(content):
        stream = _Body(content[at:])
        try:
            body_bytes, kind = stream.number(), stream.number()
            _require(kind in FROM_PROGRAM and (kind == HELLO) == (at == 0) and not ended)
            _require(body_bytes <= (data_body_bytes if kind in (PAIRS, OUTPUT) else SMALL_BODY_BYTES))
            body = _Body(stream.take(body_bytes))
            if kind == ERROR:
                return Heard(told, None, gave_up=True)
            told += _PROGRAM[kind](body)
            body.ends()
        except NoFrame:
            return Heard(told, at)
        ended = kind == END
        at += 8 + body_bytes
    return Heard(told, None if ended else at)


def _program_hello(body: _Body) -> list[tuple[Any, ...]]:
    _require(body.number() == 1)
    body.number()
    for key, value in _pairs(body):
        _text(key), _text(value)
    return []


def _counter(body: _Body) -> list[tuple[Any, ...]]:
    increment, group_bytes = body.number("q"), body.number()
    group, name = body.take(group_bytes), body.rest()
    _require(len(group) in NAME_BYTES and len(name) in NAME_BYTES)
    return [("counter", _text(group), _text(name), increment)]


def _end(body: _Body) -> list[tuple[Any, ...]]:
    body.number("Q")
    return []


_PROGRAM: dict[int, Callable[[_Body], list[tuple[Any, ...]]]] = {
    HELLO: _program_hello,
    PAIRS: lambda body: [("pairs", _pairs(body))],
    OUTPUT: lambda body: [("raw", body.rest())],
    COUNTER: _counter,
    STATUS: lambda body: [("status", body.rest().decode(errors="replace"))],
    END: _end,
}
