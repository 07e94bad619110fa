"""The codec against betterproto's own, on every message of the wire, and against bytes written down by hand."""

from contextlib import suppress
from dataclasses import fields
from typing import Any

import betterproto2
import pytest
from grpclib import GRPCError, Status
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo_common.message_codec import MessageCodec, decode, encode
from apollo_proto.apollo import v1
from support.fuzz import examples

NUMBERS = {
    betterproto2.TYPE_BOOL: st.booleans(),
    betterproto2.TYPE_INT32: st.integers(-(1 << 31), (1 << 31) - 1),
    betterproto2.TYPE_INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    betterproto2.TYPE_UINT32: st.integers(0, (1 << 32) - 1),
    betterproto2.TYPE_UINT64: st.integers(0, (1 << 64) - 1),
}
MESSAGES = [
    kind
    for name in v1.__all__
    if isinstance(kind := getattr(v1, name), type) and issubclass(kind, betterproto2.Message)
]  # fmt: skip


def messages(kind: type[betterproto2.Message]) -> st.SearchStrategy[betterproto2.Message]:
    return st.builds(
        kind, **{field.name: _values(kind, field.name, field.metadata["betterproto"]) for field in fields(kind)}
    )


def _values(kind: Any, name: str, meta: betterproto2.FieldMetadata) -> st.SearchStrategy[Any]:
    if meta.map_meta is not None:
        return st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
    of = kind._betterproto.cls_by_field[name]
    if meta.proto_type == betterproto2.TYPE_MESSAGE:
        one = messages(of)
    elif meta.proto_type == betterproto2.TYPE_ENUM:
        one = st.sampled_from(list(of))
    elif meta.proto_type == betterproto2.TYPE_STRING:
        one = st.text(max_size=200)
    elif meta.proto_type == betterproto2.TYPE_BYTES:
        one = st.binary(max_size=200)
    else:
        one = NUMBERS[meta.proto_type]
    if meta.repeated:
        return st.lists(one, max_size=3)
    return st.none() | one if meta.optional or meta.group else one


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@settings(max_examples=examples(20))
@given(data=st.data())
def test_every_message_is_written_and_read_as_betterproto_does(kind, data):
    message = data.draw(messages(kind))
    written = bytes(message)
    assert encode(message) == written
    assert decode(written, kind) == message == kind.parse(written)


def test_bytes_that_the_specification_gives():
    # Tag = field number << 3 | wire type: 1 job_id, 4 sequence, 7 progress {1 input_bytes = 300, 4 status}.
    written = b"\x0a\x03job\x20\x05\x3a\x06\x08\xac\x02\x22\x01s"
    event = v1.TaskEvent(job_id="job", sequence=5, progress=v1.Progress(input_bytes=300, status="s"))
    assert encode(event) == written
    assert decode(written, v1.TaskEvent) == event


def test_an_empty_member_of_a_choice_is_there():
    event = decode(encode(v1.TaskEvent(accepted=v1.Accepted())), v1.TaskEvent)
    assert event.accepted == v1.Accepted()
    assert event.running is None


@pytest.mark.parametrize(
    "field",
    [
        b"\xf8\x7f\x05",  # field 2047: a number,
        b"\xf9\x7f12345678",  # 64 bits,
        b"\xfa\x7f\x03new",  # bytes,
        b"\xfd\x7f1234",  # 32 bits
    ],
)
def test_a_field_of_a_newer_version_is_passed_on(field):
    event = decode(field + b"\x20\x05" + field, v1.TaskEvent)
    assert event.sequence == 5
    assert encode(event) == b"\x20\x05" + field + field


def test_many_fields_of_a_newer_version_take_no_more_time_than_bytes():
    """Adding each to those before it would take hours, and a hostile worker's message stops the event loop so long."""
    fields = b"\xf8\x7f\x05" * 1_000_000
    assert encode(decode(fields, v1.TaskEvent)) == fields


def test_a_value_of_a_newer_version_is_a_number():
    kind = decode(encode(v1.TaskAssignment(kind=v1.TaskKind(77))), v1.TaskAssignment).kind
    assert kind == 77
    assert isinstance(kind, v1.TaskKind)


@settings(max_examples=examples(50))
@given(data=st.data())
def test_a_message_that_is_cut_off_is_refused_or_is_a_shorter_one(data):
    written = bytes(data.draw(messages(v1.TaskEvent)))
    cut = written[: data.draw(st.integers(0, len(written)))]
    try:
        read = decode(cut, v1.TaskEvent)
    except ValueError:
        return
    assert read == v1.TaskEvent.parse(cut)


@pytest.mark.parametrize(
    "written",
    [
        b"\x20",  # a tag and nothing
        b"\x20\xff\xff",  # a number that goes on
        b"\x20" + b"\xff" * 10 + b"\x01",  # and on
        b"\x0a\x05job",  # fewer bytes than announced
        b"\x0a\x01\xff",  # no UTF-8
        b"\x0b\x0c",  # a group, which proto3 has not
        b"\xf9\x7f1234567",  # 56 bits of 64
    ],
)
def test_what_is_no_message_is_refused(written):
    with pytest.raises(ValueError):
        decode(written, v1.TaskEvent)


@settings(max_examples=examples(100))
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(written):
    with suppress(ValueError):
        decode(written, v1.TaskEvent)


@pytest.mark.parametrize("number", [1 << 64, -(1 << 63) - 1])
def test_a_number_of_more_than_64_bits_is_refused(number):
    with pytest.raises(ValueError, match="64 bits"):
        encode(v1.TaskEvent(sequence=number))


def test_a_number_for_bytes_is_refused():
    with pytest.raises(TypeError):
        encode(v1.ArtifactChunk(content=5))


def test_bytes_that_are_no_message_have_the_status_that_grpc_has_for_them():
    with pytest.raises(
        GRPCError, match="what came is no TaskEvent: the message ends in the middle of a field"
    ) as raised:
        MessageCodec().decode(b"\x0a\x05job", v1.TaskEvent)
    assert raised.value.status is Status.INTERNAL


def test_a_message_of_another_type_is_refused():
    with pytest.raises(TypeError):
        MessageCodec().encode(v1.Accepted(), v1.TaskEvent)
