"""The scheduling core under any messages: late, repeated, reordered, made up. Every invariant holds after each."""

import hashlib
import random

from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import commands, events, facts
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import Failure, JobStatus
from support.scheduling import COUNTERS, World, a_spec, splits

EVENTS = 150
MAX_ROUNDS = 2_000
REASONS = ("program_exited", "volume_full", "storage_unavailable", "input_changed")


class CoreRun:
    """One seed. `world` is replaced when the coordinator restarts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        limits = Limits(
            max_running_jobs=self.random.choice((1, 2, 100)),
            max_lost_attempts=self.random.choice((3, 20)),
            quarantine_after_tasks=self.random.choice((1, 3)),
        )
        self.world = World(limits)
        self.told: list[events.AttemptEvent] = []
        self.workers = 0
        self.jobs = 0
        self.lost_workers: set[str] = set()

    def run(self) -> str:
        """A digest of every fact, to compare runs by."""
        for _ in range(EVENTS):
            self._anything()
        self._calm()
        story = "\n".join(repr(fact) for fact in self.world.facts)
        return hashlib.sha256(story.encode()).hexdigest()

    def _anything(self) -> None:
        choice = self.random.random()
        if choice < 0.06:
            self._submit()
        elif choice < 0.14:
            self._join()
        elif choice < 0.17 and self.world.state.workers:
            worker = self.random.choice(list(self.world.state.workers))
            self.lost_workers.add(worker)
            self._tell(events.WorkerLeft(worker, "the worker left"))
        elif choice < 0.19 and self.world.state.jobs:
            self._tell(events.StopRequested(self.random.choice(list(self.world.state.jobs))))
        elif choice < 0.21:
            self.world = self.world.restart()
            self.world.asked = []
            self.lost_workers.clear()
        elif choice < 0.31:
            self.world.wait(self.random.choice((1, 100, 5_000, 60_000)))
        elif choice < 0.41 and self.told:
            self._tell(self.random.choice(self.told))
        elif choice < 0.51:
            self._answer_jobs()
        else:
            self._report()

    def _submit(self) -> None:
        job = JobId(f"j{self.jobs}")
        self.jobs += 1
        self._tell(
            events.JobSubmitted(
                job,
                a_spec(
                    output_path=f"file:///{job}",
                    n_reducers=self.random.choice((0, 1, 3)),
                    max_workers=self.random.choice((0, 0, 1, 2)),
                    priority=self.random.choice((0, 0, 1, -1)),
                    max_attempts=self.random.choice((1, 4)),
                ),
            )
        )

    def _join(self) -> None:
        worker = WorkerId(f"w{self.workers}")
        self.workers += 1
        self._tell(events.WorkerJoined(worker, "memory", self._maybe_binding(), attempt=self._maybe_stale()))

    def _maybe_binding(self) -> JobId | None:
        jobs = list(self.world.state.jobs)
        return self.random.choice(jobs) if jobs and self.random.random() < 0.2 else None

    def _maybe_stale(self) -> AttemptId | None:
        attempts = self._attempts()
        if attempts and self.random.random() < 0.1:
            held = {worker.attempt for worker in self.world.state.workers.values()}
            free = [a for a, worker in attempts if worker not in self.world.state.workers and a not in held]
            return self.random.choice(free) if free else None
        return None

    def _attempts(self) -> list[tuple[AttemptId, WorkerId]]:
        """Every attempt that there ever was."""
        return [
            (attempt.id, attempt.worker)
            for job in self.world.state.jobs.values()
            for task in (*job.maps, *job.reduces)
            for attempt in task.attempts
        ]

    def _report(self) -> None:
        attempts = self._attempts()
        if attempts:
            event = self._some_report(*self.random.choice(attempts))
            self.told.append(event)
            self._tell(event)

    def _some_report(self, attempt: AttemptId, worker: WorkerId) -> events.AttemptEvent:
        failure = Failure(self.random.choice(REASONS), "it failed", retryable=self.random.random() < 0.9)
        match self.random.randrange(9):
            case 0:
                return events.AttemptFailed(attempt, worker, failure)
            case 1:
                return events.AttemptLost(attempt, worker, failure, worker_usable=self.random.random() < 0.5)
            case 2:
                return events.AttemptCancelled(attempt, worker)
            case 3:
                named, _ = self.random.choice(self._attempts())
                return events.FetchFailed(attempt, worker, named, failure)
            case 4:
                return events.AttemptProgressed(attempt, worker, 1, 2, COUNTERS)
            case 5:
                return events.OutputOpened(attempt, worker, "file:///part", f"upload-{attempt}")
            case 6:
                return events.OutputOpenFailed(attempt, worker, failure)
            case _:
                return events.AttemptDone(attempt, worker, COUNTERS, output_path=str(attempt))

    def _answer_jobs(self) -> None:
        """Carry out what concerns jobs as a whole; attempts are answered at random."""
        asked, self.world.asked = self.world.asked, []
        for command in asked:
            match command:
                case commands.PlanInput(job):
                    self._tell(events.InputPlanned(job, splits(self.random.randrange(6))))
                case commands.CommitOutput(job) if self.random.random() < 0.1:
                    self._tell(events.CommitFailed(job, Failure("bucket_not_found", "no bucket", retryable=False)))
                case commands.CommitOutput(job):
                    self._tell(events.CommitFinished(job))
                case commands.CleanUp(job):
                    self._tell(events.CleanUpFinished(job))

    def _calm(self) -> None:
        """No more faults: everything that was begun comes to an end."""
        self.world = self.world.restart()
        self.lost_workers.clear()
        self.world.workers("last-1", "last-2")
        for _ in range(MAX_ROUNDS):
            if not self.world.state.queues:
                break
            self._answer_jobs()
            for queue in list(self.world.state.queues.values()):
                for attempt, worker in list(queue.outstanding.items()):
                    self._tell(events.AttemptDone(attempt, worker, COUNTERS, output_path=str(attempt)))
            self.world.wait(1_000)
        unfinished = [job.id for job in self.world.state.jobs.values() if not job.status.ended]
        assert not unfinished, f"jobs that never end: {unfinished}"
        assert not self.world.state.queues, f"jobs that are never cleaned up: {list(self.world.state.queues)}"
        for job in self.world.state.jobs.values():
            assert job.status is not JobStatus.FAILED or job.failure is not None

    def _tell(self, event: events.Event) -> None:
        for command in self.world.tell(event):
            if isinstance(command, commands.RunAttempt | commands.OpenOutput | commands.AttachAttempt):
                assert command.worker not in self.lost_workers, f"{command} goes to a worker that left"
        for fact in self.world.facts[-3:]:
            if isinstance(fact, facts.WorkerRemoved):
                self.lost_workers.add(fact.worker)


def run(seed: int) -> str:
    return CoreRun(seed).run()
