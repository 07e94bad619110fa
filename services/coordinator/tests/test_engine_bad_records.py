"""The quarantine as the engine fills it: before a result is accepted, once, and with nothing but what counts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from apollo_common.errors import QuarantineFull, UnknownJob
from apollo_common.ids import AttemptId, JobId
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.engine import EngineSettings
from apollo_coordinator.engine.quarantine import MAX_TOLD_BYTES, PREVIEW_BYTES, Intake
from apollo_coordinator.order import (
    AttemptDone,
    AttemptFailed,
    AttemptOrder,
    AttemptReport,
    AttemptStarted,
    BadRecord,
)
from apollo_coordinator.pools.memory import Program
from support.engine import QUICK, Site, ended, submit, succeed, until

CONTENT = b"\xff" * (PREVIEW_BYTES + 50)


def record(number: int) -> BadRecord:
    return BadRecord(
        number, "file:///in", 10 * number, len(CONTENT), CONTENT, line=True, reason="program_exited", message="status 1"
    )


def breaks_on(bad: dict[int, int], then: Program | None = None) -> Program:
    """A program that fails on so many records of each map task, by index; `then`: what comes after they are told."""

    async def program(order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        count = bad.get(order.task.index, 0) if order.output is None else 0
        yield AttemptStarted()
        if count and not order.max_bad_records:
            yield AttemptFailed("program_exited", "status 1", retryable=True, exit_status=1)
            return
        told = min(count, order.max_bad_records + 1)
        for number in range(1, told + 1):
            yield record(number)
        if told > order.max_bad_records > 0:
            yield AttemptFailed("too_many_bad_records", "too many", retryable=False)
        elif count and then is not None:
            async for report in then(order):
                yield report
        else:
            yield AttemptDone({"apollo": {"input_records": 10 - count, "bad_records": count}})

    return program


@pytest.fixture
async def site():
    site = Site()
    yield site
    await site.close()


async def test_records_are_numbered_in_order_of_their_tasks(site):
    site.add_workers(2, breaks_on({0: 2, 2: 3}))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, max_bad_records=5)
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        found = await engine.bad_records(job)
        assert [(bad.number, bad.task, bad.record.number) for bad in found] == [
            (1, f"{job}-m-00000", 1),
            (2, f"{job}-m-00000", 2),
            (3, f"{job}-m-00002", 1),
            (4, f"{job}-m-00002", 2),
            (5, f"{job}-m-00002", 3),
        ]
        assert {(len(bad.record.content), bad.record.size_bytes) for bad in found} == {(PREVIEW_BYTES, len(CONTENT))}
        assert [bad.number for bad in await engine.bad_records(job, after=1, limit=2)] == [2, 3]
        assert [bad.number for bad in await engine.bad_records(job, after=2, limit=10)] == [3, 4, 5]
        assert await engine.bad_records(job, after=5) == []
        whole = await engine.bad_record(job, 4)
        assert (whole.task, whole.record.offset, whole.record.content) == (f"{job}-m-00002", 20, CONTENT)
        for number in (0, 6):
            with pytest.raises(UnknownJob, match=f"no bad record {number}"):
                await engine.bad_record(job, number)


async def test_of_too_many_those_are_shown_that_were_found(site):
    site.add_workers(1, breaks_on({0: 1, 1: 9}))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, max_bad_records=3)
        failed = await ended(engine, job)
        assert failed.failure is not None
        assert failed.failure.reason == "too_many_bad_records"
        assert [bad.task[-1] for bad in await engine.bad_records(job)] == ["0", "1", "1", "1"]


async def test_a_full_volume_delays_the_attempt_and_loses_nothing(site):
    site.bad_records.full = True
    site.add_workers(1, breaks_on({0: 2}))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, max_bad_records=5)
        await until(lambda: "volume is full" in engine.job(job).trouble)
        assert engine.job(job).maps[0].accepted is None
        site.bad_records.full = False
        done = await ended(engine, job)
        assert (done.status, done.trouble) == (JobStatus.SUCCEEDED, "")
        assert len(await engine.bad_records(job)) == 2


async def test_a_stopped_job_does_not_wait_for_room(site):
    site.bad_records.full = True
    site.add_workers(1, breaks_on({0: 2}))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, max_bad_records=5)
        await until(lambda: "volume is full" in engine.job(job).trouble)
        await engine.stop(job)
        await until(lambda: not engine.state.queues)


async def test_what_is_told_again_after_a_restart_is_kept_once(site):
    go_on = asyncio.Event()

    async def wait(_order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        await go_on.wait()
        yield AttemptDone({"apollo": {"bad_records": 2}})

    site.add_workers(1, breaks_on({0: 2}, then=wait))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, max_bad_records=5)
        await until(lambda: sum(map(len, site.bad_records.records.values())) == 2)
    async with site.coordinator(QUICK) as engine:
        go_on.set()
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        assert [bad.number for bad in await engine.bad_records(job)] == [1, 2]
        assert engine.job(job).maps[0].accepted == f"{job}-m-00000-2"
    async with site.coordinator(QUICK) as engine:  # the job is archived now, and its tasks are folded when asked for
        assert [bad.attempt for bad in await engine.bad_records(job)] == [f"{job}-m-00000-2"] * 2


async def test_what_attempts_found_that_were_not_accepted_goes_with_the_jobs_end(site):
    async def fail_once(order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        if order.attempt_number == 2:
            yield AttemptFailed("program_exited", "still", retryable=True, exit_status=1)
        else:
            yield AttemptDone({"apollo": {"bad_records": 2}})

    site.add_workers(1, breaks_on({0: 2}, then=fail_once))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, max_bad_records=5)
        await ended(engine, job)
        await until(lambda: not engine.state.queues)
        assert list(site.bad_records.records) == [f"{job}-m-00000-3"]
        assert len(await engine.bad_records(job)) == 2


async def test_records_leave_with_their_job(site):
    site.add_workers(1, breaks_on({0: 1}))
    soon = EngineSettings(limits=Limits(retry_delay_ms=1, retention_ms=0), tick_ms=5)
    async with site.coordinator(soon) as engine:
        await submit(engine, max_bad_records=5)
        await until(lambda: not engine.state.jobs and not site.bad_records.records)


async def test_records_of_unknown_jobs_are_swept(site):
    stranger = AttemptId("stranger0000-m-00000-2")
    site.add_workers(1, succeed)
    await site.bad_records.put(stranger, record(1))
    async with site.coordinator(QUICK):
        await until(lambda: not site.bad_records.records)


async def test_a_job_without_bad_records_has_none(site):
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await ended(engine, job)
        assert await engine.bad_records(job) == []
        with pytest.raises(UnknownJob):
            await engine.bad_records(JobId("nobody"))


@pytest.mark.parametrize("numbers", [[1, 3], [2], [1, 1]], ids=["a gap", "a late one", "a repeated one"])
async def test_a_worker_that_makes_records_up_is_not_heard(site, numbers):
    async def made_up(_order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        yield AttemptStarted()
        for number in numbers:
            yield record(number)
        yield AttemptDone({})

    site.add_workers(1, made_up)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, max_bad_records=5)
        failed = await ended(engine, job)
        assert failed.failure is not None
        assert (failed.status, failed.failure.reason) == (JobStatus.FAILED, "quarantine_full")


async def test_what_one_attempt_may_tell_is_bounded(site):
    kept: list[int] = []

    async def keep(_attempt: AttemptId, found: BadRecord) -> None:
        kept.append(found.number)

    intake = Intake(AttemptId("k3v9d2m7q4xa-m-00001-2"), keep)
    large = bytes(MAX_TOLD_BYTES // 4)
    for number in (1, 2, 3):
        await intake.keep(replace(record(number), content=large))
    with pytest.raises(QuarantineFull):
        await intake.keep(replace(record(4), content=large))
    assert kept == [1, 2, 3]


async def test_a_sampler_that_finds_too_many_shows_them(site):
    async def sampled(order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        yield AttemptStarted()
        if not order.max_bad_records:
            yield AttemptFailed("program_exited", "status 1", retryable=True, exit_status=1)
            return
        for number in (1, 2):
            yield record(number)
        yield AttemptFailed("too_many_bad_records", "too many", retryable=False)

    site.add_workers(1, sampled)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, max_bad_records=1, partitioner="range", n_reducers=2)
        assert (await ended(engine, job)).status is JobStatus.FAILED
        found = await engine.bad_records(job)
        assert [(bad.number, bad.task) for bad in found] == [(1, f"{job}-s-00000"), (2, f"{job}-s-00000")]
        await until(lambda: not engine.state.queues)
        assert (await engine.bad_record(job, 2)).record == record(2)
