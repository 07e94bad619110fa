"""The generated messages against bytes written down by hand from the protobuf encoding specification."""

from apollo_proto.apollo.v1 import Done, Progress, TaskAssignment, TaskEvent, TaskKind

# Tag = field number << 3 | wire type (0: varint, 2: length-delimited).
EVENT = (
    b"\x0a\x03job"  # 1: job_id
    b"\x12\x07job-m-0"  # 2: task_id
    b"\x20\x05"  # 4: sequence
    b"\x3a\x06"  # 7: progress, 6 bytes
    b"\x08\xac\x02"  # 1: input_bytes = 300
    b"\x22\x01s"  # 4: status
)


def test_an_event_is_encoded_as_the_specification_says():
    event = TaskEvent(job_id="job", task_id="job-m-0", sequence=5, progress=Progress(input_bytes=300, status="s"))
    assert bytes(event) == EVENT


def test_an_event_is_decoded_with_the_member_that_was_sent():
    event = TaskEvent.parse(EVENT)
    assert (event.job_id, event.sequence) == ("job", 5)
    assert event.progress is not None
    assert event.progress.input_bytes == 300
    assert event.done is None


def test_blobs_of_any_bytes_survive():
    blob = bytes(range(256)) * 300
    assert TaskEvent.parse(bytes(TaskEvent(done=Done(counters=blob)))).done.counters == blob


def test_maps_enums_and_negative_numbers_survive():
    sent = TaskAssignment(kind=TaskKind.REDUCE, params={"a": "", "ü": "\n"}, timeout_ms=-1)
    assert TaskAssignment.parse(bytes(sent)) == sent


def test_a_field_of_a_newer_version_is_skipped():
    event = TaskEvent.parse(EVENT + b"\xfa\x7f\x03new")  # field 2047, length-delimited
    assert event.sequence == 5
