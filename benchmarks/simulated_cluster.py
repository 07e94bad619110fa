"""Stands in for everything around the scheduling core: carries out its commands in made-up time, as a cluster would.

Seeded: most attempts end well; some fail, some are lost with their worker, a few are slow, and some reduces cannot read
a map output. What comes of a command is an event, some milliseconds later.
"""

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from apollo_common.assignment import Split, SplitPiece, decode_counters, encode_counters
from apollo_common.ids import AttemptId, JobId, WorkerId, attempt_id, job_of, map_task_id
from apollo_coordinator.core import commands, events
from apollo_coordinator.core.model import Failure
from apollo_coordinator.core.spec import JobSpec, ProgramRef, ProgramSource

FAILED = 0.01
LOST = 0.002
UNREADABLE = 0.002  # reduces that miss a map output
SLOW = 0.01
SLOWER_TIMES = 10
PROGRESS_REPORTS = 2
TYPICAL_MS = 30_000
TICK_MS = 200
RECORDS = 1_000_000
SPLIT_BYTES = 64 << 20

_COUNTERS = encode_counters(
    {
        "apollo": {
            "input_records": RECORDS,
            "input_bytes": SPLIT_BYTES,
            "map_output_records": RECORDS,
            "shuffle_bytes": 7,
        }
    }
)
_PROGRAM = ProgramRef(ProgramSource.BUILTIN, "builtin:identity")
_EXITED = Failure("program_exited", "the program exited with status 1", exit_status=1)
_UNREACHABLE = Failure("worker_unreachable", "the worker does not answer")
_UNREAD = Failure("fetch_failed", "a map output cannot be read")


def spec_of(number: int, reduces: int) -> JobSpec:
    return JobSpec(("s3://in/text",), f"s3://out/{number}", _PROGRAM, _PROGRAM, n_reducers=reduces)


@dataclass(frozen=True, slots=True)
class _Attempt:
    worker: WorkerId
    is_reduce: bool


class SimulatedCluster:
    """`obey` commands; `due` yields the events that come of them, in the order of their time."""

    def __init__(self, seed: int, maps_of_job: int) -> None:
        self.now_ms = 0
        self._random = random.Random(seed)
        self._maps_of_job = maps_of_job
        self._agenda: list[tuple[int, int, events.Event]] = []
        self._numbers = itertools.count()
        self._speaks: dict[AttemptId, _Attempt] = {}  # attempts that have not ended
        self._workers = 0
        self._later(TICK_MS, events.Tick())

    def join(self, workers: int) -> None:
        for _ in range(workers):
            name = WorkerId(f"worker-{self._workers:05d}")
            self._workers += 1
            self._later(1, events.WorkerJoined(name, f"{name}:8090"))

    def submit(self, job: JobId, spec: JobSpec) -> None:
        self._later(2, events.JobSubmitted(job, spec))

    def due(self) -> Iterator[events.Event]:
        """Without end, as long as the clock ticks; moves `now_ms`."""
        while True:
            self.now_ms, _, event = heapq.heappop(self._agenda)
            if isinstance(event, events.Tick):
                self._later(TICK_MS, event)
            elif isinstance(event, (events.AttemptDone, events.AttemptFailed, events.FetchFailed, events.AttemptLost)):
                if self._speaks.pop(event.attempt, None) is None:
                    continue  # it was cancelled, and has said so
            elif isinstance(event, events.AttemptProgressed) and event.attempt not in self._speaks:
                continue
            yield event

    def obey(self, command: commands.Command) -> None:
        match command:
            case commands.PlanInput(job):
                self._later(50, events.InputPlanned(job, self._splits()))
            case commands.OpenOutput(attempt, worker):
                part = f"s3://out/{job_of(attempt)}/part-{attempt}"
                self._later(20, events.OutputOpened(attempt, worker, part, f"upload-{attempt}"))
            case commands.RunAttempt(attempt, worker):
                self._run(attempt, worker)
            case commands.CancelAttempt(attempt, worker):
                if self._speaks.pop(attempt, None) is not None:
                    self._later(5, events.AttemptCancelled(attempt, worker))
            case commands.CommitOutput(job):
                self._later(100, events.CommitFinished(job))
            case commands.CleanUp(job):
                self._later(100, events.CleanUpFinished(job))
            case commands.ArchiveJob(job):
                self._later(20, events.JobArchived(job))
            case commands.ReleaseWorker(worker):
                self._later(5, events.WorkerLeft(worker, "it was released"))
                self.join(1)
            case _:  # the pool has the workers that it has
                pass

    def _run(self, attempt: AttemptId, worker: WorkerId) -> None:
        is_reduce = "-r-" in attempt
        self._speaks[attempt] = _Attempt(worker, is_reduce)
        duration_ms = int(TYPICAL_MS * self._random.uniform(0.7, 1.3))
        if self._random.random() < SLOW:
            duration_ms *= SLOWER_TIMES
        for step in range(1, PROGRESS_REPORTS + 1):
            done_bytes = SPLIT_BYTES * step // (PROGRESS_REPORTS + 1)
            self._later(
                duration_ms * step // (PROGRESS_REPORTS + 1),
                events.AttemptProgressed(attempt, worker, done_bytes, SPLIT_BYTES, decode_counters(_COUNTERS)),
            )
        fate = self._random.random()
        if fate < FAILED:
            self._later(duration_ms, events.AttemptFailed(attempt, worker, _EXITED))
        elif fate < FAILED + LOST:
            self._lose(attempt, worker, duration_ms)
        elif is_reduce and fate < FAILED + LOST + UNREADABLE:
            first_map = attempt_id(map_task_id(job_of(attempt), self._random.randrange(self._maps_of_job)), 0)
            self._later(duration_ms, events.FetchFailed(attempt, worker, first_map, _UNREAD))
        else:
            self._later(duration_ms, _done(attempt, worker, is_reduce=is_reduce))

    def _lose(self, attempt: AttemptId, worker: WorkerId, after_ms: int) -> None:
        """The pool tells that the worker is gone, the broken stream tells it again; another worker takes its place."""
        self._later(after_ms, events.WorkerLeft(worker, "its process was killed by SIGKILL"))
        self._later(after_ms + 1, events.AttemptLost(attempt, worker, _UNREACHABLE))
        name = WorkerId(f"worker-{self._workers:05d}")
        self._workers += 1
        self._later(after_ms + 1_000, events.WorkerJoined(name, f"{name}:8090"))

    def _splits(self) -> tuple[Split, ...]:
        total_bytes = SPLIT_BYTES * self._maps_of_job
        return tuple(
            Split((SplitPiece("s3://in/text", SPLIT_BYTES * index, SPLIT_BYTES, total_bytes, "etag"),))
            for index in range(self._maps_of_job)
        )

    def _later(self, milliseconds: int, event: events.Event) -> None:
        heapq.heappush(self._agenda, (self.now_ms + milliseconds, next(self._numbers), event))


def _done(attempt: AttemptId, worker: WorkerId, *, is_reduce: bool) -> events.AttemptDone:
    """As the engine makes it of what a worker says: counters are decoded anew for each attempt."""
    return events.AttemptDone(
        attempt,
        worker,
        decode_counters(_COUNTERS),
        output_path="" if is_reduce else f"{job_of(attempt)}/{attempt.rpartition('-')[0]}/{attempt}",
        size_bytes=SPLIT_BYTES,
        records=RECORDS,
        sha256="0" * 64 if is_reduce else "",
    )
