"""The frame codec, against bytes written by hand and against any bytes at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import ApolloError, ProgramProtocolError, RecordTooLarge
from apollo_sdk import wire
from apollo_worker.core import frames
from apollo_worker.core.columns import GroupBatch, PairBatch, RecordBlock
from apollo_worker.core.frames import HEADER_BYTES, FrameType, Limits
from support.sessions import sized_block
from support.vectors import bad, good

LIMITS = Limits.of_budget(64 << 20)
pairs_of_bytes = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=30)


def decode(content: bytes, at: int):
    """What the worker makes of one frame at the given place of a stream."""
    header = frames.decode_header(content[:HEADER_BYTES], at)
    body = np.frombuffer(content[HEADER_BYTES:], np.uint8)
    if header.body_bytes > LIMITS.data_body_bytes:
        raise frames.oversized(header, content[HEADER_BYTES:][:4], at, LIMITS)
    match header.type:
        case FrameType.HELLO:
            return frames.decode_hello(body, at, LIMITS)
        case FrameType.PAIRS:
            return frames.decode_pairs(body, at, LIMITS).to_pairs()
        case FrameType.COUNTER:
            return frames.decode_counter(body, at)._asdict()
        case FrameType.END:
            return frames.decode_end(body, at)
        case FrameType.OUTPUT:
            return body.tobytes().hex()
        case _:
            return frames.decode_text(body)


@pytest.mark.parametrize("vector", good("program"), ids=lambda vector: vector["name"])
def test_what_a_program_sends_is_decoded(vector):
    meaning = vector["meaning"]
    expected = {
        "HELLO": lambda: meaning["settings"],
        "PAIRS": lambda: [(bytes.fromhex(key), bytes.fromhex(value)) for key, value in meaning["pairs"]],
        "COUNTER": lambda: meaning,
        "END": lambda: meaning["taken"],
        "OUTPUT": lambda: meaning["content"],
        "STATUS": lambda: meaning["message"],
        "ERROR": lambda: meaning["message"],
    }[vector["type"]]()
    assert decode(vector["bytes"], 0 if vector["type"] == "HELLO" else 100) == expected


@pytest.mark.parametrize("vector", bad("program"), ids=lambda vector: vector["name"])
def test_what_a_program_may_not_send_is_refused(vector):
    with pytest.raises(ApolloError) as caught:
        decode(vector["bytes"], 0 if vector["first"] else 100)
    assert caught.value.reason == vector["meaning"]["error"]
    assert isinstance(caught.value, RecordTooLarge) or f"byte {0 if vector.get('first') else 100}" in str(caught.value)


@pytest.mark.parametrize("vector", good("worker"), ids=lambda vector: vector["name"])
def test_what_the_worker_sends_has_the_bytes_of_the_page(vector):
    assert encode(vector["type"], vector["meaning"]) == vector["bytes"]


def encode(kind: str, meaning: dict) -> bytes:
    match kind:
        case "HELLO":
            return frames.encode_hello(meaning["settings"], Limits(0, meaning["max_body_bytes"]))
        case "INPUT":
            return frames.encode_input(meaning["url"])
        case "END":
            return frames.encode_end()
        case "GROUPS":
            groups = [
                (bytes.fromhex(key), [bytes.fromhex(value) for value in values]) for key, values in meaning["groups"]
            ]
            return b"".join(frames.encode_groups(group_batch(groups, continues=meaning["continues"])))
    records = [bytes.fromhex(record) for record in meaning["records"]]
    if any(b"\n" in record for record in records):
        block = sized_block(records, meaning["offset"])
    else:
        data = b"".join(record + b"\n" for record in records)
        block = RecordBlock("", data, len(records), meaning["offset"], exact_offsets=meaning["exact_offsets"])
    return b"".join(frames.encode_records(block))


def group_batch(groups: list[tuple[bytes, list[bytes]]], *, continues: bool) -> GroupBatch:
    keys = PairBatch.from_pairs([(key, b"") for key, _ in groups])
    values = PairBatch.from_pairs([(b"", value) for _, values in groups for value in values])
    counts = np.array([len(values) for _, values in groups], np.uint32)
    return GroupBatch(continues, keys.key_offsets, keys.key_bytes, counts, values.value_offsets, values.value_bytes)


@given(pairs_of_bytes)
def test_pairs_of_any_bytes_survive(pairs):
    content = wire.pairs([key for key, _ in pairs], [value for _, value in pairs])
    assert decode(content, 100) == pairs
    assert b"".join(frames.encode_pairs(PairBatch.from_pairs(pairs))) == content


@given(pairs_of_bytes, st.data())
def test_a_slice_of_a_batch_is_encoded_alone(pairs, data):
    start = data.draw(st.integers(0, len(pairs)))
    stop = data.draw(st.integers(start, len(pairs)))
    content = b"".join(frames.encode_pairs(PairBatch.from_pairs(pairs).slice(start, stop)))
    assert decode(content, 100) == pairs[start:stop]


@given(
    st.lists(st.tuples(st.binary(max_size=9), st.lists(st.binary(max_size=9), min_size=1, max_size=5)), min_size=1),
    st.booleans(),
)
def test_groups_of_any_bytes_survive(groups, continues):
    content = b"".join(frames.encode_groups(group_batch(groups, continues=continues)))
    frame = wire.decode_groups(content[HEADER_BYTES:])
    assert frame.continues == continues
    assert list(zip(frame.keys, frame.values, strict=True)) == groups


@given(st.lists(st.binary(max_size=9)), st.integers(0, 2**62 - 1))
def test_sized_records_of_any_bytes_survive(records, offset):
    content = b"".join(frames.encode_records(sized_block(records, offset)))
    block = wire.decode_records(content[HEADER_BYTES:], "x")
    assert (block.records(), block.count, block.offset) == (records, len(records), offset)


@given(st.binary(max_size=60), st.integers(0, 1))
def test_any_bytes_are_a_frame_or_a_typed_error(content, at):
    try:
        decode(content.ljust(HEADER_BYTES, b"\0"), at)
    except (ProgramProtocolError, RecordTooLarge):
        return


@given(st.sampled_from(sorted(frames.FROM_PROGRAM)), st.binary(max_size=60))
def test_any_body_is_a_frame_or_a_typed_error(kind, body):
    try:
        decode(len(body).to_bytes(4, "little") + int(kind).to_bytes(4, "little") + body, 100)
    except (ProgramProtocolError, RecordTooLarge):
        return


def test_a_record_above_the_limit_inside_a_frame_is_refused():
    limits = Limits.of_budget(4000)
    content = np.frombuffer(wire.pairs([b"a", b"b"], [b"x" * 999, b"y" * 1000])[HEADER_BYTES:], np.uint8)
    with pytest.raises(RecordTooLarge, match=r"1001 bytes.*1000 bytes, a quarter"):
        frames.decode_pairs(content, 100, limits)
