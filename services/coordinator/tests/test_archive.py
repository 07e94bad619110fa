"""Ended jobs that a restart reads the summaries of, and whose tasks are folded again when somebody asks."""

import asyncio
from dataclasses import replace

import pytest

from apollo_common.errors import UnknownJob
from apollo_common.ids import AttemptId, JobId, TaskId
from apollo_coordinator.api.viewing import view_job
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.engine import EngineSettings
from apollo_coordinator.order import AttemptFailed, AttemptOrder
from apollo_coordinator.store.journal import SqliteJournal
from support.engine import Site, ended, submit, succeed, until

LIMITS = Limits(retry_delay_ms=1, reattach_grace_ms=100)
QUICK = EngineSettings(limits=LIMITS, tick_ms=5)


class WatchedJournal(SqliteJournal):
    """Counts the facts that a start reads."""

    read = 0

    async def read_open(self):
        async for fact in super().read_open():
            self.read += 1
            yield fact


@pytest.fixture
async def site(tmp_path):
    site = Site(journal=await WatchedJournal.open(tmp_path))
    site.add_workers(2, fails_once)
    yield site
    await site.close()
    await site.journal.close()


async def fails_once(order: AttemptOrder):
    if order.attempt_id.endswith("-m-00001-0"):
        yield AttemptFailed("program_exited", "the mapper exited with status 3", retryable=True, exit_status=3)
        return
    async for report in succeed(order):
        yield report


async def run_jobs(site: Site, *names: str) -> list[JobId]:
    """One after the other, until all are archived."""
    jobs = []
    async with site.coordinator(QUICK) as engine:
        for name in names:
            job = await submit(engine, output_path=f"file:///{name}", name=name, n_reducers=2, idempotency_key=name)
            await ended(engine, job)
            jobs.append(job)
        await until(lambda: all(engine.job(job).totals for job in jobs))
    return jobs


async def test_a_restart_reads_no_facts_of_ended_jobs(site):
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await ended(engine, job)
        await until(lambda: engine.job(job).totals)
        before = view_job(engine.job(job))
        counters = engine.counters(job)
    async with site.coordinator(QUICK) as engine:
        assert site.journal.read == 0
        assert view_job(engine.job(job)) == before
        assert engine.counters(job) == counters
        assert before.progress.maps.total == 3


async def test_tasks_and_attempts_of_an_archived_job_are_what_they_were(site):
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await ended(engine, job)
        await until(lambda: engine.job(job).totals)
        tasks = await engine.tasks(job)
    async with site.coordinator(QUICK) as engine:
        again = await engine.tasks(job)
        assert [_without_progress(task) for task in again] == [_without_progress(task) for task in tasks]
        assert engine.job(job).maps == []
        assert (await engine.task(TaskId(f"{job}-m-00001"))).attempts[0].failure.exit_status == 3
        assert (await engine.attempt(AttemptId(f"{job}-r-00000-0"))).worker in {"w0", "w1"}
        with pytest.raises(UnknownJob):
            await engine.task(TaskId(f"{job}-m-00003"))


def _without_progress(task):
    """Without what the journal does not say: when attempts were last heard of, and when timers fired."""
    return replace(task, ready_ms=0, attempts=[replace(attempt, heard_ms=0) for attempt in task.attempts])


async def test_the_story_of_an_archived_job_is_told_again_whole_and_from_any_event(site):
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: engine.jobs()[0].totals)
        told = [event async for event in engine.events(job) if event.id]
    async with site.coordinator(QUICK) as engine, asyncio.timeout(10):
        assert [event async for event in engine.events(job)] == told
        assert [event async for event in engine.events(job, after=4)] == told[4:]
        assert [event async for event in engine.events(job, after=told[-1].id)] == []
        assert [event async for event in engine.events(job, after=told[-1].id + 1)] == []


async def test_jobs_stay_in_the_order_of_their_creation(site):
    async def first_hangs(order: AttemptOrder):
        if order.spec.name == "long":
            await asyncio.Event().wait()
        async for report in succeed(order):
            yield report

    site.workers.clear()
    site.add_workers(2, first_hangs)
    async with site.coordinator(QUICK) as engine:
        names = ("a", "long", "b", "c")
        jobs = [await submit(engine, output_path=f"file:///{name}", name=name, max_workers=1) for name in names]
        await until(lambda: all(engine.job(jobs[n]).totals for n in (0, 2, 3)))
    for worker in site.workers:
        await worker.kill()
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        assert [job.id for job in engine.jobs()] == jobs
        assert (await ended(engine, jobs[1])).status is JobStatus.SUCCEEDED
        again = await submit(engine, output_path="file:///again")
        await ended(engine, again)
        assert [job.id for job in engine.jobs()] == [*jobs, again]


async def test_an_idempotency_key_is_known_after_the_job_was_archived(site):
    (job,) = await run_jobs(site, "once")
    async with site.coordinator(QUICK) as engine:
        assert await submit(engine, output_path="file:///once", idempotency_key="once") == job


async def test_tasks_of_ended_jobs_at_hand_are_bounded(site):
    settings = replace(QUICK, limits=replace(LIMITS, max_ended_tasks_at_hand=9))  # of 5, 5, and 5 tasks
    async with site.coordinator(settings) as engine:
        jobs = []
        for name in "abc":
            jobs.append(await submit(engine, output_path=f"file:///{name}", n_reducers=2))
            await ended(engine, jobs[-1])
            await until(lambda: engine.job(jobs[-1]).totals)
        assert [bool(engine.job(job).maps) for job in jobs] == [False, False, True]
        assert [len(await engine.tasks(job)) for job in jobs] == [5, 5, 5]
        assert {view_job(engine.job(job)).progress.reduces.total for job in jobs} == {2}


async def test_a_job_that_was_not_archived_before_a_crash_is_archived_after_it(site):
    jobs = await run_jobs(site, "a", "b")
    await site.journal._write("DELETE FROM ended_jobs WHERE job = ?", [(jobs[0],)])
    async with site.coordinator(QUICK) as engine:
        assert site.journal.read > 0
        await until(lambda: engine.job(jobs[0]).totals)
        assert [job.id for job in engine.jobs()] == jobs
    assert [stored.job async for stored in site.journal.read_ended()] == jobs
