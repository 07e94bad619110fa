"""The SDK's codec against the protocol's test vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_sdk import wire
from support import hostile
from support.frames_reference import NoFrame, worker_frame
from support.vectors import bad, good

DECODERS = {
    wire.HELLO: wire.decode_hello,
    wire.INPUT: wire.decode_input,
    wire.RECORDS: lambda body: wire.decode_records(body, ""),
    wire.GROUPS: wire.decode_groups,
    wire.END: wire.decode_end,
}


def unhex(item):
    return [unhex(part) for part in item] if isinstance(item, list) else bytes.fromhex(item)


@pytest.mark.parametrize("vector", good("program"), ids=lambda vector: vector["name"])
def test_what_a_program_sends_has_the_bytes_of_the_page(vector):
    meaning = vector["meaning"]
    encode = {
        "HELLO": lambda: wire.hello(meaning["settings"]),
        "PAIRS": lambda: wire.pairs(
            [unhex(key) for key, _ in meaning["pairs"]], [unhex(v) for _, v in meaning["pairs"]]
        ),
        "OUTPUT": lambda: wire.frame(wire.OUTPUT, unhex(meaning["content"])),
        "COUNTER": lambda: wire.counter(**meaning),
        "STATUS": lambda: wire.frame(wire.STATUS, meaning["message"].encode()),
        "END": lambda: wire.end(meaning["taken"]),
        "ERROR": lambda: wire.frame(wire.ERROR, meaning["message"].encode()),
    }
    assert encode[vector["type"]]() == vector["bytes"]


@pytest.mark.parametrize("vector", good("worker"), ids=lambda vector: vector["name"])
def test_what_a_worker_sends_is_decoded(vector):
    content, meaning = vector["bytes"], vector["meaning"]
    kind, body_bytes = wire.header(content[: wire.HEADER_BYTES])
    body = content[wire.HEADER_BYTES :]
    assert (kind, body_bytes) == (getattr(wire, vector["type"]), len(body))
    match vector["type"]:
        case "HELLO":
            assert wire.decode_hello(body) == meaning["settings"]
        case "INPUT":
            assert wire.decode_input(body) == meaning["url"]
        case "END":
            wire.decode_end(body)
        case "RECORDS":
            block = wire.decode_records(body, "url")
            assert (block.records(), block.input) == (unhex(meaning["records"]), "url")
            assert (block.offset, block.exact_offsets) == (meaning["offset"], meaning["exact_offsets"])
        case "GROUPS":
            frame = wire.decode_groups(body)
            assert [[key, values] for key, values in zip(frame.keys, frame.values, strict=True)] == unhex(
                meaning["groups"]
            )
            assert frame.continues == meaning["continues"]


def decode(content):
    kind, _ = wire.header(content[: wire.HEADER_BYTES])
    return DECODERS[kind](content[wire.HEADER_BYTES :])


BAD = [vector for vector in bad("worker") if vector["name"] != "bad-worker-first"]  # which only its place makes bad


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: vector["name"])
def test_what_a_worker_may_not_send_is_refused(vector):
    with pytest.raises(wire.WorkerProtocolError, match="the worker"):
        decode(vector["bytes"])


small = st.integers(0, 3).map(lambda number: number.to_bytes(4, "little"))
words = st.one_of(small, st.binary(min_size=4, max_size=4))


@given(st.sampled_from(sorted(DECODERS)), st.lists(words, max_size=12).map(b"".join), st.binary(max_size=9))
def test_any_body_is_a_frame_or_an_error_of_the_protocol(kind, columns, content):
    try:
        DECODERS[kind](columns + content)
    except wire.WorkerProtocolError:
        return


def in_hex(word, content):
    return f"{word} {content.hex() or '-'}"


def render(kind, body):
    """What a frame means, in the words of the vectors' file."""
    match kind:
        case wire.HELLO:
            limit = int.from_bytes(body[4:8], "little")
            settings = [f"setting {key} {value}" for key, value in wire.decode_hello(body).items()]
            return ["version 1", f"max_body_bytes {limit}", *settings]
        case wire.INPUT:
            return [f"url {wire.decode_input(body)}"]
        case wire.RECORDS:
            block = wire.decode_records(body, "")
            exact = "true" if block.exact_offsets else "false"
            records = [in_hex("record", record) for record in block.records()]
            assert len(list(block.offsets())) == block.count == len(records)
            return [f"offset {block.offset}", f"exact_offsets {exact}", *records]
        case wire.GROUPS:
            frame = wire.decode_groups(body)
            lines = ["continues true" if frame.continues else "continues false"]
            for key, values in zip(frame.keys, frame.values, strict=True):
                lines += [in_hex("group", key), *(in_hex("value", value) for value in values)]
            return lines
    return wire.decode_end(body) or []


@given(st.randoms(use_true_random=False))
def test_a_frame_means_what_the_page_says_or_is_refused(chance):
    content = hostile.worker_frame(chance)
    kind, body = content[4], content[wire.HEADER_BYTES :]
    try:
        expected = worker_frame(kind, body)
    except NoFrame:
        with pytest.raises(wire.WorkerProtocolError):
            render(kind, body)
    else:
        assert render(kind, body) == expected


@given(st.binary(min_size=wire.HEADER_BYTES, max_size=wire.HEADER_BYTES))
def test_any_header_is_one_or_an_error_of_the_protocol(content):
    try:
        kind, body_bytes = wire.header(content)
    except wire.WorkerProtocolError:
        return
    assert kind in DECODERS
    assert body_bytes <= wire.BODY_LIMIT_BYTES


def test_offsets_count_line_ends_only_where_they_are_exact():
    lines = wire.decode_records(good("worker")[2]["bytes"][8:], "")
    inexact = wire.decode_records(good("worker")[3]["bytes"][8:], "")
    sized = wire.decode_records(good("worker")[4]["bytes"][8:], "")
    assert list(lines.offsets()) == [2**32, 2**32 + 3, 2**32 + 4]
    assert list(inexact.offsets()) == [7, None]
    assert list(sized.offsets()) == [16, 19, 19]


def test_another_version_is_refused():
    with pytest.raises(wire.ProtocolMismatch, match="the worker 2"):
        wire.decode_hello(b"\2\0\0\0" + bytes(8))
