"""What the metrics tell of jobs, attempts and workers, event by event."""

import pytest
from prometheus_client import CollectorRegistry

from apollo_common.errors import WorkerBusy, WorkerDrained, WorkerUnreachable
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_common.metrics.exposition import render_metrics
from apollo_common.timings import Timings
from apollo_coordinator.core import events
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import Failure
from apollo_coordinator.metrics.engine import EngineMetrics
from apollo_coordinator.metrics.present import serve_present
from support.scheduling import World, a_spec


class Watched(World):
    """A world whose events are counted, and that can be scraped. It has the parts of an engine that are looked at."""

    ready = True
    journal_stalled = False
    journal_waiting_facts = 3
    journal_append_age_seconds = 7.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.registry = CollectorRegistry()
        self.metrics = EngineMetrics(self.registry)
        serve_present(self.registry, self, ClockOf(self))

    def tell(self, event):
        before = len(self.facts)
        asked = super().tell(event)
        self.metrics.handled(event, self.facts[before:], self.state)
        return asked

    def values(self, name: str) -> dict[str | tuple[str, ...], float]:
        """By label values, without what is 0."""
        return {
            values[0] if len(values) == 1 else values: sample.value
            for family in self.registry.collect()
            for sample in family.samples
            for values in [tuple(sample.labels.values())]
            if sample.name == f"apollo_{name}" and sample.value
        }

    def series(self) -> set[str]:
        lines = render_metrics(self.registry).decode().splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    def value(self, name: str) -> float:
        """Of a family without labels."""
        return self.values(name).get((), 0)


class ClockOf:
    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        return self._world.now_ms


@pytest.fixture
def world():
    return Watched()


class TestAttempts:
    def test_each_end_is_counted_once_by_its_outcome(self, world):
        world.workers("w1", "w2", "w3", "w4")
        world.job(maps=4, n_reducers=1)
        world.now_ms += 2_000
        world.done("j-m-00000-0")
        world.failed("j-m-00001-0")
        world.lost("j-m-00002-0")
        world.tell(events.StopRequested(world.state.jobs["j"].id))
        assert world.values("attempts_started_total") == {"map": 5}  # what was lost is begun again at once
        ends = {("map", "succeeded"): 1, ("map", "failed"): 1, ("map", "lost"): 1, ("map", "cancelled"): 2}
        assert world.values("attempts_total") == ends
        assert world.values("attempt_duration_seconds_count") == ends
        assert world.values("attempt_duration_seconds_sum") == dict.fromkeys(ends, 2)
        assert world.values("attempt_setbacks_total") == {
            ("map", "failed", "program_exited"): 1,
            ("map", "lost", "worker_unreachable"): 1,
        }

    def test_where_time_went_is_counted_when_an_attempt_is_accepted(self, world):
        world.workers("w1")
        world.job(maps=2, n_reducers=1)
        timings = Timings(read_ms=250, program_ms=4_000)
        world.tell(events.AttemptDone(AttemptId("j-m-00000-0"), WorkerId("w1"), {}, timings=timings))
        world.tell(events.AttemptProgressed(AttemptId("j-m-00001-0"), WorkerId("w1"), 1, 10, {}, timings=timings))
        world.failed("j-m-00001-0")
        assert world.values("attempt_step_seconds_total") == {("map", "read"): 0.25, ("map", "program"): 4}

    def test_an_attempt_that_a_backup_has_overtaken_is_cancelled_once(self, world):
        world.workers("w1", "w2")
        world.job(maps=2, n_reducers=0)
        world.done("j-m-00000-0")
        for _ in range(20):
            world.wait(1_000)
        assert world.values("speculative_attempts_total") == {"map": 1}
        assert world.values("attempts_running") == {("map", "true"): 1, ("map", "false"): 1}
        world.done("j-m-00001-1")
        assert world.values("speculative_attempts_won_total") == {"map": 1}
        assert world.values("attempts_total") == {("map", "succeeded"): 2, ("map", "cancelled"): 1}
        assert world.values("attempts_running") == {}

    def test_what_an_error_of_a_stranger_says_makes_no_series(self, world):
        world.workers("w1")
        world.job(n_reducers=1)
        world.failed("j-m-00000-0", Failure("k3v9d2m7q4xa", "surprise"))
        assert world.values("attempt_setbacks_total") == {("map", "failed", "other"): 1}

    def test_the_first_setback_of_each_reason_is_seen_to_rise(self, world):
        """`increase` sees what comes first only in a series that was there before."""
        world.workers("w1", "w2")
        before = world.series()
        world.job(maps=2, n_reducers=0)
        world.lost("j-m-00001-0")
        world.failed("j-m-00000-0", Failure("record_too_large", "too large", retryable=False))
        assert world.values("job_failures_total") == {"record_too_large": 1}
        assert world.series() == before

    def test_a_pause_for_a_full_volume_is_no_latency(self, world):
        world.workers("w1")
        world.job(maps=2, n_reducers=0)
        world.failed("j-m-00000-0", Failure("volume_full", "no space left"))
        world.wait(world.limits.volume_full_pause_ms)  # one is tried alone
        assert world.values("attempts_started_total") == {"map": 2}
        assert world.values("scheduling_latency_seconds_sum") == {}
        world.workers("w2")
        world.now_ms += 1_000
        world.done("j-m-00000-1")
        assert world.values("attempts_started_total") == {"map": 3}
        assert world.values("scheduling_latency_seconds_sum") == {}

    def test_waiting_for_a_worker_is_latency_waiting_for_maps_is_not(self, world):
        world.job(maps=1, n_reducers=1)
        world.now_ms += 3_000
        world.workers("w1")
        assert world.values("scheduling_latency_seconds_sum") == {"map": 3}
        world.now_ms += 10_000
        world.done("j-m-00000-0")
        assert world.values("scheduling_latency_seconds_count") == {"map": 1, "reduce": 1}
        assert world.values("scheduling_latency_seconds_sum") == {"map": 3}

    def test_a_delay_before_a_retry_is_no_latency(self, world):
        world.workers("w1")
        world.job(maps=1, n_reducers=1)
        world.failed("j-m-00000-0")
        assert world.values("tasks_ready") == {}
        world.wait(world.limits.retry_delay_ms)
        assert world.values("attempts_started_total") == {"map": 2}
        assert world.values("scheduling_latency_seconds_sum") == {}

    def test_a_reduce_that_cannot_fetch_is_counted_with_the_output_that_it_lost(self, world):
        world.workers("w1")
        world.job(maps=1, n_reducers=1)
        world.done("j-m-00000-0")
        world.opened("j-r-00000-0")
        world.fetch_failed("j-r-00000-0", "j-m-00000-0")
        assert world.value("fetch_failures_total") == 1
        assert world.value("map_outputs_lost_total") == 1
        assert world.values("attempt_setbacks_total") == {("reduce", "lost", "fetch_failed"): 1}

    def test_counters_of_accepted_attempts_are_summed_up(self, world):
        world.workers("w1", "w2")
        world.job(maps=2, n_reducers=0)
        world.done("j-m-00000-0")
        world.done("j-m-00001-0")
        assert world.value("input_records_total") == 20  # 10 each, as support.scheduling says


class TestJobs:
    def test_their_time_in_the_queue_and_in_all(self):
        world = Watched(limits=Limits(max_running_jobs=1))
        world.workers("w1")
        world.job("a", n_reducers=0)
        world.tell(events.JobSubmitted(JobId("b"), a_spec(output_path="file:///out-b")))
        assert world.values("jobs") == {"running": 1, "queued": 1}
        world.now_ms += 4_000
        assert world.value("oldest_queued_job_age_seconds") == 4
        world.done("a-m-00000-0")
        world.tell(events.CommitFinished(world.state.jobs["a"].id))
        assert world.values("job_duration_seconds_sum") == {"succeeded": 4}
        assert world.value("job_queue_duration_seconds_sum") == 4
        assert world.values("jobs_ended_total") == {"succeeded": 1}

    def test_a_failure_is_counted_by_its_reason(self, world):
        world.workers("w1")
        world.job(n_reducers=1)
        world.failed("j-m-00000-0", Failure("record_too_large", "too large", retryable=False))
        assert world.values("jobs_ended_total") == {"failed": 1}
        assert world.values("job_failures_total") == {"record_too_large": 1}

    def test_the_largest_task_over_the_median_is_the_skew(self, world):
        world.workers("w1", "w2", "w3")
        world.job(maps=3, n_reducers=0, speculation=False)
        for attempt in ("j-m-00000-0", "j-m-00001-0"):
            world.now_ms += 1_000
            world.done(attempt)
        world.now_ms += 8_000
        world.done("j-m-00002-0")  # after 10 s; the others took 1 s and 2 s
        world.tell(events.CommitFinished(world.state.jobs["j"].id))
        assert world.values("phase_skew_ratio_sum") == {("map", "duration"): 5, ("map", "input_bytes"): 1}

    def test_progress_is_what_makes_a_job_young(self, world):
        world.workers("w1")
        world.job(n_reducers=0)
        world.now_ms += 7_000
        assert world.value("job_progress_age_seconds") == 7
        world.progress("j-m-00000-0", 10)
        assert world.value("job_progress_age_seconds") == 0
        world.now_ms += 2_000
        world.progress("j-m-00000-0", 10)  # a heartbeat: nothing more was read
        assert world.value("job_progress_age_seconds") == 2


class TestNow:
    def test_tasks_by_what_they_wait_for(self, world):
        world.workers("w1")
        world.job(maps=3, n_reducers=2)
        world.done("j-m-00000-0")
        assert world.values("tasks") == {
            ("map", "completed"): 1,
            ("map", "in-progress"): 1,
            ("map", "scheduled"): 1,
            ("reduce", "scheduled"): 2,
        }
        assert world.values("tasks_ready") == {"map": 1}
        world.now_ms += 5_000
        assert world.values("oldest_running_attempt_age_seconds") == {"map": 5}
        world.done("j-m-00001-0")
        world.done("j-m-00002-0")
        assert world.values("tasks_ready") == {"reduce": 1}

    def test_workers_by_state_and_why_they_went(self, world):
        world.workers("w1", "w2", "w3", "w4")
        world.job(maps=2, n_reducers=1)
        assert world.values("workers") == {"busy": 2, "idle": 2}
        busy = world.worker_of("j-m-00000-0")
        world.tell(events.WorkerDraining(busy))
        assert world.values("workers") == {"busy": 1, "idle": 2, "draining": 1}
        world.tell(events.WorkerLeft(busy, "it was evicted"))
        idle = next(iter(world.state.idle[None]))
        world.tell(events.WorkerDraining(idle))
        world.lost("j-m-00001-0")
        world.workers("w5")
        world.tell(events.WorkerLeft(WorkerId("w5"), "its node is gone"))
        assert world.values("workers_left_total") == {"gone": 1, "released": 2, "unreachable": 1}
        assert world.value("workers_joined_total") == 5

    @pytest.mark.parametrize("error", [WorkerDrained, WorkerBusy])
    def test_a_worker_that_hands_its_attempt_back_was_let_go(self, world, error):
        world.workers("w1")
        world.job(n_reducers=0)
        failure = Failure(error.reason, "not now")
        world.tell(events.AttemptLost(AttemptId("j-m-00000-0"), WorkerId("w1"), failure))
        assert world.values("workers_left_total") == {"released": 1}

    def test_why_an_attempt_was_lost_is_not_why_its_worker_went(self, world):
        """One that drains is released as soon as it is free, in the same step."""
        world.workers("w1")
        world.job(n_reducers=0)
        world.tell(events.WorkerDraining(WorkerId("w1")))
        failure = Failure(WorkerUnreachable.reason, "it knows nothing of the attempt")
        world.tell(events.AttemptLost(AttemptId("j-m-00000-0"), WorkerId("w1"), failure, worker_usable=True))
        assert world.values("workers_left_total") == {"released": 1}

    def test_a_job_that_is_taken_is_an_event(self, world):
        world.metrics.submitted()
        assert world.values("scheduler_events_total") == {"JobSubmitted": 1}

    def test_events_the_journal_and_readiness(self, world):
        world.workers("w1")
        assert world.values("scheduler_events_total") == {"WorkerJoined": 1}
        assert world.value("ready") == 1
        assert world.value("journal_waiting_facts") == 3
        assert world.value("journal_append_age_seconds") == 7.5
        world.metrics.appended(5, 0.02)
        world.metrics.append_failed()
        assert world.value("journal_facts_total") == 5
        assert world.value("journal_append_duration_seconds_count") == 1
        assert world.value("journal_append_failures_total") == 1

    def test_after_a_restart_a_job_is_as_young_as_the_coordinator(self, world):
        world.workers("w1")
        world.job(n_reducers=0)
        again = world.restart()
        again.now_ms += 60_000
        again.tell(events.Restarted())
        assert again.state.queues["j"].advanced_ms == again.now_ms


class TestCardinality:
    """All jobs are different, and so are the ids of their tasks, attempts and workers."""

    def run_job(self, world, number: int) -> None:
        job = f"j{number}"
        world.workers(*(f"w{number}-{index}" for index in range(4)))
        world.job(job, maps=2, n_reducers=1, params={"number": str(number)})
        world.progress(f"{job}-m-00000-0", number, 1 << 40)
        match number % 5:
            case 0:
                world.failed(f"{job}-m-00000-0", Failure(f"reason-{number}", "a surprise", retryable=False))
            case 1:
                world.lost(f"{job}-m-00000-0")
                world.tell(events.StopRequested(world.state.jobs[job].id))
            case 2:
                self.finish_maps(world, job)
                world.fetch_failed(f"{job}-r-00000-0", f"{job}-m-00000-0")
                world.tell(events.StopRequested(world.state.jobs[job].id))
            case _:
                self.finish_maps(world, job)
                world.done(f"{job}-r-00000-0")
                world.tell(events.CommitFinished(world.state.jobs[job].id))
        for worker in list(world.state.workers):
            world.tell(events.WorkerLeft(worker, f"{worker} is gone"))
        if job in world.state.queues:
            world.tell(events.CleanUpFinished(world.state.jobs[job].id))

    def finish_maps(self, world, job: str) -> None:
        world.done(f"{job}-m-00000-0")
        world.done(f"{job}-m-00001-0")
        world.opened(f"{job}-r-00000-0")

    def test_a_thousand_jobs_make_no_more_series_than_ten(self):
        world = Watched(check_every=1_000_000)
        for number in range(10):
            self.run_job(world, number)
        after_ten = world.series()
        for number in range(10, 1_000):
            self.run_job(world, number)
        assert sum(world.values("jobs_ended_total").values()) == 1_000
        assert world.series() == after_ten
