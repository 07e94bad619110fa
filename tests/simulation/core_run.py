"""The scheduling core under any messages: late, repeated, reordered, made up. Every invariant holds after each.

A worker here may report anything of any attempt at any moment. The coordinator may crash after any event, before or
after what it decided was written.
"""

import random
from collections import Counter
from dataclasses import replace

from apollo_common.assignment import Counters
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import commands, events, invariants
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import AttemptStatus, Failure, JobStatus, TaskKind
from apollo_coordinator.core.redrive import MAX_TASK_RECORDS_BYTES, plan_redrive
from apollo_coordinator.core.state import locate
from simulation import checks, journal_rules
from simulation.faults import Faults
from simulation.report import Report, digest_of, tell
from support.scheduling import COUNTERS, TIMINGS, World, a_spec, fold, splits

STEPS = 150
MAX_ROUNDS = 2_000
CHECK_EVERY = 4
REDRIVES = 0.3  # for each other job
LOST_REASONS = ("worker_unreachable", "volume_full", "storage_unavailable")
REASONS = ("program_exited", "input_changed", *LOST_REASONS)
EXIT_STATUSES = (1, 2, 3)

KINDS = {
    "worker_left": 0.08,
    "out_of_memory": 0.3,
    "worker_drains": 0.08,
    "draining_newcomer": 0.1,
    "stop": 0.03,
    "restart": 0.04,
    "restart_before_a_write": 0.04,
    "repeated_report": 0.2,
    "impossible_report": 0.3,
    "busy_newcomer": 0.3,
    "failure": 0.3,
    "loss": 0.3,
    "unreadable_map_output": 0.2,
    "refused_upload": 0.2,
    "delayed_commit": 0.3,
    "refused_commit": 0.1,
    "refused_input": 0.1,
    "pool_trouble": 0.05,
}
"""At most how likely each is, every time that it may strike; see simulation.faults."""


class CoreRun:
    """One seed. `world` is replaced when the coordinator restarts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"core {seed}")
        self.bad_records = random.Random(f"bad records {seed}")
        self.faults = Faults(seed, KINDS)
        limits = Limits(
            max_running_jobs=self.random.choice((1, 2, 100)),
            max_lost_attempts=self.random.choice((3, 20)),
            quarantine_after_tasks=self.random.choice((1, 3)),
        )
        self.world = World(limits, check_every=CHECK_EVERY)
        self.journaled = 0  # durable facts that anything has come of, so that no crash takes them back
        self.told: list[events.AttemptEvent] = []
        self.opening: dict[AttemptId, WorkerId] = {}  # uploads that this coordinator has asked for
        self.seen: Counter[str] = Counter()
        self.stops: set[JobId] = set()
        self.unreadable: Counter[AttemptId] = Counter()
        self.workers = 0
        self.jobs = 0
        self.redrives = random.Random(f"redrives {seed}")  # of their own: the others' choices stay as they are

    def run(self) -> Report:
        for _ in range(STEPS):
            self._trouble()
            self._work()
        self.faults.over = True
        self._every_restart_ends_well()
        calm(self.world)
        self._judge(self.world)
        return tell(self.world.journal, digest_of(self.world.facts), self.faults.fired, self.seen)

    # Faults

    def _trouble(self) -> None:
        meets = self.faults.meets
        if self.world.state.workers and meets("worker_left"):
            worker = self.random.choice(list(self.world.state.workers))
            self._tell(events.WorkerLeft(worker, "the worker left", "out_of_memory" if meets("out_of_memory") else ""))
        if self.world.state.workers and meets("worker_drains"):
            self._tell(events.WorkerDraining(self.random.choice(list(self.world.state.workers))))
        if self.world.state.jobs and meets("stop"):
            job = self.random.choice(list(self.world.state.jobs))
            self.stops.add(job)
            self._tell(events.StopRequested(job))
        if meets("restart"):
            self._restart(len(self.world.journal))
        if meets("restart_before_a_write"):
            self._restart(self.random.choice([step for step in self.world.steps if step >= self.journaled]))
        if self.told and meets("repeated_report"):
            self._tell(self.random.choice(self.told))
        if meets("pool_trouble"):
            self._tell(events.PoolTroubled(self._maybe_binding(), "no quota"))

    def _restart(self, journaled: int) -> None:
        checks.the_journal_tells_the_state(fold(self.world.limits, self.world.journal), self.world.state)
        self.world = self.world.restart(journaled)
        self.opening.clear()

    # What goes well, most of the time

    def _work(self) -> None:
        choice = self.random.random()
        if choice < 0.07:
            self._submit()
        elif choice < 0.17:
            self._join()
        elif choice < 0.27:
            self.world.now_ms += self.random.choice((1, 100, 5_000, 60_000))
            self._tell(events.Tick())
        elif choice < 0.4:
            self._flush()
            self._answer_jobs()
        else:
            self._flush()
            self._report()

    def _flush(self) -> None:
        """Somebody outside has acted: what led to it is in the journal."""
        self.journaled = len(self.world.journal)

    def _submit(self) -> None:
        job = JobId(f"j{self.jobs}")
        self.jobs += 1
        self._tell(
            events.JobSubmitted(
                job,
                a_spec(
                    output_path=f"file:///{job}",
                    n_reducers=self.random.choice((0, 1, 3)),
                    partitioner=self.random.choice(("hash", "hash", "range")),
                    max_workers=self.random.choice((0, 0, 1, 2)),
                    priority=self.random.choice((0, 0, 1, -1)),
                    max_attempts=self.random.choice((1, 4)),
                    job_timeout_seconds=self.random.choice((0, 0, 0, 300)),
                    speculation=self.random.random() < 0.7,
                    max_bad_records=self.bad_records.choice((0, 0, 5)),
                ),
            )
        )

        if self.redrives.random() < REDRIVES:
            self._redrive()

    def _redrive(self) -> None:
        """Of a job that has succeeded."""
        done = [each for each in self.world.state.jobs.values() if each.status is JobStatus.SUCCEEDED]
        candidates = [each for each in done if not each.spec.redrive_of]
        if candidates:
            earlier = self.redrives.choice(candidates)
            job = JobId(f"j{self.jobs}")
            self.jobs += 1
            spec = replace(earlier.spec, output_path=f"file:///{job}", redrive_of=earlier.id)
            self._tell(events.JobSubmitted(job, spec))
            self.seen["job redriven"] += 1

    def _join(self) -> None:
        worker = WorkerId(f"w{self.workers}")
        self.workers += 1
        attempt = self._stale() if self.faults.meets("busy_newcomer") else None
        draining = self.faults.meets("draining_newcomer")
        self._tell(events.WorkerJoined(worker, "memory", self._maybe_binding(), attempt=attempt, draining=draining))

    def _maybe_binding(self) -> JobId | None:
        jobs = list(self.world.state.jobs)
        return self.random.choice(jobs) if jobs and self.random.random() < 0.2 else None

    def _stale(self) -> AttemptId | None:
        """An attempt whose worker is gone, and which no other one runs."""
        held = {worker.attempt for worker in self.world.state.workers.values()}
        free = [a for a, worker, _ in self._attempts() if worker not in self.world.state.workers and a not in held]
        return self.random.choice(free) if free else None

    def _attempts(self) -> list[tuple[AttemptId, WorkerId, bool]]:
        """Every attempt that there ever was, and whether it runs."""
        return [
            (attempt.id, attempt.worker, attempt.status is AttemptStatus.RUNNING)
            for job in self.world.state.jobs.values()
            for task in job.tasks
            for attempt in task.attempts
        ]

    def _report(self) -> None:
        attempts = self._attempts()
        if not self.faults.meets("impossible_report"):
            attempts = [entry for entry in attempts if entry[2]]
        if attempts:
            attempt, worker, _ = self.random.choice(attempts)
            event = self._some_report(attempt, worker)
            self.told.append(event)
            self._tell(event)

    def _some_report(self, attempt: AttemptId, worker: WorkerId) -> events.AttemptEvent:
        meets = self.faults.meets
        if meets("failure"):
            retryable = self.random.random() < 0.9
            reason, status = self.random.choice(REASONS), self.random.choice(EXIT_STATUSES)
            return events.AttemptFailed(attempt, worker, Failure(reason, "failed", retryable, exit_status=status))
        if meets("loss"):
            if self.random.random() < 0.3:
                return events.AttemptCancelled(attempt, worker)
            failure = Failure(self.random.choice(LOST_REASONS), "lost")
            return events.AttemptLost(attempt, worker, failure, worker_usable=self.random.random() < 0.5)
        if meets("unreadable_map_output"):
            named, _, _ = self.random.choice(self._attempts())
            self.unreadable[named] += 1
            return events.FetchFailed(attempt, worker, named, Failure("fetch_failed", f"{named} cannot be read"))
        if self.random.random() < 0.3:
            return events.AttemptProgressed(attempt, worker, self.random.randrange(1, 11), 10, COUNTERS)
        return events.AttemptDone(attempt, worker, self._counters(attempt), output_path=str(attempt), timings=TIMINGS)

    def _counters(self, attempt: AttemptId) -> Counters:
        """With bad records, of a map that may skip some: more than are left of its job's allowance, too."""
        place = locate(attempt)
        spec = self.world.state.jobs[place.job].spec
        if place.kind is not TaskKind.MAP or not spec.max_bad_records or self.bad_records.random() < 0.5:
            return COUNTERS
        return {"apollo": COUNTERS["apollo"] | {"bad_records": self.bad_records.randrange(4)}}

    def _answer_jobs(self) -> None:
        """What the coordinator's own calls come to; what workers are asked to do is answered at random."""
        asked, self.world.asked = self.world.asked, []
        for attempt, worker in list(self.opening.items()):
            if self.random.random() < 0.5:
                del self.opening[attempt]
                self._tell(self._opened(attempt, worker))
        for command in asked:
            match command:
                case commands.PlanInput(job) if self.faults.meets("refused_input"):
                    self._tell(events.PlanFailed(job, Failure("object_not_found", "no input", retryable=False)))
                case commands.PlanInput(job):
                    self._tell(planned(self.world, job, maps=self.random.randrange(6)))
                case commands.CommitOutput(job) if self.faults.meets("delayed_commit"):
                    self.world.asked.append(command)
                    self._tell(events.CommitDelayed(job, "no answer"))
                case commands.CommitOutput(job) if self.faults.meets("refused_commit"):
                    self._tell(events.CommitFailed(job, Failure("bucket_not_found", "no bucket", retryable=False)))
                case _:
                    answer(self.world, command)

    def _opened(self, attempt: AttemptId, worker: WorkerId) -> events.AttemptEvent:
        if self.faults.meets("refused_upload"):
            return events.OutputOpenFailed(attempt, worker, Failure("storage_unavailable", "no answer"))
        return events.OutputOpened(attempt, worker, "file:///part", f"upload-{attempt}")

    def _tell(self, event: events.Event) -> None:
        asked = self.world.tell(event)
        checks.nothing_is_sent_to_a_lost_worker(self.world.state, asked)
        self.seen["attempt attached again"] += sum(isinstance(c, commands.AttachAttempt) for c in asked)
        self.opening |= {c.attempt: c.worker for c in asked if isinstance(c, commands.OpenOutput)}

    # Judgement

    def _every_restart_ends_well(self) -> None:
        """A coordinator that finds the journal cut off anywhere brings every job to an end."""
        for journaled in sorted({self.random.choice(self.world.steps) for _ in range(3)}):
            other = self.world.restart(journaled)
            calm(other)
            self.seen["restart from part of a journal"] += 1
            self._judge(other)

    def _judge(self, world: World) -> None:
        story = world.journal
        jobs = list(world.state.jobs.values())
        journal_rules.check_all(story, world.limits)
        checks.every_job_ended(jobs)
        checks.stops_were_asked_for(jobs, self.stops)
        checks.only_the_named_maps_run_again(story, self.unreadable)
        checks.every_job_is_cleaned_up(world.state)
        invariants.check(world.state)


def planned(world: World, job: JobId, *, maps: int) -> events.InputPlanned:
    """Every other map of a job that is redriven has had bad records, one more each time."""
    spec = world.state.jobs[job].spec
    if not spec.redrive_of:
        return events.InputPlanned(job, splits(maps))
    earlier = world.state.jobs[JobId(spec.redrive_of)]
    sizes = {task.accepted: [MAX_TASK_RECORDS_BYTES] * (task.index // 2) for task in earlier.maps if task.index % 2}
    return events.InputPlanned(job, *plan_redrive(earlier, sizes))


def answer(world: World, command: commands.Command) -> None:
    """As a world without faults does."""
    match command:
        case commands.PlanInput(job):
            world.tell(planned(world, job, maps=3))
        case commands.CommitOutput(job):
            world.tell(events.CommitFinished(job))
        case commands.CleanUp(job):
            world.tell(events.CleanUpFinished(job))


def calm(world: World) -> None:
    """Two sound workers and no more faults: everything that was begun comes to an end."""
    world.workers("last-1", "last-2")
    for _ in range(MAX_ROUNDS):
        if not world.state.queues:
            return
        asked, world.asked = world.asked, []
        for command in asked:
            answer(world, command)
        for queue in list(world.state.queues.values()):
            for attempt, worker in list(queue.outstanding.items()):
                world.tell(events.AttemptDone(attempt, worker, COUNTERS, output_path=str(attempt)))
        world.wait(1_000)


def run(seed: int) -> Report:
    return CoreRun(seed).run()
