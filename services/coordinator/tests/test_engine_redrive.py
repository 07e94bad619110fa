"""Redrives on the engine, with ports in memory: what attempts are given, and what happens when something is gone."""

from dataclasses import replace

import pytest

from apollo_common.assignment import Split, SplitPiece
from apollo_common.errors import UnknownJob
from apollo_common.ids import AttemptId, TaskId
from apollo_common.inline_records import InlineRecord, decode_records
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import JobStatus, TaskKind
from apollo_coordinator.core.redrive import MustMapAgain, NoBadRecords
from apollo_coordinator.core.spec import ProgramRef, ProgramSource
from apollo_coordinator.engine import EngineSettings
from apollo_coordinator.engine.orders import OrderBook
from apollo_coordinator.order import AttemptDone, AttemptOrder, BadRecord
from support.engine import Site, ended, submit, succeed, until

FEW_TASKS = EngineSettings(limits=Limits(retry_delay_ms=1, reattach_grace_ms=100, max_ended_tasks_at_hand=1), tick_ms=5)
FIXED = ProgramRef(ProgramSource.SHELL, "fixed")
PLACES = {"input_paths": ("http://store:9/in/k",), "output_path": "http://store:9/out/k"}
SKIPPING = PLACES | {"max_bad_records": 9, "keep_intermediate": True}


class Programs:
    """The second map of a job that may, skips two records, one of them a line. Orders are kept."""

    def __init__(self):
        self.orders: dict[str, AttemptOrder] = {}

    async def __call__(self, order):
        self.orders[order.attempt_id] = order
        is_second = order.task.kind is TaskKind.MAP and order.task.index == 1
        if is_second and order.spec.max_bad_records and not order.records:
            yield BadRecord(
                1, "file:///in", 12, 4, b"line", line=True, reason="program_exited", message="no", exit_status=3
            )
            yield BadRecord(2, "file:///in", 17, 3, b"\0\n\xff", line=False, reason="program_timeout", message="no")
            yield AttemptDone({"apollo": {"input_records": 8, "bad_records": 2, "bisection_runs": 9}})
            return
        async for report in succeed(order):
            yield report


@pytest.fixture
async def site():
    site = Site()
    site.input.inputs[PLACES["input_paths"][0]] = [
        Split((SplitPiece("s3://in/k", 10 * index, 10, 30, "v"),)) for index in range(3)
    ]
    site.programs = Programs()
    site.add_workers(2, site.programs)
    yield site
    await site.close()


async def first_job(site, engine):
    job = await submit(engine, **SKIPPING)
    assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
    site.intermediate.kept[job] = None
    await until(lambda: engine.job(job).totals)
    return job


async def redrive(engine, job):
    """As the API does it; the new job, once it has ended."""
    assert await engine.mapper_to_redrive(job, remap=False) == engine.job(job).spec.mapper
    spec = replace(engine.job(job).spec, mapper=FIXED, output_path="http://store:9/out/again", redrive_of=job)
    return await ended(engine, (await engine.submit(spec, None)).job.id)


async def test_attempts_get_the_records_and_reduces_both_jobs_map_outputs(site):
    async with site.coordinator(FEW_TASKS) as engine:
        job = await first_job(site, engine)
        site.input.inputs.clear()  # nobody looks there
        new = await redrive(engine, job)
        assert new.status is JobStatus.SUCCEEDED, new.failure
        maps = [task for task in await engine.tasks(new.id) if task.kind is TaskKind.MAP]
        assert [len(task.attempts) for task in maps] == [0, 0, 1, 0]
        order = site.programs.orders[maps[2].attempts[0].id]
        assert list(decode_records(order.records)) == [
            InlineRecord("file:///in", 12, b"line", line=True),
            InlineRecord("file:///in", 17, b"\0\n\xff", line=False),
        ]
        assert order.task.split == maps[1].split
        assert order.spec.mapper_of(order.task.split) == FIXED
        assert order.input_access == StorageAccess(), "nothing that could be read with"
        reduce = site.programs.orders[f"{new.id}-r-00000-0"]
        assert [ref.attempt for ref in reduce.map_outputs] == [
            f"{job}-m-00000-0",
            f"{job}-m-00001-0",
            f"{new.id}-m-00002-0",
            f"{job}-m-00002-0",
        ]
        assert [ref.path.partition("/")[0] for ref in reduce.map_outputs] == [job, job, new.id, job]
        assert "bad_records" not in new.counters["apollo"]
        replay = await engine.replay(TaskId(f"{new.id}-m-00002"), None)
        assert replay.order.records == order.records


async def remap(engine, job):
    spec = replace(engine.job(job).spec, mapper=FIXED, output_path="http://store:9/out/again", remap_of=job)
    return await ended(engine, (await engine.submit(spec, None)).job.id)


async def test_all_is_mapped_again_as_it_was_read_the_first_time(site):
    pieces = site.input.inputs[PLACES["input_paths"][0]]
    came_later = Split((SplitPiece("s3://in/later", 0, 5, 5, "v"),))
    async with site.coordinator(FEW_TASKS) as engine:
        job = await first_job(site, engine)
        site.input.inputs[PLACES["input_paths"][0]] = [came_later, *reversed(pieces)]
        new = await remap(engine, job)
        maps = [task for task in await engine.tasks(new.id) if task.kind is TaskKind.MAP]
        assert [task.split for task in maps] == pieces
        assert all(task.attempts for task in maps)


@pytest.mark.parametrize("change", ["another version", "gone", "nothing at all"])
async def test_an_input_that_is_another_now_is_not_mapped_again(site, change):
    async with site.coordinator(FEW_TASKS) as engine:
        job = await first_job(site, engine)
        place = PLACES["input_paths"][0]
        if change == "another version":
            site.input.inputs[place] = [Split((SplitPiece("s3://in/k", 0, 30, 30, "w"),))]
        elif change == "gone":
            site.input.inputs[place] = [Split((SplitPiece("s3://in/other", 0, 30, 30, "v"),))]
        else:
            site.input.inputs.clear()
        new = await remap(engine, job)
        assert (new.status, new.failure.reason) == (JobStatus.FAILED, "input_changed")
        assert f"s3://in/k is gone, or changed since job {job} read it" in new.failure.message
        assert not await engine.tasks(new.id)


async def test_tasks_that_are_in_memory_no_more_are_read_again_after_a_restart(site):
    async with site.coordinator(FEW_TASKS) as engine:
        job = await first_job(site, engine)
    async with site.coordinator(FEW_TASKS) as engine:
        assert engine.job(job).maps == []
        new = await redrive(engine, job)
        assert new.status is JobStatus.SUCCEEDED, new.failure


async def test_records_that_are_gone_fail_the_job_with_a_sentence(site):
    async with site.coordinator() as engine:
        job = await first_job(site, engine)
        del site.bad_records.records[AttemptId(f"{job}-m-00001-0")][1]
        new = await redrive(engine, job)
        assert (new.status, new.failure.reason) == (JobStatus.FAILED, "object_not_found")
        assert "are kept no more" in new.failure.message


async def test_a_record_that_goes_after_the_plan_fails_the_job_too(site):
    get = site.bad_records.get

    async def gone(attempt, number):
        return await get(attempt, number) if number == 1 else None

    site.bad_records.get = gone
    async with site.coordinator() as engine:
        new = await redrive(engine, await first_job(site, engine))
        assert (new.status, new.failure.reason) == (JobStatus.FAILED, "object_not_found")


async def test_what_cannot_be_redriven_is_told_before_there_is_a_job(site):
    async with site.coordinator() as engine:
        job = await first_job(site, engine)
        del site.intermediate.kept[job]
        with pytest.raises(MustMapAgain, match="gone from the intermediate volume") as gone:
            await engine.mapper_to_redrive(job, remap=False)
        assert (gone.value.map_tasks, gone.value.input_bytes) == (3, 30)
        assert await engine.mapper_to_redrive(job, remap=True) == engine.job(job).spec.mapper
        other = await submit(engine, **PLACES | {"output_path": "file:///other"})
        await ended(engine, other)
        with pytest.raises(NoBadRecords):
            await engine.mapper_to_redrive(other, remap=False)
        with pytest.raises(UnknownJob):
            await engine.submit(replace(engine.job(other).spec, output_path="file:///x", redrive_of="gone"), None)


async def test_credentials_of_the_environment_are_not_lent_for_an_input_that_is_not_read(site):
    lent = []

    class Lender:
        lends = True

        async def lend(self, access):
            lent.append(access.endpoint_url)
            return access

    async with site.coordinator() as engine:
        job = await first_job(site, engine)
        spec = replace(engine.job(job).spec, output_path="file:///again", redrive_of=job)
        new = (await engine.submit(spec, None)).job.id
        book = OrderBook(engine.state, site.secrets, site.bad_records, credentials=Lender())
        await book.lent_access(new)
        assert lent == []
        await book.lent_access(job)
        assert lent == ["http://store:9"] * 2, "for input and output of one that reads"
        await book.close()
        await ended(engine, new)
