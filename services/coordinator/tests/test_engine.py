"""The engine on memory adapters: what a user of the job service sees."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from apollo_common.errors import (
    IdempotencyConflict,
    InvalidSetting,
    JobEnded,
    ObjectNotFound,
    OutputExists,
    StorageUnavailable,
    UnknownJob,
    VolumeFull,
)
from apollo_common.ids import AttemptId, JobId, TaskId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core import events
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import AttemptStatus, JobStatus, RecordPlace
from apollo_coordinator.core.spec import ProgramRef, ProgramSource
from apollo_coordinator.engine import EngineSettings
from apollo_coordinator.order import (
    AttemptCancelled,
    AttemptDone,
    AttemptFailed,
    AttemptLog,
    AttemptOrder,
)
from apollo_coordinator.ports import JobSecrets, PoolBroken, PoolTrouble
from apollo_coordinator.store.memory import MemoryInput, MemoryJournal
from support.engine import QUICK, Site, ended, hang_on, submit, succeed, until
from support.scheduling import a_spec, splits


@pytest.fixture
async def site():
    site = Site()
    yield site
    await site.close()


async def test_a_job_succeeds_and_leaves_nothing_behind(site):
    site.add_workers(2)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, n_reducers=2)
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        await until(lambda: not engine.state.queues)
        assert site.output.published == {
            "file:///out/part-r-00000": f"{job}-r-00000-0",
            "file:///out/part-r-00001": f"{job}-r-00001-0",
        }
        assert site.output.uploads == {}
        assert site.intermediate.removed == [job]
        assert engine.counters(job) == {"apollo": {"input_records": 50}}
        assert site.pool.wanted[job] == 0


async def test_reduces_get_the_accepted_map_outputs_in_order(site):
    orders = []

    async def program(order: AttemptOrder):
        orders.append(order)
        async for report in succeed(order):
            yield report

    site.add_workers(2, program)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await ended(engine, job)
    (reduce,) = [order for order in orders if order.map_outputs]
    assert [(ref.task, ref.path) for ref in reduce.map_outputs] == [
        (f"{job}-m-{index:05d}", f"{job}/{job}-m-{index:05d}/{job}-m-{index:05d}-0") for index in range(3)
    ]
    assert reduce.output.url == "file:///out/part-r-00000"
    assert all(order.output is None and order.output_path for order in orders if not order.map_outputs)


async def test_an_artifact_that_a_worker_has_dropped_is_installed_again(site):
    async def program(order: AttemptOrder):
        (worker,) = site.workers
        if order.attempt_id.endswith("-m-00000-0"):
            worker.installed.clear()
        if not worker.installed:
            yield AttemptFailed("artifact_missing", "the worker does not hold it", retryable=True)
            return
        async for report in succeed(order):
            yield report

    site.add_workers(1, program)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, mapper=ProgramRef(ProgramSource.ARTIFACT, "map.py", "ab" * 32))
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED


async def test_events_have_ids_without_gaps_and_are_told_again_whole(site):
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        first = [event async for event in engine.events(job) if event.id]
        again = [event async for event in engine.events(job) if event.id]
        rest = [event async for event in engine.events(job, after=3) if event.id]
    assert [event.id for event in first] == list(range(1, len(first) + 1))
    assert again == first
    assert rest == first[3:]
    assert [event.kind for event in first][:3] == ["job-accepted", "job-started", "maps-planned"]
    assert [event.last for event in first] == [False] * (len(first) - 1) + [True]
    assert first[-1].body == {"status": "succeeded"}


async def test_progress_of_a_running_attempt_shows_in_events_and_counters(site):
    site.add_workers(1, hang_on("m-00000-0"))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        async for event in engine.events(job):
            if event.id == 0 and event.body["maps"]["fraction"] > 0:
                break
        assert event.body["maps"] == {"total": 3, "completed": 0, "running": 1, "fraction": round(0.5 / 3, 4)}
        assert engine.counters(job) == {"apollo": {"input_records": 5}}
        assert (await engine.attempt(AttemptId(f"{job}-m-00000-0"))).program_status == "halfway"


async def test_stop_cancels_what_runs(site):
    site.add_workers(2, hang_on("m-00000-0", "m-00001-0"))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: len(engine.state.queues[job].running) == 2)
        assert (await engine.stop(job)).status is JobStatus.STOPPED
        assert site.journal.facts[-1].kind == "job-ended"
        assert (await engine.stop(job)).status is JobStatus.STOPPED
        await until(lambda: not engine.state.queues)
        assert [worker.busy_with for worker in site.workers] == [None, None]
        assert site.intermediate.removed == [job]


async def test_stop_of_an_ended_job_is_refused(site):
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await ended(engine, job)
        with pytest.raises(JobEnded, match="has succeeded"):
            await engine.stop(job)


async def test_refusals_before_a_job_exists(site):
    async with site.coordinator(QUICK) as engine:
        with pytest.raises(ObjectNotFound, match="file:///nothing"):
            await submit(engine, input_paths=("file:///nothing",))
        await submit(engine)
        with pytest.raises(OutputExists, match="is writing to file:///out"):
            await submit(engine, output_path="file:///out/")
        with pytest.raises(UnknownJob, match="nosuchjob"):
            engine.job(JobId("nosuchjob"))
        with pytest.raises(UnknownJob):
            await engine.task(TaskId("nosuchjob-m-00000"))
        assert len(engine.jobs()) == 1


async def test_two_submissions_to_one_output_at_once_make_one_job(site):
    async with site.coordinator(QUICK) as engine:
        outcomes = await asyncio.gather(*(submit(engine) for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(outcome, OutputExists) for outcome in outcomes) == 4
        assert len(engine.jobs()) == 1


async def test_an_idempotency_key_makes_one_job_also_after_a_restart(site):
    spec = a_spec(idempotency_key="k", body_digest="b")
    async with site.coordinator(QUICK) as engine:
        both = await asyncio.gather(engine.submit(spec, None), engine.submit(spec, None))
        assert sorted(submitted.created for submitted in both) == [False, True]
        with pytest.raises(IdempotencyConflict):
            engine.submitted("k", "another body")
    async with site.coordinator(QUICK) as engine:
        again = await engine.submit(spec, None)
        assert (again.created, again.job.id) == (False, both[0].job.id)


async def test_a_full_journal_refuses_jobs_and_keeps_nothing_of_them(site):
    async with site.coordinator(QUICK) as engine:
        site.journal.full = True
        secrets = JobSecrets(StorageAccess(access_key_id="a"), StorageAccess(access_key_id="b"))
        with pytest.raises(VolumeFull):
            await engine.submit(a_spec(), secrets)
        assert (engine.jobs(), site.secrets.secrets) == ([], {})
        site.journal.full = False
        site.add_workers(1)
        assert (await ended(engine, await submit(engine))).status is JobStatus.SUCCEEDED


async def test_a_running_job_waits_for_space_on_the_journals_volume(site):
    gate = asyncio.Event()

    async def program(order: AttemptOrder):
        await gate.wait()
        async for report in succeed(order):
            yield report

    site.add_workers(1, program)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: site.workers[0].busy_with)
        site.journal.full = True
        gate.set()
        await until(lambda: not engine.ready)
        site.journal.full = False
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        assert engine.ready


class SlowlyFailingJournal(MemoryJournal):
    async def append(self, facts) -> None:
        if self.full:
            await asyncio.sleep(0.02)
        await super().append(facts)


async def test_closing_does_not_wait_for_a_journal_that_cannot_be_written():
    site = Site(journal=SlowlyFailingJournal())
    async with asyncio.timeout(20):
        async with site.coordinator(replace(QUICK, close_seconds=0.1)) as engine:
            job = await submit(engine)
            await until(lambda: site.journal.facts[-1].kind == "maps-planned")
            site.journal.full = True
            engine.post(events.StopRequested(job))
    site.journal.full = False
    async with site.coordinator(QUICK) as engine:
        assert engine.job(job).status is JobStatus.RUNNING


async def test_secrets_reach_orders_and_are_forgotten_at_the_end(site):
    seen = []

    async def program(order: AttemptOrder):
        seen.append((order.input_access.access_key_id, order.output_access.access_key_id))
        async for report in succeed(order):
            yield report

    site.add_workers(1, program)
    async with site.coordinator(QUICK) as engine:
        secrets = JobSecrets(StorageAccess(access_key_id="a"), StorageAccess(access_key_id="b"))
        job = (await engine.submit(a_spec(), secrets)).job.id
        await ended(engine, job)
        await until(lambda: not engine.state.queues)
    assert set(seen) == {("a", "b")}
    assert site.secrets.secrets == {}
    assert "access" not in "".join(fact.body for fact in site.journal.facts)


async def test_secrets_of_a_submission_that_a_crash_cut_short_are_swept(site):
    secrets = JobSecrets(StorageAccess(access_key_id="a"), StorageAccess(access_key_id="b"))
    async with site.coordinator(QUICK) as engine:  # no worker: the job stays
        job = (await engine.submit(a_spec(), secrets)).job.id
    await site.secrets.put(JobId("nojob"), secrets)
    async with site.coordinator(QUICK):
        assert list(site.secrets.secrets) == [job]


async def test_a_submission_waits_for_the_clean_up_of_an_ended_job_at_its_output(site):
    site.add_workers(1)
    site.program = hang_on("m-00000-0")
    async with site.coordinator(QUICK) as engine:
        first = await submit(engine)
        await until(lambda: engine.counters(first))
        await engine.stop(first)
        assert first in engine.state.queues
        second = await submit(engine)
        assert first not in engine.state.queues
        assert (await ended(engine, second)).status is JobStatus.SUCCEEDED


async def test_a_failing_program_fails_the_job_with_its_words(site):
    async def program(order: AttemptOrder):
        yield AttemptLog(b"Traceback: boom\n", 0)
        yield AttemptFailed("program_exited", "the mapper exited with status 3", retryable=True, exit_status=3)

    site.add_workers(1, program)
    async with site.coordinator(QUICK) as engine:
        job = await ended(engine, await submit(engine))
        events = [event async for event in engine.events(job.id)]
    assert (job.failure.exit_status, job.failure.attempt) == (3, f"{job.id}-m-00000-3")
    assert events[-1].body["failure"] == {
        "reason": "program_exited",
        "message": "the mapper exited with status 3",
        "task": f"{job.id}-m-00000",
        "attempt": f"{job.id}-m-00000-3",
        "program": "builtin:identity",
        "input": "file:///in from byte 0",
        "exitStatus": 3,
        "fingerprint": job.failure.fingerprint,
    }
    assert site.logs.logs[AttemptId(f"{job.id}-m-00000-0")] == b"Traceback: boom\n"


async def test_fetch_failure_comes_from_the_report(site):
    failed = []

    async def program(order: AttemptOrder):
        if order.map_outputs and not failed:
            lost = order.map_outputs[1]
            failed.append(lost.task)
            yield AttemptFailed(
                "fetch_failed",
                f"cannot read {lost.path}",
                retryable=True,
                lost_map_task=TaskId(lost.task),
                lost_map_attempt=AttemptId(lost.attempt),
            )
            return
        async for report in succeed(order):
            yield report

    site.add_workers(1, program)
    async with site.coordinator(QUICK) as engine:
        job = await ended(engine, await submit(engine))
    assert job.status is JobStatus.SUCCEEDED
    assert [len(task.attempts) for task in job.maps] == [1, 2, 1]


async def test_a_killed_worker_costs_one_attempt(site):
    site.add_workers(2, hang_on("m-00000-0"))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: engine.job(job).maps and engine.job(job).maps[2].accepted)
        hanging = next(worker for worker in site.workers if worker.busy_with)
        await hanging.kill()
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        assert [attempt.status for attempt in engine.job(job).maps[0].attempts] == [
            AttemptStatus.LOST,
            AttemptStatus.SUCCEEDED,
        ]
        assert site.pool.released == [hanging.id]


async def test_a_worker_that_the_pool_reports_gone_ends_its_stream(site):
    site.add_workers(2, hang_on("m-00000-0"))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: engine.job(job).maps and engine.job(job).maps[2].accepted)
        hanging = next(worker for worker in site.workers if worker.busy_with)
        site.pool.remove(hanging.id, "the pod was evicted")
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        assert engine.job(job).maps[0].attempts[0].failure.message == "the pod was evicted"
        await until(lambda: not engine.state.queues)


async def test_running_attempts_are_attached_after_a_restart(site):
    gate = asyncio.Event()

    async def program(order: AttemptOrder):
        await gate.wait()
        async for report in succeed(order):
            yield report

    site.add_workers(2, program)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: all(worker.busy_with for worker in site.workers))
    gate.set()  # they end while there is no coordinator
    async with site.coordinator(QUICK) as engine:
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        assert [len(task.attempts) for task in await engine.tasks(job)] == [1, 1, 1, 1]


async def test_attempts_of_workers_that_do_not_come_back_run_again(site):
    site.add_workers(1, hang_on("m-00000-0"))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: site.workers[0].busy_with)
    await site.workers[0].kill()
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        assert (await engine.task(TaskId(f"{job}-m-00000"))).attempts[0].status is AttemptStatus.LOST


async def test_a_commit_that_was_cut_short_goes_on_after_a_restart(site):
    site.add_workers(1)
    site.output.commit_mishaps.plan(*[StorageUnavailable("s3 is away")] * 10_000)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: engine.job(job).trouble == "s3 is away")
        assert engine.job(job).status is JobStatus.COMMITTING
    site.output.commit_mishaps = type(site.output.commit_mishaps)()
    async with site.coordinator(QUICK) as engine:
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED


async def test_trouble_of_the_pool_is_none_of_jobs_that_have_workers(site):
    site.add_workers(1, hang_on("m-00000-0"))
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: site.workers[0].busy_with)
        site.pool.tell(PoolTrouble(None, "10.0.0.7:8090 does not answer"))
        assert engine.job(job).trouble == ""


async def test_credentials_of_the_body_are_there_after_a_restart(site):
    seen = []

    async def program(order: AttemptOrder):
        seen.append((order.input_access.access_key_id, order.output_access.secret_access_key))
        async for report in succeed(order):
            yield report

    async with site.coordinator(QUICK) as engine:
        secrets = JobSecrets(StorageAccess(access_key_id="a"), StorageAccess(secret_access_key="b"))
        job = (await engine.submit(a_spec(), secrets)).job.id
    site.add_workers(1, program)
    async with site.coordinator(QUICK) as engine:
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
    assert set(seen) == {("a", "b")}


async def test_trouble_of_the_pool_shows_on_the_job_until_a_worker_comes(site):
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: engine.job(job).planned)
        site.pool.tell(PoolTrouble(job, "the image cannot be pulled"))
        assert engine.job(job).trouble == "the image cannot be pulled"
        site.add_workers(1)
        assert (await ended(engine, job)).trouble == ""


async def test_a_pool_without_workers_for_good_ends_the_engine_and_its_jobs_can_be_stopped(site):
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        site.pool.tell(PoolBroken("no worker starts: APOLLO_MOON is full"))
        with pytest.raises(InvalidSetting, match="APOLLO_MOON is full"):
            await engine.wait_broken()
        await engine.wind_up()
        assert engine.job(job).status is JobStatus.STOPPED
    assert site.output.uploads == {}


async def test_ended_jobs_are_forgotten_after_their_retention(site):
    site.add_workers(1)
    settings = EngineSettings(limits=Limits(retention_ms=50), tick_ms=5)
    async with site.coordinator(settings) as engine:
        job = await submit(engine, keep_intermediate=True)
        await ended(engine, job)
        await until(lambda: not engine.jobs() and not site.journal.facts)
        assert site.intermediate.removed == [job]
        with pytest.raises(UnknownJob):
            engine.job(job)


async def test_an_unasked_cancel_by_the_worker_is_a_lost_attempt(site):
    async def program(order: AttemptOrder):
        if order.attempt_number == 0 and order.task.index == 0:
            yield AttemptCancelled()
        yield AttemptDone({})

    site.add_workers(1, program)
    async with site.coordinator(QUICK) as engine:
        job = await ended(engine, await submit(engine))
    assert job.status is JobStatus.SUCCEEDED
    assert job.maps[0].attempts[0].status is AttemptStatus.LOST


async def test_jobs_are_listed_in_pages(site):
    async with site.coordinator(QUICK) as engine:
        made = [await submit(engine, output_path=f"file:///out{n}") for n in range(5)]
        assert [job.id for job in engine.jobs(limit=2)] == made[:2]
        assert [job.id for job in engine.jobs(after=made[1], limit=2)] == made[2:4]


async def test_jobs_are_listed_from_the_newest_on(site):
    async with site.coordinator(QUICK) as engine:
        made = [await submit(engine, output_path=f"file:///out{n}") for n in range(5)]
        assert [job.id for job in engine.jobs(limit=2, newest_first=True)] == [made[4], made[3]]
        assert [job.id for job in engine.jobs(after=made[3], newest_first=True)] == [made[2], made[1], made[0]]
        odd = engine.jobs(limit=2, newest_first=True, wanted=lambda job: job.id in made[1::2])
        assert [job.id for job in odd] == [made[3], made[1]]


async def test_a_reader_of_changes_hears_of_jobs_and_workers(site):
    """The last that it is told of each is how each ended."""
    async with site.coordinator(QUICK) as engine:
        changes = engine.changes()
        telling = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)  # it reads from here on
        job = await submit(engine)
        told = await telling
        assert told.jobs
        site.add_workers(1)
        jobs, workers = {}, {}
        async with asyncio.timeout(20):
            while job not in jobs or jobs[job].status is not JobStatus.SUCCEEDED or None not in workers.values():
                told = await anext(changes)
                jobs |= {each.id: each for each in told.jobs}
                workers |= {each.id: each.attempt for each in told.workers}
        assert set(jobs) == {job}
        site.pool.remove(site.workers[0].id, "evicted")
        async with asyncio.timeout(20):
            while not told.gone_workers:
                told = await anext(changes)
        assert told.gone_workers == tuple(workers)
        await changes.aclose()


async def test_a_slow_reader_of_changes_is_told_once_of_each_job(site):
    async with site.coordinator(QUICK) as engine:
        changes = engine.changes()
        telling = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        job = await submit(engine)
        await telling
        site.add_workers(2)
        await ended(engine, job)
        told = await anext(changes)
        assert [(each.id, each.status) for each in told.jobs] == [(job, JobStatus.SUCCEEDED)]
        await changes.aclose()


async def test_a_forgotten_job_is_told_as_gone(site):
    async with site.coordinator(replace(QUICK, limits=replace(QUICK.limits, retention_ms=50))) as engine:
        changes = engine.changes()
        telling = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        site.add_workers(1)
        job = await submit(engine)
        told = await telling
        async with asyncio.timeout(20):
            while not told.gone_jobs:
                told = await anext(changes)
        assert told.gone_jobs == (job,)
        await changes.aclose()


async def test_the_log_says_why_attempts_and_jobs_fail(site):
    async def program(order: AttemptOrder):
        yield AttemptFailed("program_exited", "the mapper exited with status 3", retryable=False)

    site.add_workers(1, program)
    with capture_logs() as lines:
        async with site.coordinator(QUICK) as engine:
            job = await ended(engine, await submit(engine))
    why = {"log_level": "warning", "reason": "program_exited", "error": "the mapper exited with status 3"}
    task = f"{job.id}-m-00000"
    group = {"fingerprint": job.failure.fingerprint, "attempts": 1, "tasks": 1, "workers": 1, "lines": "", "record": ""}
    assert [line for line in lines if line["log_level"] == "warning"] == [
        {"event": "attempt failed", "job": job.id, "task": task, "attempt": f"{task}-0", **why, **group},
        {"event": "job failed", "job": job.id, **why},
    ]


async def test_the_log_says_in_the_end_how_many_attempts_failed_alike_and_on_what(site):
    site.input = MemoryInput({"file:///in": list(splits(2))})
    record = RecordPlace("file:///in", 7, 4, "b\x1bad")

    async def program(order: AttemptOrder):
        stderr = f"Traceback:\nno such word: '{order.attempt_id}'\n"
        yield AttemptFailed(
            "program_exited", "it failed", retryable=True, exit_status=3, stderr_tail=stderr, bad_record=record
        )

    site.add_workers(2, program)
    with capture_logs() as lines:
        async with site.coordinator(QUICK) as engine:
            job = await ended(engine, await submit(engine, max_attempts=50))
    (group,) = job.failures.values()
    (told,) = [line for line in lines if line["event"] == "attempts failed alike"]
    assert group.attempts > 1
    assert (told["attempts"], told["tasks"], told["workers"]) == (group.attempts, group.tasks, group.workers)
    assert (told["lines"], told["record"]) == (group.lines[0], r"'b\x1bad' at byte 7 of file:///in")


async def test_the_log_tells_of_attempts_that_fail_alike_at_every_tenth_power(site):
    site.input = MemoryInput({"file:///in": list(splits(25))})

    async def program(order: AttemptOrder):
        if order.attempt_number == 0:
            yield AttemptFailed("program_exited", f"no record {order.task.index}", retryable=True, exit_status=3)
        yield AttemptDone({})

    site.add_workers(30, program)
    with capture_logs() as lines:
        async with site.coordinator(QUICK) as engine:
            job = await ended(engine, await submit(engine, n_reducers=0))
    assert job.status is JobStatus.SUCCEEDED
    (group,) = job.failures.values()
    assert (group.attempts, group.tasks) == (25, 25)
    warned = [line for line in lines if line["log_level"] == "warning"]
    assert [(line["event"], line["attempts"]) for line in warned] == [
        ("attempt failed", 1),
        ("attempts fail alike", 10),
    ]
    assert {line["fingerprint"] for line in warned} == {group.fingerprint}
