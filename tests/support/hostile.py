"""Frames as a broken or hostile peer sends them: right ones, and right ones of which a few bytes are not.

Bytes that are all random are refused at the first number; what breaks a codec is almost right. Every function takes a
source of chance: `random.Random(seed)`, or hypothesis's `randoms()`, which makes failures small.
"""

import struct
from random import Random

from support.frames_reference import (
    COUNTER,
    END,
    ERROR,
    GROUPS,
    HELLO,
    INPUT,
    OUTPUT,
    PAIRS,
    RECORDS,
    STATUS,
)

ALPHABET = b"a\tb\n\0\r\xff\xc3\xa9"
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 255, 256, 65_535, 1 << 31, (1 << 32) - 4, (1 << 32) - 1)
MOST_SPOILT = 3


def frame(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", len(body), kind) + body


def text(chance: Random, most_bytes: int = 6) -> bytes:
    return bytes(chance.choice(ALPHABET) for _ in range(chance.randrange(most_bytes + 1)))


def texts(chance: Random, most: int = 4) -> list[bytes]:
    return [text(chance) for _ in range(chance.randrange(most + 1))]


def lengths(items: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(item)) for item in items)


def pairs_body(keys: list[bytes], values: list[bytes]) -> bytes:
    return struct.pack("<I", len(keys)) + lengths(keys) + lengths(values) + b"".join(keys) + b"".join(values)


def spoilt(chance: Random, content: bytes) -> bytes:
    """Up to MOST_SPOILT changes: a byte or a number put in place of another, bytes left out or put in."""
    spoiled = bytearray(content)
    for _ in range(chance.randrange(MOST_SPOILT + 1)):
        at = chance.randrange(len(spoiled) + 1)
        match chance.randrange(4):
            case 0:
                spoiled[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                at -= at % 4
                spoiled[at : at + 4] = struct.pack("<I", chance.choice(NUMBERS))
            case 2:
                del spoiled[at : at + chance.randrange(1, 9)]
            case _:
                spoiled[at:at] = text(chance)
    return bytes(spoiled)


# A worker's.


def worker_frame(chance: Random) -> bytes:
    """One frame. Its header is right, as a stream would end at once with a wrong one; its body may not be."""
    kind = chance.choice((HELLO, INPUT, RECORDS, RECORDS, GROUPS, GROUPS, END))
    return frame(kind, spoilt(chance, worker_body(chance, kind)))


def worker_body(chance: Random, kind: int) -> bytes:
    if kind == HELLO:
        return hello_body([(b"role", b"map"), (b"param.q", b"x" * chance.randrange(3))])
    if kind == INPUT:
        return b"s3://b/k" + b"y" * chance.randrange(3)
    if kind == RECORDS:
        return records_body(chance)
    if kind == GROUPS:
        return groups_body(some_groups(chance), continues=chance.randrange(2) == 1)
    return b""


def hello_body(settings: list[tuple[bytes, bytes]]) -> bytes:
    return struct.pack("<II", 1, 1 << 24) + pairs_body([key for key, _ in settings], [value for _, value in settings])


def records_body(chance: Random) -> bytes:
    records, sized = texts(chance), chance.randrange(2)
    if sized:
        content = lengths(records) + b"".join(records)
    else:
        records = [record.replace(b"\n", b"") for record in records]
        content = b"".join(record + b"\n" for record in records)
    return struct.pack("<HHIQ", sized, chance.randrange(2), len(records), chance.randrange(1 << 40)) + content


Groups = list[tuple[bytes, list[bytes]]]


def some_groups(chance: Random) -> Groups:
    return [(text(chance), texts(chance)) for _ in range(1 + chance.randrange(4))]


def groups_body(groups: Groups, *, continues: bool) -> bytes:
    keys, values = [key for key, _ in groups], [value for _, own in groups for value in own]
    counts = b"".join(struct.pack("<I", len(own)) for _, own in groups)
    head = struct.pack("<III", len(groups), continues, len(values))
    return head + lengths(keys) + counts + lengths(values) + b"".join(keys) + b"".join(values)


def conversation(chance: Random, role: str) -> bytes:
    """What a worker says to a mapper or a reducer after its HELLO; mostly with bytes that are wrong."""
    frames, last_key = [], None
    for _ in range(chance.randrange(5)):
        if role == "map":
            frames.append(frame(INPUT, worker_body(chance, INPUT)))
            frames.append(frame(RECORDS, records_body(chance)))
            continue
        groups = some_groups(chance)
        continues = last_key is not None and chance.randrange(2) == 1
        if continues:
            groups[0] = (last_key, groups[0][1])
        frames.append(frame(GROUPS, groups_body(groups, continues=continues)))
        last_key = groups[-1][0]
    content = b"".join([*frames, frame(END, b"")])
    return spoilt(chance, content) if chance.randrange(4) else content


# A program's.


def program_stream(chance: Random) -> bytes:
    """From HELLO to END; now and then with bytes that are wrong."""
    frames = [frame(HELLO, struct.pack("<II", 1, 0) + pairs_body([b"sdk"], [b"x/1"]))]
    frames += [_program_frame(chance) for _ in range(chance.randrange(6))]
    frames.append(frame(END, struct.pack("<Q", chance.randrange(1 << 40))))
    return spoilt(chance, b"".join(frames)) if chance.randrange(4) else b"".join(frames)


def _program_frame(chance: Random) -> bytes:
    kind = chance.choice((PAIRS, PAIRS, OUTPUT, COUNTER, STATUS, PAIRS, OUTPUT, COUNTER, STATUS, ERROR))
    if kind == PAIRS:
        pairs = [(text(chance), text(chance)) for _ in range(chance.randrange(5))]
        return frame(PAIRS, pairs_body([key for key, _ in pairs], [value for _, value in pairs]))
    if kind == COUNTER:
        group, name = b"g" * chance.choice((1, 2, 255, 255, 256)), b"n" * chance.choice((0, 1, 1, 2))
        return frame(COUNTER, struct.pack("<qI", chance.randrange(-9, 9), len(group)) + group + name)
    return frame(kind, text(chance))
