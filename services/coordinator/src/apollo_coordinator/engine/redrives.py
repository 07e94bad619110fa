"""What a redrive takes from the job whose bad records it maps again. Callers hold that job's tasks."""

import asyncio
from collections.abc import Sequence

from apollo_common.assignment import Split
from apollo_common.errors import InputNotFound, ObjectNotFound
from apollo_common.ids import AttemptId
from apollo_common.inline_records import InlineRecord, encode_records
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.adoption import Adoption, BadRecordRange
from apollo_coordinator.core.bad_records import bad_records
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.redrive import plan_redrive, same_splits, what_mapping_all_costs
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.ports import BadRecordStore, InputPlanner, IntermediateStore


async def check_map_outputs(job: Job, intermediate: IntermediateStore) -> None:
    """MustMapAgain when the job's map outputs are not there to be reduced again."""
    if not job.spec.n_reducers:  # its output holds what they would give
        return
    if not job.spec.keep_intermediate:
        raise what_mapping_all_costs(job, "it did not keep its map outputs (keepIntermediate)")
    if not await intermediate.holds(job.id):
        raise what_mapping_all_costs(job, "its map outputs are gone from the intermediate volume")


async def planned(job: Job, store: BadRecordStore) -> tuple[tuple[Split, ...], Adoption]:
    """The map tasks of a redrive of `job`."""
    sizes: dict[AttemptId, Sequence[int]] = {}
    for task in job.maps:
        if task.accepted is not None and (expected := bad_records(task.counters)):
            found = await store.of_attempt(task.accepted, content_bytes=0)
            if [record.number for record in found] != list(range(1, expected + 1)):
                raise _gone(task.accepted)
            sizes[task.accepted] = [record.size_bytes for record in found]
    return await asyncio.to_thread(plan_redrive, job, sizes)


async def splits_again(earlier: Job, spec: JobSpec, planner: InputPlanner, access: StorageAccess) -> tuple[Split, ...]:
    """The splits that `earlier` has read, to be mapped again. InputChanged unless all of them are as they were then."""
    try:
        found = await planner.plan(spec, access)
    except InputNotFound:
        found = ()
    return await asyncio.to_thread(same_splits, earlier, found)


async def packed_records(records: BadRecordRange, store: BadRecordStore) -> bytes:
    """For an attempt's order. ObjectNotFound."""
    packed: list[InlineRecord] = []
    for number in range(records.first, records.first + records.count):
        record = await store.get(records.attempt, number)
        if record is None:
            raise _gone(records.attempt)
        packed.append(InlineRecord(record.input, record.offset, record.content, record.line))
    return encode_records(packed)


def _gone(attempt: AttemptId) -> ObjectNotFound:
    return ObjectNotFound(f"bad records of attempt {attempt} are kept no more, so they cannot be mapped again")
