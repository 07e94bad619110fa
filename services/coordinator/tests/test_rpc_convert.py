"""Orders and events, through their bytes on the wire."""

import struct

import pytest

from apollo_common.assignment import (
    MapOutputRef,
    PartUpload,
    Split,
    SplitPiece,
    decode_map_outputs,
    decode_split,
    encode_counters,
    encode_part_uploads,
)
from apollo_common.ids import AttemptId, JobId, attempt_id, map_task_id, reduce_task_id, sample_task_id
from apollo_common.key_samples import SAMPLED_BYTES, pack_keys, unpack_keys
from apollo_common.record_format import WrongRecordFormat, parse_record_format
from apollo_common.storage.port import StorageAccess
from apollo_common.timings import Timings
from apollo_coordinator.core.model import LargestGroup, Task, TaskKind
from apollo_coordinator.core.spec import JobSpec, KeyRules, ProgramRef, ProgramSource, SideFileRef, TextFields
from apollo_coordinator.order import (
    AttemptCancelled,
    AttemptDone,
    AttemptFailed,
    AttemptLog,
    AttemptOrder,
    AttemptProgress,
    AttemptStarted,
    BadRecord,
    MapOutputs,
    OutputTarget,
)
from apollo_coordinator.rpc.convert import to_assignment, to_report
from apollo_proto.apollo import v1

JOB = JobId("k3v9d2m7q4xa")
SPLIT = Split((SplitPiece("s3://b/in.gz", 0, 10, 10, "etag", "gzip"), SplitPiece("s3://b/ü", 5, 7, 99, "e2")), "lines")
SPEC = JobSpec(
    input_paths=("s3://b/",),
    output_path="s3://b/out/",
    mapper=ProgramRef(ProgramSource.ARTIFACT, "map.py", "ab" * 32, "frames"),
    reducer=ProgramRef(ProgramSource.SHELL, "sort | uniq -c", stdio="pipe"),
    combiner=ProgramRef(ProgramSource.BUILTIN, "builtin:sum"),
    n_reducers=4,
    params={"WORD": "a\tb"},
    env={"LANG": "C"},
    files=(SideFileRef("stop.txt", "cd" * 32),),
    timeout_seconds=90,
    partitioner="field:2",
    output_format="jsonl",
    compression="zstd",
    memory_budget_bytes=1 << 28,
    ignore_input=True,
    network=True,
    text=TextFields("::", 2, "=", ",", 3, " "),
    keys=KeyRules(",", "-k1,1 -k2,2nr", 1),
)
MAP = Task(map_task_id(JOB, 3), 3, TaskKind.MAP, split=SPLIT)
REDUCE = Task(reduce_task_id(JOB, 2), 2, TaskKind.REDUCE)
IN = StorageAccess("https://in", "r1", "id-in", "secret-in", "session")
OUT = StorageAccess("https://out", "r2", "id-out", "secret-out")


def over_the_wire(order: AttemptOrder) -> v1.TaskAssignment:
    return v1.TaskAssignment.parse(bytes(to_assignment(order)))


def order(task: Task, **more) -> AttemptOrder:
    return AttemptOrder(JOB, task, attempt_id(task.id, 1), 1, SPEC, IN, OUT, **more)


def test_a_map_attempt_carries_split_programs_and_where_its_output_goes():
    got = over_the_wire(order(MAP, output_path="k3/k3-m-00003/1"))
    assert (got.job_id, got.task_id, got.attempt_id) == (JOB, MAP.id, f"{MAP.id}-1")
    assert (got.kind, got.task_index, got.attempt_number) == (v1.TaskKind.MAP, 3, 1)
    assert (got.program.source, got.program.name, got.program.digest, got.program.protocol) == (
        v1.ProgramSource.ARTIFACT,
        "map.py",
        "ab" * 32,
        v1.Protocol.FRAMES,
    )
    assert decode_split(got.map.split) == SPLIT
    assert (got.map.partitioner, got.map.partitions, got.map.output_path) == ("field:2", 4, "k3/k3-m-00003/1")
    assert (got.map.combiner.source, got.map.combiner.name) == (v1.ProgramSource.BUILTIN, "builtin:sum")
    assert (got.map.access.endpoint_url, got.map.access.secret_access_key) == ("https://in", "secret-in")
    assert (got.reduce, got.output) == (None, None)
    assert (got.params, got.env) == ({"WORD": "a\tb"}, {"LANG": "C"})
    assert [(file.name, file.digest) for file in got.files] == [("stop.txt", "cd" * 32)]
    assert (got.timeout_ms, got.memory_budget_bytes) == (90_000, 1 << 28)
    assert (got.ignore_input, got.network) == (True, True)
    assert (got.text.map_output_separator, got.text.map_output_key_fields) == ("::", 2)
    assert (got.keys.separator, got.keys.order, got.keys.group_fields) == (",", "-k1,1 -k2,2nr", 1)
    assert got.text.reduce_input_separator == "="
    assert (got.text.reduce_output_separator, got.text.reduce_output_key_fields) == (",", 3)


def test_a_reduce_attempt_carries_its_map_outputs_in_order_and_its_upload():
    outputs = MapOutputs(MapOutputRef(f"{JOB}-m-{n:05d}", f"{JOB}-m-{n:05d}-0", f"p/{n}") for n in (0, 1, 2))
    got = over_the_wire(order(REDUCE, map_outputs=outputs, output=OutputTarget("s3://b/out/part-r-00002", "up1")))
    assert got.kind is v1.TaskKind.REDUCE
    assert got.reduce.partition == 2
    assert decode_map_outputs(got.reduce.map_outputs) == list(outputs)
    assert (got.program.source, got.program.name, got.program.stdio) == (
        v1.ProgramSource.SHELL,
        "sort | uniq -c",
        v1.Stdio.PIPE,
    )
    assert (got.output.url, got.output.upload_id) == ("s3://b/out/part-r-00002", "up1")
    assert (got.output.format, got.output.compression, got.output.separator) == ("jsonl", "zstd", " ")
    assert got.output.access.secret_access_key == "secret-out"
    assert got.map is None


def test_records_in_place_of_a_split_come_with_one_that_no_worker_reads():
    """Not even one that knows no such records: it would map all of the split, and the job would count it twice."""
    got = over_the_wire(order(MAP, records=b"packed")).map
    assert (got.records, decode_split(got.split).pieces) == (b"packed", SPLIT.pieces)
    with pytest.raises(WrongRecordFormat):
        parse_record_format(decode_split(got.split).format)


def test_a_sampler_maps_the_beginning_of_its_split_and_a_map_gets_the_splitters():
    sampler = Task(sample_task_id(JOB, 1), 1, TaskKind.SAMPLE, split=SPLIT)
    got = over_the_wire(order(sampler))
    assert (got.kind, got.map.sample_bytes, got.output) == (v1.TaskKind.SAMPLE, SAMPLED_BYTES, None)
    assert got.program.name == "map.py"
    got = over_the_wire(order(MAP, splitters=pack_keys([b"k", b"x"])))
    assert (got.map.sample_bytes, unpack_keys(got.map.splitters)) == (0, [b"k", b"x"])


def test_a_repr_of_credentials_shows_none():
    assert "secret" not in repr(order(MAP).input_access)


@pytest.mark.parametrize(
    ("event", "report"),
    [
        (v1.TaskEvent(accepted=v1.Accepted()), None),
        (v1.TaskEvent(running=v1.Running(process_id=7)), AttemptStarted(7)),
        (
            v1.TaskEvent(progress=v1.Progress(3, 9, encode_counters({"g": {"n": 1}}), "busy")),
            AttemptProgress(3, 9, {"g": {"n": 1}}, "busy"),
        ),
        (v1.TaskEvent(progress=v1.Progress()), AttemptProgress(0, 0, {}, "")),
        (v1.TaskEvent(log=v1.LogChunk(content=b"\xff", offset=7)), AttemptLog(b"\xff", 7)),
        (
            v1.TaskEvent(
                done=v1.Done(
                    counters=b"{}",
                    output_parts=encode_part_uploads([PartUpload(1, "e", 5)]),
                    output_bytes=5,
                    output_records=2,
                    output_sha256="ab",
                )
            ),
            AttemptDone({}, (PartUpload(1, "e", 5),), 5, 2, "ab"),
        ),
        (
            v1.TaskEvent(done=v1.Done(partition_bytes=struct.pack("<3q", 1, 0, 1 << 40))),
            AttemptDone({}, partition_bytes=(1, 0, 1 << 40)),
        ),
        (
            v1.TaskEvent(done=v1.Done(output_records=9, sample_keys=pack_keys([b"a", b""]))),
            AttemptDone({}, output_records=9, sample_keys=(b"a", b"")),
        ),
        (
            v1.TaskEvent(done=v1.Done(counters=b"{}", timings=v1.Timings(read_ms=1, program_ms=1 << 40, commit_ms=-3))),
            AttemptDone({}, timings=Timings(read_ms=1, program_ms=1 << 40)),  # no time is negative
        ),
        (
            v1.TaskEvent(done=v1.Done(largest_group=v1.LargestGroup(key=b"k\xff", records=7, of_records=9))),
            AttemptDone({}, largest_group=LargestGroup("k\N{REPLACEMENT CHARACTER}", 7, 9)),
        ),
        (
            v1.TaskEvent(progress=v1.Progress(timings=v1.Timings(merge_ms=2, sort_ms=3))),
            AttemptProgress(0, 0, {}, timings=Timings(merge_ms=2, sort_ms=3)),
        ),
        (
            v1.TaskEvent(
                failed=v1.Failed("program_exited", "boom", retryable=True, exit_status=3, stderr_tail=b"\xfftail")
            ),
            AttemptFailed("program_exited", "boom", retryable=True, exit_status=3, stderr_tail="�tail"),
        ),
        (
            v1.TaskEvent(failed=v1.Failed("program_exited", "killed", retryable=True, exit_status=-1, signal=9)),
            AttemptFailed("program_exited", "killed", retryable=True, signal=9),
        ),
        (
            v1.TaskEvent(
                failed=v1.Failed(
                    "fetch_failed",
                    "gone",
                    retryable=True,
                    exit_status=-1,
                    lost_map_task_id=MAP.id,
                    lost_map_attempt_id=f"{MAP.id}-0",
                )
            ),
            AttemptFailed(
                "fetch_failed", "gone", retryable=True, lost_map_task=MAP.id, lost_map_attempt=AttemptId(f"{MAP.id}-0")
            ),
        ),
        (
            v1.TaskEvent(
                failed=v1.Failed(
                    "volume_full",
                    "no room",
                    retryable=True,
                    exit_status=-1,
                    full_volume="the worker's own disk",
                    needed_bytes=1 << 40,
                )
            ),
            AttemptFailed(
                "volume_full", "no room", retryable=True, full_volume="the worker's own disk", needed_bytes=1 << 40
            ),
        ),
        (v1.TaskEvent(cancelled=v1.Cancelled()), AttemptCancelled()),
        (v1.TaskEvent(), None),
    ],
)
def test_an_event_reads_back_as_the_report_it_is(event, report):
    assert to_report(v1.TaskEvent.parse(bytes(event))) == report


def test_a_bad_record_reads_back_as_it_was_found():
    sent = v1.BadRecord(
        number=3,
        input_url="s3://b/ü",
        offset=1 << 40,
        content=b"\xff\0",
        line=True,
        reason="program_exited",
        message="the program was killed by SIGSEGV",
        exit_status=-1,
        signal=11,
        stderr_tail=b"oh\xff",
    )
    event = v1.TaskEvent.parse(bytes(v1.TaskEvent(sequence=2, bad_record=sent)))
    assert to_report(event) == BadRecord(
        *(3, "s3://b/ü", 1 << 40, 2, b"\xff\0"),
        line=True,
        reason="program_exited",
        message="the program was killed by SIGSEGV",
        signal=11,
        stderr_tail="oh\N{REPLACEMENT CHARACTER}",
    )


def test_a_skipping_attempt_is_told_how_many_bad_records_there_may_be():
    order = AttemptOrder(JOB, MAP, attempt_id(MAP.id, 2), 2, SPEC, StorageAccess(), StorageAccess(), max_bad_records=7)
    assert v1.TaskAssignment.parse(bytes(to_assignment(order))).map.max_bad_records == 7
