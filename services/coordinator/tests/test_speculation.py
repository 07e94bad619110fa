"""Backup attempts: who gets one, when and where, and what becomes of an attempt and its backup."""

import pytest

from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import commands, events, facts
from apollo_coordinator.core.codec import decode
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import AttemptStatus, Failure, JobStatus, TaskStatus
from support.scheduling import World, attempts

SECOND_MS = 1_000


@pytest.fixture
def world():
    return World()


def names(count, prefix="w"):
    return [f"{prefix}{number}" for number in range(count)]


def map_attempt(index, number=0, job="j"):
    return f"{job}-m-{index:05d}-{number}"


def run(world, seconds, bytes_per_second, *, done=()):
    """Let time pass; attempts read at their rates, of 100 bytes each; `done` end when they have read them."""
    asked = []
    for _ in range(seconds):
        for attempt, rate in bytes_per_second.items():
            running = world.state.running(AttemptId(attempt))
            if running is not None:
                asked += world.progress(attempt, min(100, running.attempt.input_bytes + rate))
                if running.attempt.input_bytes == 100 and attempt in done:
                    asked += world.done(attempt)
        asked += world.wait(SECOND_MS)
    return attempts(asked)


def a_tail(world, slow=1, maps=4, **spec):
    """A job whose attempts read 10 bytes a second and are done, but for the first ones, which read 1."""
    job = world.job(maps=maps, **spec)
    world.workers(*names(maps))
    rates = {map_attempt(index): 1 if index < slow else 10 for index in range(maps)}
    return job, rates, run(world, 12, rates, done=[a for a, rate in rates.items() if rate == 10])


def test_a_straggler_by_rate_gets_one_backup_on_another_worker(world):
    job, _, started = a_tail(world)
    assert started == [map_attempt(0, 1)]
    first, backup = job.maps[0].attempts
    assert not first.speculative
    assert backup.speculative
    assert backup.worker != first.worker
    assert job.speculative_attempts == 1
    assert run(world, 30, {map_attempt(0): 1, map_attempt(0, 1): 10}) == []


def test_a_task_with_ten_times_the_input_at_the_usual_rate_is_no_straggler(world):
    world.job(maps=4)
    world.workers(*names(4))
    for second in range(1, 101):
        world.progress(map_attempt(0), 10 * second, total=1000)
        for index in (1, 2, 3):
            if second <= 10:
                world.progress(map_attempt(index), 10 * second)
            if second == 10:
                world.done(map_attempt(index))
        assert attempts(world.wait(SECOND_MS)) == []


def test_a_slow_task_that_is_nearly_done_gets_no_backup(world):
    world.job(maps=4)
    world.workers(*names(4))
    world.progress(map_attempt(0), 90)  # read at once; the rest takes as long as all of the others did
    assert run(world, 12, {map_attempt(index): 10 for index in (1, 2, 3)}, done=map(map_attempt, (1, 2, 3))) == []
    assert run(world, 14, {}) == []


def test_an_attempt_that_reads_nothing_more_is_backed_up_after_several_times_the_usual_time(world):
    world.job(maps=4)
    world.workers(*names(4))
    for index in (1, 2, 3):
        world.progress(map_attempt(index), 100)
    world.wait(10 * SECOND_MS)
    for index in (1, 2, 3):
        world.done(map_attempt(index))  # each took 10 s
    assert run(world, 20, {}) == []
    assert run(world, 2, {}) == [map_attempt(0, 1)]


def test_a_stuck_attempt_is_seen_beside_others_whose_input_is_not_known(world):
    """Reduces that are done before they tell of any progress."""
    world.job(maps=0, n_reducers=3)
    world.workers(*names(3))
    for index in range(3):
        world.opened(f"j-r-0000{index}-0")
    world.progress("j-r-00001-0", 50)
    world.wait(1_000)
    world.done("j-r-00000-0")
    world.done("j-r-00002-0")
    assert run(world, 3, {}) == []  # not before it has run for a while
    assert run(world, 2, {}) == ["j-r-00001-1"]


def test_silence_is_measured_by_the_tasks_own_input(world):
    """Ten times the input, read at once and computed on for ten times as long: as slow as the others, no slower."""
    world.job(maps=4)
    world.workers(*names(4))
    world.progress(map_attempt(0), 1000, total=1000)
    for index in (1, 2, 3):
        world.progress(map_attempt(index), 100)
    world.wait(10 * SECOND_MS)
    for index in (1, 2, 3):
        world.done(map_attempt(index))
    assert run(world, 90, {}) == []


def test_a_lone_attempt_has_nothing_to_be_compared_with(world):
    world.job(maps=1)
    world.workers("w0", "w1")
    assert run(world, 200, {map_attempt(0): 1}) == []


def test_slow_from_the_start_in_the_first_wave_is_seen_before_anything_is_done(world):
    world.job(maps=4)
    world.workers(*names(5))
    rates = {map_attempt(index): 1 if index == 2 else 4 for index in range(4)}
    assert run(world, 8, rates) == [map_attempt(2, 1)]


def test_nothing_is_backed_up_before_the_minimum_running_time():
    world = World(Limits(backup_after_ms=20_000))
    assert a_tail(world)[2] == []
    assert run(world, 9, {map_attempt(0): 1}) == [map_attempt(0, 1)]


def test_nothing_is_backed_up_while_a_task_of_the_phase_waits():
    world = World(Limits(retry_delay_ms=20_000))
    world.job(maps=5)
    world.workers(*names(5))
    world.failed(map_attempt(4))
    rates = {map_attempt(0): 1} | {map_attempt(index): 10 for index in (1, 2, 3)}
    assert run(world, 19, rates, done=list(rates)[1:]) == []
    assert run(world, 1, rates) == [map_attempt(4, 1), map_attempt(0, 1)]


def test_a_job_that_wants_no_speculation_gets_none(world):
    job, _, started = a_tail(world, speculation=False)
    assert started == []
    assert run(world, 300, {map_attempt(0): 1}) == []
    assert job.speculative_attempts == 0


def test_max_workers_bounds_backups_too(world):
    world.job(maps=2, max_workers=1)
    world.workers(*names(3))
    run(world, 11, {map_attempt(0): 10}, done=[map_attempt(0)])
    assert run(world, 60, {map_attempt(1): 1}) == []


def test_the_longest_time_left_goes_first_and_backups_are_a_bounded_share(world):
    world.job(maps=30)
    world.workers(*names(40))
    rates = {map_attempt(index): 10 for index in range(30)}
    rates |= {map_attempt(index): 2 for index in (3, 4, 5, 6)} | {map_attempt(7): 1}
    started = run(world, 8, rates)
    assert started == [map_attempt(7, 1), map_attempt(3, 1), map_attempt(4, 1)]  # 10 % of 30 that run


def test_one_straggler_after_the_other_when_few_attempts_run(world):
    job, rates, started = a_tail(world, slow=2)
    assert started == [map_attempt(0, 1)]
    rates |= {map_attempt(0, 1): 10}
    assert run(world, 12, rates, done=[map_attempt(0, 1)]) == [map_attempt(1, 1)]
    assert job.speculative_won == 1


def test_the_backup_wins_the_first_is_cancelled_and_its_worker_is_known_to_be_slow(world):
    job, _, _ = a_tail(world, slow=2)
    slow = job.maps[0].attempts[0].worker
    asked = world.done(map_attempt(0, 1))
    assert (
        commands.CancelAttempt(AttemptId(map_attempt(0)), slow, f"attempt {map_attempt(0, 1)} was done first") in asked
    )
    assert job.maps[0].accepted == map_attempt(0, 1)
    world.cancelled(map_attempt(0))
    assert world.state.workers[slow].slow
    assert run(world, 2, {map_attempt(1): 1}) == [map_attempt(1, 1)]
    assert job.maps[1].attempts[1].worker != slow
    assert job.speculative_won == 1


def test_the_first_wins_and_the_backup_is_cancelled(world):
    job, _, _ = a_tail(world)
    fast, other = (attempt.worker for attempt in job.maps[0].attempts)
    asked = world.done(map_attempt(0))
    assert (
        commands.CancelAttempt(AttemptId(map_attempt(0, 1)), other, f"attempt {map_attempt(0)} was done first") in asked
    )
    world.done(map_attempt(0, 1))  # too late
    assert job.maps[0].accepted == map_attempt(0)
    assert job.maps[0].attempts[1].status is AttemptStatus.CANCELLED
    assert job.speculative_won == 0
    assert not world.state.workers[fast].slow
    assert not world.state.workers[other].slow


@pytest.mark.parametrize("end", ["failed", "lost"])
def test_a_backup_that_ends_badly_leaves_the_first_running_and_a_task_gets_two_at_most(world, end):
    job, _, _ = a_tail(world)
    getattr(world, end)(map_attempt(0, 1))
    assert job.maps[0].status is TaskStatus.IN_PROGRESS
    assert run(world, 2, {map_attempt(0): 1}) == [map_attempt(0, 2)]
    getattr(world, end)(map_attempt(0, 2))
    assert run(world, 60, {map_attempt(0): 1}) == []
    world.done(map_attempt(0))
    assert job.maps[0].accepted == map_attempt(0)


def test_when_the_first_is_lost_its_backup_goes_on_alone(world):
    job, _, _ = a_tail(world)
    assert attempts(world.lost(map_attempt(0))) == []
    world.done(map_attempt(0, 1))
    assert job.maps[0].accepted == map_attempt(0, 1)


def test_a_failed_backup_uses_up_the_budget_but_the_first_may_still_be_done(world):
    job, _, _ = a_tail(world, max_attempts=1)
    world.failed(map_attempt(0, 1))
    assert job.status is JobStatus.RUNNING
    assert run(world, 60, {map_attempt(0): 1}) == []  # nothing more may fail
    world.done(map_attempt(0))
    assert job.maps[0].status is TaskStatus.COMPLETED


def test_a_lost_map_output_ends_the_job_when_backups_have_used_up_the_budget(world):
    job, _, _ = a_tail(world, max_attempts=1)
    world.failed(map_attempt(0, 1))
    world.done(map_attempt(0))
    assert job.status is JobStatus.RUNNING
    world.opened("j-r-00000-0")
    world.fetch_failed("j-r-00000-0", map_attempt(0))
    assert job.status is JobStatus.FAILED
    assert (job.failure.reason, job.failure.attempt) == ("program_exited", map_attempt(0, 1))
    assert job.maps[0].attempts[2:] == []


def test_a_failed_backup_and_a_lost_first_end_the_job_with_the_failure(world):
    job, _, _ = a_tail(world, max_attempts=1)
    world.failed(map_attempt(0, 1))
    world.lost(map_attempt(0))
    assert job.status is JobStatus.FAILED
    assert (job.failure.reason, job.failure.attempt) == ("program_exited", map_attempt(0, 1))


def test_a_backup_of_a_failure_that_would_come_again_ends_the_job_at_once(world):
    job, _, _ = a_tail(world)
    world.failed(map_attempt(0, 1), Failure("input_changed", "the input is another one", retryable=False))
    assert job.status is JobStatus.FAILED
    assert job.maps[0].attempts[0].status is AttemptStatus.CANCELLED


def test_no_backup_without_an_idle_worker_but_the_pool_is_asked_for_one(world):
    world.job(maps=3, n_reducers=2)
    world.workers(*names(3))
    run(world, 10, {map_attempt(index): 10 for index in range(3)}, done=map(map_attempt, range(3)))
    world.tell(events.WorkerLeft(WorkerId("w0"), "scaled down"))
    for index in range(2):
        world.opened(f"j-r-0000{index}-0")
    assert world.state.queues[JobId("j")].scaled_workers == 2
    asked = []
    for second in range(10):
        world.progress("j-r-00000-0", second + 1)
        world.progress("j-r-00001-0", 10 * second)
        asked += world.wait(SECOND_MS)
    assert asked == [commands.ScalePool(JobId("j"), 3)]
    world.workers("w9")
    started = world.wait(SECOND_MS)
    assert started == [commands.OpenOutput(AttemptId("j-r-00000-1"), WorkerId("w9"))]


def test_both_uploads_of_a_reduce_and_its_backup_are_known_to_the_clean_up(world):
    job = world.job(maps=0, n_reducers=3)
    world.workers(*names(4))
    for index in range(3):
        world.opened(f"j-r-0000{index}-0")
    rates = {"j-r-00000-0": 1, "j-r-00001-0": 10, "j-r-00002-0": 10}
    assert run(world, 11, rates, done=list(rates)[1:]) == ["j-r-00000-1"]
    world.done("j-r-00000-0")  # before the backup's upload is open
    assert job.status is JobStatus.COMMITTING
    world.tell(events.CommitFinished(job.id))
    assert commands.CleanUp(job.id) not in world.asked
    world.opened("j-r-00000-1")
    assert job.reduces[0].attempts[1].upload_id == "upload-j-r-00000-1"
    assert world.asked[-1] == commands.CleanUp(job.id) or commands.CleanUp(job.id) in world.asked


def test_a_worker_of_the_jobs_own_is_preferred_and_one_of_another_job_never_taken(world):
    job = world.job("j", maps=3)
    world.workers(*names(3), job="j")
    world.job("other", maps=0)
    world.workers("theirs", job="other")
    run(world, 11, {map_attempt(0): 1, map_attempt(1): 10, map_attempt(2): 10}, done=[map_attempt(1), map_attempt(2)])
    assert job.maps[0].attempts[1].worker in ("w1", "w2")


def test_a_sampler_is_backed_up_as_maps_are_and_no_map_starts_before_one_of_both_is_done(world):
    job = world.job(maps=4, n_reducers=2, partitioner="range")
    world.workers(*names(4))
    rates = {f"j-s-{index:05d}-0": 10 if index else 1 for index in range(4)}
    assert run(world, 12, rates, done=list(rates)[1:]) == ["j-s-00000-1"]
    assert attempts(world.done("j-s-00000-1")) == [map_attempt(index) for index in range(3)]
    first, backup = job.samplers[0].attempts
    assert (first.status, backup.status) == (AttemptStatus.CANCELLED, AttemptStatus.SUCCEEDED)
    assert attempts(world.cancelled("j-s-00000-0")) == [map_attempt(3)]
    assert job.speculative_won == 1


def test_a_stopped_job_cancels_both(world):
    _, _, _ = a_tail(world)
    asked = world.tell(events.StopRequested(JobId("j")))
    assert {c.attempt for c in asked if isinstance(c, commands.CancelAttempt)} == {map_attempt(0), map_attempt(0, 1)}
    world.cancelled(map_attempt(0))
    assert commands.CleanUp(JobId("j")) in world.cancelled(map_attempt(0, 1))


# Restarts


def test_both_attempts_are_attached_after_a_restart(world):
    job, _, _ = a_tail(world)
    first, backup = job.maps[0].attempts
    again = world.restart()
    for attempt in (first, backup):
        asked = again.tell(events.WorkerJoined(attempt.worker, "w:8090", attempt=attempt.id))
        assert asked == [commands.AttachAttempt(attempt.id, attempt.worker)]
    job = again.state.jobs[JobId("j")]
    assert (job.speculative_attempts, job.maps[0].attempts[1].speculative) == (1, True)
    again.done(map_attempt(0, 1))
    assert job.maps[0].accepted == map_attempt(0, 1)


def test_silence_over_a_restart_is_not_held_against_an_attempt(world):
    world.job(maps=4)
    world.workers(*names(4))
    run(world, 11, {map_attempt(index): 10 for index in range(4)}, done=map(map_attempt, range(3)))
    world.wait(1_000 * SECOND_MS)
    again = world.restart()
    again.tell(events.WorkerJoined(WorkerId("w3"), "w3:8090", attempt=AttemptId(map_attempt(3))))
    again.workers("w8")
    assert run(again, 5, {}) == []


def test_losing_both_workers_over_a_restart_loses_both_and_starts_one(world):
    job, _, _ = a_tail(world, max_attempts=1)
    again = world.restart()
    again.workers("w8", "w9")
    assert attempts(again.wait(10_000)) == [map_attempt(0, 2)]
    job = again.state.jobs[JobId("j")]
    assert [attempt.status for attempt in job.maps[0].attempts[:2]] == [AttemptStatus.LOST] * 2


def test_losing_both_over_a_restart_counts_both():
    world = World(Limits(max_lost_attempts=2))
    a_tail(world)
    again = world.restart()
    again.wait(10_000)
    assert again.state.jobs[JobId("j")].failure.message.startswith("task j-m-00000 was lost 2 times")


def test_a_journal_that_ends_before_the_loser_was_cancelled_is_taken_up_soundly(world):
    a_tail(world)
    world.done(map_attempt(0, 1))
    while world.facts and not isinstance(world.facts[-1], facts.AttemptAccepted):
        world.facts.pop()
    again = world.restart()
    first = again.state.jobs[JobId("j")].maps[0].attempts[0]
    assert first.status is AttemptStatus.CANCELLED
    asked = again.tell(events.WorkerJoined(first.worker, "w:8090", attempt=first.id))
    assert commands.CancelAttempt(first.id, first.worker, "nobody waits for the attempt any more") in asked
    again.tell(events.AttemptDone(first.id, first.worker, {}, output_path="late"))
    assert again.state.jobs[JobId("j")].maps[0].accepted == map_attempt(0, 1)


def test_a_journal_that_ends_before_the_jobs_end_fails_the_job_then(world):
    world.job(max_attempts=1)
    world.workers("w1")
    world.failed(map_attempt(0))
    while not isinstance(world.facts[-1], facts.AttemptFailed):
        world.facts.pop()
    job = world.restart().state.jobs[JobId("j")]
    assert (job.status, job.failure.reason) == (JobStatus.FAILED, "program_exited")


def test_an_attempt_of_an_older_journal_is_no_backup():
    body = '{"v":1,"attempt":"j-m-00000-0","worker":"w1"}'
    fact = decode("attempt-started", body, job="j", at_ms=1)
    assert fact == facts.AttemptStarted(1, AttemptId("j-m-00000-0"), WorkerId("w1"), speculative=False)


# Cost


def test_progress_never_searches_and_ticks_search_now_and_then(world):
    _, _, _ = a_tail(world, slow=2)
    world.facts.clear()
    for _ in range(20):
        world.progress(map_attempt(1), 12)
    for _ in range(50):
        world.wait(100)
    searches = [fact for fact in world.facts if isinstance(fact, facts.StragglersSought)]
    assert len(searches) == 0  # one backup is the job's share while three attempts run
    world.done(map_attempt(0, 1))
    world.facts.clear()
    for _ in range(50):
        world.wait(100)
    assert len([fact for fact in world.facts if isinstance(fact, facts.StragglersSought)]) <= 5
