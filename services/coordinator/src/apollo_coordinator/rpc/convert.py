"""What the engine says about attempts, to and from the wire. Pure."""

import struct
from dataclasses import replace
from typing import Any

from apollo_common.assignment import decode_counters, decode_part_uploads, encode_split
from apollo_common.ids import AttemptId, TaskId
from apollo_common.inline_records import SPLIT_FORMAT
from apollo_common.key_samples import SAMPLED_BYTES, unpack_keys
from apollo_common.storage.port import AttemptAccess, StorageAccess
from apollo_common.timings import NO_TIMINGS, Step, Timings
from apollo_coordinator.core.model import LargestGroup, RecordPlace, TaskKind
from apollo_coordinator.core.spec import ProgramRef, ProgramSource, TextFields
from apollo_coordinator.order import (
    AttemptCancelled,
    AttemptDone,
    AttemptFailed,
    AttemptLog,
    AttemptOrder,
    AttemptProgress,
    AttemptReport,
    AttemptStarted,
    BadRecord,
    WorkerDescription,
)
from apollo_proto.apollo import v1

_SOURCES = {
    ProgramSource.ARTIFACT: v1.ProgramSource.ARTIFACT,
    ProgramSource.BUILTIN: v1.ProgramSource.BUILTIN,
    ProgramSource.SHELL: v1.ProgramSource.SHELL,
}
_PROTOCOLS = {"frames": v1.Protocol.FRAMES, "text": v1.Protocol.TEXT}
_STDIO = {"socket": v1.Stdio.SOCKET, "pipe": v1.Stdio.PIPE}
_KINDS = {
    TaskKind.SAMPLE: v1.TaskKind.SAMPLE,
    TaskKind.MAP: v1.TaskKind.MAP,
    TaskKind.REDUCE: v1.TaskKind.REDUCE,
}


def to_assignment(order: AttemptOrder) -> v1.TaskAssignment:
    """The message that starts `order` on a worker."""
    spec = order.spec
    mapping = order.task.kind is not TaskKind.REDUCE
    program = spec.mapper_of(order.task.split) if mapping else spec.reducer
    if program is None:
        raise ValueError(f"{order.attempt_id}: a reduce attempt of a job without a reducer")
    return v1.TaskAssignment(
        job_id=order.job_id,
        task_id=order.task.id,
        attempt_id=order.attempt_id,
        task_index=order.task.index,
        attempt_number=order.attempt_number,
        kind=_KINDS[order.task.kind],
        program=_program(program),
        map=_map_work(order) if mapping else None,
        reduce=None if mapping else _reduce_work(order),
        output=_output(order),
        params=dict(spec.params),
        env=dict(spec.env),
        files=[v1.SideFile(name=file.name, digest=file.digest) for file in spec.files],
        memory_budget_bytes=spec.memory_budget_bytes,
        timeout_ms=spec.timeout_seconds * 1000,
        ignore_input=spec.ignore_input,
        intermediate=_intermediate(order),
        network=spec.network,
        text=_text_fields(spec.text),
        keys=v1.KeyRules(separator=spec.keys.separator, order=spec.keys.order, group_fields=spec.keys.group_fields),
    )


def to_document(order: AttemptOrder) -> dict[str, Any]:
    """The same message in protobuf's JSON: what `replay` of the worker starts from."""
    return to_assignment(order).to_dict()


def to_renewal(attempt: AttemptId, access: AttemptAccess) -> v1.RenewAccessRequest:
    return v1.RenewAccessRequest(
        attempt_id=attempt,
        input=_access(access.input),
        output=_access(access.output),
        intermediate=_access(access.intermediate),
    )


def to_report(event: v1.TaskEvent) -> AttemptReport | None:
    """What an event means to the engine; None for one that it need not hear, or that a newer worker sends."""
    if event.running is not None:
        return AttemptStarted(process_id=event.running.process_id)
    if event.progress is not None:
        progress = event.progress
        return AttemptProgress(
            progress.input_bytes,
            progress.input_bytes_total,
            decode_counters(progress.counters),
            progress.status,
            progress.memory_peak_bytes,
            _timings(progress.timings),
        )
    if event.log is not None:
        return AttemptLog(event.log.content, event.log.offset)
    if event.bad_record is not None:
        return _bad_record(event.bad_record)
    return _end(event)


def _end(event: v1.TaskEvent) -> AttemptReport | None:
    if event.done is not None:
        return _done(event.done)
    if event.failed is not None:
        return _failed(event.failed)
    return AttemptCancelled(event.cancelled.handed_back) if event.cancelled is not None else None


def to_description(response: v1.DescribeResponse) -> WorkerDescription:
    return WorkerDescription(
        worker_id=response.worker_id,
        version=response.version,
        attempt_id=response.attempt_id,
        artifact_digests=frozenset(response.artifact_digests),
        platform=response.platform,
        memory_limit_bytes=response.memory_limit_bytes,
        draining=response.draining,
        sandbox=response.sandbox,
    )


def _program(program: ProgramRef) -> v1.Program:
    return v1.Program(
        source=_SOURCES[program.source],
        name=program.name,
        digest=program.digest,
        protocol=_PROTOCOLS[program.protocol],
        stdio=_STDIO[program.stdio],
    )


def _map_work(order: AttemptOrder) -> v1.MapWork:
    spec, task = order.spec, order.task
    if task.split is None:
        raise ValueError(f"{order.attempt_id}: a map attempt without a split")
    split = replace(task.split, format=SPLIT_FORMAT) if order.records else task.split
    return v1.MapWork(
        split=encode_split(split),
        access=_access(order.input_access),
        partitioner=spec.partitioner,
        partitions=spec.n_reducers,
        combiner=_program(spec.combiner) if spec.combiner is not None else None,
        output_path=order.output_path,
        splitters=order.splitters,
        sample_bytes=SAMPLED_BYTES if task.kind is TaskKind.SAMPLE else 0,
        max_bad_records=order.max_bad_records,
        find_bad_record=order.find_bad_record,
        records=order.records,
    )


def _reduce_work(order: AttemptOrder) -> v1.ReduceWork:
    return v1.ReduceWork(partition=order.task.index, map_outputs=order.map_outputs.packed)


def _output(order: AttemptOrder) -> v1.OutputTarget | None:
    if order.output is None:
        return None
    return v1.OutputTarget(
        url=order.output.url,
        upload_id=order.output.upload_id,
        format=order.spec.output_format,
        compression=order.spec.compression,
        access=_access(order.output_access),
        separator=order.spec.text.output_separator,
    )


def _text_fields(text: TextFields) -> v1.TextFields:
    return v1.TextFields(
        map_output_separator=text.map_output_separator,
        map_output_key_fields=text.map_output_key_fields,
        reduce_input_separator=text.reduce_input_separator,
        reduce_output_separator=text.reduce_output_separator,
        reduce_output_key_fields=text.reduce_output_key_fields,
    )


def _intermediate(order: AttemptOrder) -> v1.Intermediate | None:
    place = order.intermediate
    return v1.Intermediate(url=place.url, access=_access(place.access)) if place is not None else None


def _access(access: StorageAccess) -> v1.StorageAccess:
    return v1.StorageAccess(
        endpoint_url=access.endpoint_url,
        region=access.region,
        access_key_id=access.access_key_id,
        secret_access_key=access.secret_access_key,
        session_token=access.session_token,
    )


def _done(done: v1.Done) -> AttemptDone:
    return AttemptDone(
        counters=decode_counters(done.counters),
        parts=tuple(decode_part_uploads(done.output_parts)) if done.output_parts else (),
        output_bytes=done.output_bytes,
        output_records=done.output_records,
        output_sha256=done.output_sha256,
        sample_keys=tuple(unpack_keys(done.sample_keys)),
        partition_bytes=struct.unpack(f"<{len(done.partition_bytes) // 8}q", done.partition_bytes),
        timings=_timings(done.timings),
        largest_group=_largest_group(done.largest_group),
    )


def _largest_group(told: v1.LargestGroup | None) -> LargestGroup | None:
    return None if told is None else LargestGroup(told.key.decode(errors="replace"), told.records, told.of_records)


def _timings(told: v1.Timings | None) -> Timings:
    """None: the worker is of a version that tells none."""
    if told is None:
        return NO_TIMINGS
    return Timings(**{f"{step}_ms": max(0, getattr(told, f"{step}_ms")) for step in Step})


def _bad_record(found: v1.BadRecord) -> BadRecord:
    return BadRecord(
        number=found.number,
        input=found.input_url,
        offset=found.offset,
        size_bytes=len(found.content),
        content=found.content,
        line=found.line,
        reason=found.reason,
        message=found.message,
        exit_status=found.exit_status if found.exit_status >= 0 else None,
        signal=found.signal or None,
        stderr_tail=found.stderr_tail.decode(errors="replace"),
    )


def _failed(failed: v1.Failed) -> AttemptFailed:
    return AttemptFailed(
        reason=failed.reason,
        message=failed.message,
        retryable=failed.retryable,
        exit_status=failed.exit_status if failed.exit_status >= 0 else None,
        signal=failed.signal or None,
        stderr_tail=failed.stderr_tail.decode(errors="replace"),
        lost_map_task=TaskId(failed.lost_map_task_id) if failed.lost_map_task_id else None,
        lost_map_attempt=AttemptId(failed.lost_map_attempt_id) if failed.lost_map_attempt_id else None,
        full_volume=failed.full_volume,
        needed_bytes=max(0, failed.needed_bytes),
        bad_record=_place(failed.bad_record) if failed.bad_record is not None else None,
    )


def _place(found: v1.RecordPlace) -> RecordPlace:
    preview = found.preview.decode(errors="replace")
    return RecordPlace(found.input_url, found.offset, found.size_bytes, preview)
