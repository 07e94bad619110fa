"""The scheduling core in tests: drive it event by event, with every invariant checked after each."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from apollo_common.assignment import Split, SplitPiece
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_common.timings import Timings
from apollo_coordinator.core import commands, events, facts, invariants
from apollo_coordinator.core.apply import apply
from apollo_coordinator.core.codec import decode, encode
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import Failure, Job, Task
from apollo_coordinator.core.scheduler import step
from apollo_coordinator.core.spec import JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.core.state import State

PROGRAM_FAILED = Failure("program_exited", "the mapper exited with status 1", exit_status=1)
WORKER_LOST = Failure("worker_unreachable", "the worker went silent")
COUNTERS = {"apollo": {"input_records": 10}}
TIMINGS = Timings(read_ms=20, program_ms=300, sort_ms=5)


def a_spec(**changes) -> JobSpec:
    program = ProgramRef(ProgramSource.BUILTIN, "builtin:identity")
    reducer = None if changes.get("n_reducers") == 0 else program
    spec = JobSpec(("file:///in",), "file:///out", mapper=program, reducer=reducer)
    return replace(spec, **changes)


def splits(count: int) -> tuple[Split, ...]:
    return tuple(Split((SplitPiece("file:///in", 10 * i, 10, 10 * count, "v"),)) for i in range(count))


@dataclass
class World:
    """A state, the facts that led to it and the commands that nobody has carried out yet."""

    limits: Limits = field(default_factory=Limits)
    now_ms: int = 1_000
    check_every: int = 1  # events; looking at the whole state costs far more than an event does

    def __post_init__(self) -> None:
        self.state = State(self.limits)
        self.facts: list[facts.Fact] = []
        self.journal: list[facts.Fact] = []  # the durable ones, as they are read again
        self.steps: list[int] = [0]  # how many of those there were after each event: they are written together
        self.asked: list[commands.Command] = []

    def tell(self, event: events.Event) -> list[commands.Command]:
        """The commands that the event led to."""
        outcome = step(self.state, event, self.now_ms)
        self.facts += outcome.facts
        self.journal += [_written_and_read(fact) for fact in outcome.facts if fact.durable]
        self.steps.append(len(self.journal))
        self.asked += outcome.commands
        if len(self.steps) % self.check_every == 0:
            invariants.check(self.state)
        return outcome.commands

    def wait(self, milliseconds: int) -> list[commands.Command]:
        self.now_ms += milliseconds
        return self.tell(events.Tick())

    # A job, in the words of the tests

    def job(self, name: str = "j", maps: int = 1, **spec) -> Job:
        """A planned job that runs."""
        job = JobId(name)
        self.tell(events.JobSubmitted(job, a_spec(**{"output_path": f"file:///out-{name}"} | spec)))
        self.tell(events.InputPlanned(job, splits(maps)))
        return self.state.jobs[job]

    def workers(self, *names: str, job: str | None = None) -> None:
        for name in names:
            self.tell(events.WorkerJoined(WorkerId(name), f"{name}:8090", JobId(job) if job else None))

    def worker_of(self, attempt: str) -> WorkerId:
        for queue in self.state.queues.values():
            for task in queue.job.tasks:
                for known in task.attempts:
                    if known.id == attempt:
                        return known.worker
        raise LookupError(attempt)

    def done(self, attempt: str, sample: str = "", records: int = 0) -> list[commands.Command]:
        worker = self.worker_of(attempt)
        return self.tell(
            events.AttemptDone(
                AttemptId(attempt),
                worker,
                COUNTERS,
                output_path=attempt,
                records=records,
                sample=sample,
                timings=TIMINGS,
            )
        )

    def progress(self, attempt: str, read: int, total: int = 100) -> list[commands.Command]:
        """It has read so many bytes of so many."""
        worker = self.worker_of(attempt)
        return self.tell(events.AttemptProgressed(AttemptId(attempt), worker, read, total, COUNTERS, timings=TIMINGS))

    def failed(self, attempt: str, failure: Failure = PROGRAM_FAILED) -> list[commands.Command]:
        return self.tell(events.AttemptFailed(AttemptId(attempt), self.worker_of(attempt), failure))

    def lost(self, attempt: str) -> list[commands.Command]:
        return self.tell(events.AttemptLost(AttemptId(attempt), self.worker_of(attempt), WORKER_LOST))

    def cancelled(self, attempt: str) -> list[commands.Command]:
        return self.tell(events.AttemptCancelled(AttemptId(attempt), self.worker_of(attempt)))

    def opened(self, attempt: str) -> list[commands.Command]:
        upload = f"upload-{attempt}"
        return self.tell(events.OutputOpened(AttemptId(attempt), self.worker_of(attempt), "file:///out/part", upload))

    def fetch_failed(self, attempt: str, map_attempt: str) -> list[commands.Command]:
        failure = Failure("fetch_failed", f"cannot read {map_attempt}")
        worker = self.worker_of(attempt)
        return self.tell(events.FetchFailed(AttemptId(attempt), worker, AttemptId(map_attempt), failure))

    def restart(self, journaled: int | None = None) -> "World":
        """Another coordinator that has read the journal and knows nothing else.

        `journaled`: how many of the durable facts got there; the commands beside the others were not carried out.
        """
        world = World(self.limits, self.now_ms, self.check_every)
        world.journal = self.journal[:journaled]
        world.facts = list(world.journal)
        world.steps = [step for step in self.steps if step <= len(world.journal)]
        world.state = fold(self.limits, world.journal)
        world.tell(events.Restarted())
        world.tell(events.PoolStarted())
        return world


def fold(limits: Limits, durable: Sequence[facts.Fact]) -> State:
    """The state that these facts of a journal bring back."""
    state = State(limits)
    for fact in durable:
        apply(state, fact)
    return state


def _written_and_read(fact: facts.Fact) -> facts.Fact:
    kind, body = encode(fact)
    return decode(kind, body, job=fact.job, at_ms=fact.at_ms)


def durable_view(state: State, without_tasks: Container[JobId] = ()) -> object:
    """What a restart must bring back: all but workers, progress, timers and the words for what a job waits for.

    Archived jobs come back without their tasks.
    """
    return {
        "jobs": [_job_view(job, with_tasks=job.id not in without_tasks) for job in state.jobs.values()],
        "accepted": [(queue.job.id, queue.accepted_maps, queue.accepted_reduces) for queue in state.queues.values()],
        "running": [(queue.job.id, list(queue.running)) for queue in state.queues.values()],
        "outputs": state.outputs,
        "keys": state.idempotency,
        "queued": list(state.queued),
        "ended": sorted(state.ended),
    }


def _job_view(job: Job, *, with_tasks: bool) -> object:
    tasks = [job.splitters, *map(_task_view, job.tasks)] if with_tasks else []
    times = (job.created_ms, job.started_ms, job.ended_ms)
    return job.id, job.spec, job.status, times, job.planned, job.failure, job.counters, tasks


def _task_view(task: Task) -> object:
    attempts_of = [
        (a.id, a.worker, a.status, a.started_ms, a.ended_ms, a.output_url, a.upload_id, a.failure)
        for a in task.attempts
    ]
    times = (task.started_ms, task.ended_ms)
    return task.id, task.status, task.split, task.origin, task.accepted, task.output, task.counters, times, attempts_of


def attempts(asked: list[commands.Command]) -> list[str]:
    """The attempts that a list of commands starts."""
    return [str(c.attempt) for c in asked if isinstance(c, commands.RunAttempt | commands.OpenOutput)]
