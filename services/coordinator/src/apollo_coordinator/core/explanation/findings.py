"""The causes of a job's time, put into words: each with its figure, and the setting that helps where one does."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from apollo_common.timings import NO_TIMINGS, Timings
from apollo_common.units import format_size
from apollo_coordinator.core.explanation import advice
from apollo_coordinator.core.explanation.advice import NO_ADVICE, Advice
from apollo_coordinator.core.explanation.attribution import (
    Cause,
    Cost,
    has_more_to_do,
    usual_bytes,
    usual_duration_ms,
    work_of,
)
from apollo_coordinator.core.explanation.seen import Phase, Run, Seen
from apollo_coordinator.core.explanation.words import count, percent, rate, span, times
from apollo_coordinator.core.model import AttemptStatus, TaskKind
from apollo_coordinator.core.spec import ProgramSource

SHOWN_KEY_CHARS = 32

LEAST_START_MS = 500
"""For an attempt: of less nothing is said where there are few."""

Figures = dict[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Line:
    """One finding."""

    finding: str  # a word for programs
    text: str  # a sentence or two
    figures: Figures = field(default_factory=dict)  # units in their names
    setting: str = ""  # the one that helps, where one does
    fix: str = ""  # to what


class Told(NamedTuple):
    text: str
    figures: Figures
    advice: Advice = NO_ADVICE


class Matter(NamedTuple):
    """What a sentence about a phase is made of."""

    seen: Seen
    phase: Phase
    run: Run  # that stands for it
    of_wall: str  # such as "31 s of 40 s"

    @property
    def tasks(self) -> str:
        return {TaskKind.MAP: "map", TaskKind.REDUCE: "reduce", TaskKind.SAMPLE: "sampler"}[self.phase.kind] + " task"

    @property
    def attempts(self) -> str:
        return {TaskKind.MAP: "maps", TaskKind.REDUCE: "reduces", TaskKind.SAMPLE: "samplers"}[self.phase.kind]


def tell(seen: Seen, cost: Cost) -> Line:
    """In words."""
    of_wall = f"{span(cost.spent_ms)} of {span(seen.wall_ms)}"
    figures: Figures = {
        "spentMilliseconds": round(cost.spent_ms),
        "wallMilliseconds": seen.wall_ms,
    }
    if cost.phase is None:
        told = _OF_JOBS[cost.cause](seen, of_wall)
    else:
        figures["phase"] = cost.phase.kind.value
        run = cost.run or (cost.phase.runs[-1] if cost.phase.runs else None)
        if run is None:
            told = _no_worker_yet(seen, of_wall)
        else:
            told = _OF_PHASES[cost.cause](Matter(seen, cost.phase, run, of_wall))
    return Line(cost.cause.value, told.text, {**figures, **told.figures}, told.advice.setting, told.advice.fix)


# Of the job as a whole


def _queue(seen: Seen, of_wall: str) -> Told:
    return Told(
        f"Other jobs came first: it waited {of_wall} for its turn.",
        {},
        Advice(
            f"Raise priority from {seen.spec.priority}: of the jobs that wait, those of a higher one start first.",
            "priority",
        ),
    )


def _planning(seen: Seen, of_wall: str) -> Told:
    tasks = sum(phase.tasks for phase in seen.phases if phase.kind is TaskKind.MAP)
    found = f", which gave {count(tasks, 'split')}" if tasks else ""
    return Told(f"Its input was listed in {of_wall}{found}.", {"splits": tasks})


def _commit(seen: Seen, of_wall: str) -> Told:
    parts = count(seen.phases[-1].tasks, "part") if seen.phases else "no part"
    waits = f" It waits: {seen.trouble}." if seen.trouble else ""
    return Told(f"The output's {parts} took {of_wall} to be published.{waits}", {})


def _no_worker_yet(seen: Seen, of_wall: str) -> Told:
    says = f" The coordinator says: {seen.trouble}." if seen.trouble else ""
    return Told(f"No worker has come yet, for {of_wall}.{says}", {})


# Of a phase: who could work


def _worker_start(matter: Matter) -> Told:
    text = f"Workers came late: {matter.attempts} waited {matter.of_wall} for workers that were not there yet."
    fix = "Have workers at hand before, or let them start sooner: is their image on the nodes?"
    return Told(text, {"workers": matter.phase.workers}, Advice(fix))


def _max_workers(matter: Matter) -> Told:
    cap = matter.seen.worker_cap
    text = (
        f"Too few workers: {matter.attempts} waited {matter.of_wall}, while the job had the {cap} "
        "that its maxWorkers allows."
    )
    return Told(text, {"workers": cap} | _wanted(matter.phase, cap), advice.for_max_workers(matter.seen, matter.phase))


def _too_few_workers(matter: Matter) -> Told:
    workers = matter.phase.workers
    all_of_them = "the only worker was" if workers == 1 else f"all {workers} workers were"
    text = (
        f"Too few workers: {matter.attempts} waited {matter.of_wall}, while {all_of_them} at work for others of them."
    )
    return Told(text, {"workers": workers} | _wanted(matter.phase, workers), advice.for_more_workers(matter.phase))


def _wanted(phase: Phase, workers: int) -> Figures:
    return {"wantedWorkers": advice.wanted_workers(phase, workers), "tasks": phase.tasks}


def _other_jobs(matter: Matter) -> Told:
    priority = matter.seen.spec.priority
    there = count(matter.phase.workers, "worker was", "workers were")
    text = f"Other work had the workers: {matter.attempts} waited {matter.of_wall}, though {there} there."
    fix = f"If other jobs had them, raise priority from {priority} to {priority + 1}, for twice the share."
    return Told(text, {"workers": matter.phase.workers}, Advice(fix, "priority"))


def _full_volume(matter: Matter) -> Told:
    full = Counter(run.full_volume for run in matter.phase.runs if run.full_volume).most_common(1)
    which = f": {full[0][0]}" if full else ""
    return Told(
        f"A full volume held {matter.attempts} back for {matter.of_wall}{which}.", {}, Advice("Make room on it.")
    )


# Of a phase: what they did


def _attempt_starts(matter: Matter) -> Told:
    phase, work = matter.phase, work_of(matter.phase)
    each_ms = start_ms(phase)
    figures: Figures = {
        "tasks": phase.tasks,
        "startShare": round(work.starting, 3),
        "startMilliseconds": round(each_ms),
    }
    given = advice.for_tiny_tasks(matter.seen, phase)
    took = f"{percent(work.starting)} of their time went into starting and ending them, {span(each_ms)} each"
    if given is NO_ADVICE:
        return Told(f"Starting: of the {matter.attempts}, {took}.", figures)
    usual = median([run.input_bytes for run in phase.runs])
    what = "Tiny partitions" if phase.kind is TaskKind.REDUCE else "Tiny splits"
    text = f"{what}: {count(phase.tasks, matter.tasks)} of about {format_size(round(usual))}; {took}."
    return Told(text, figures | {"medianBytes": round(usual)}, given)


def start_ms(phase: Phase) -> float:
    """What it takes to start and end an attempt, on average."""
    work = work_of(phase)
    return work.starting * work.total_ms / max(1, len(phase.runs))


def _search(matter: Matter) -> Told:
    bad = sum(run.bad_records for run in matter.phase.runs)
    runs = sum(run.search_runs for run in matter.phase.runs)
    text = f"Looking for {count(bad, 'bad record')} took {matter.of_wall}, in {count(runs, 'run')} of the mapper."
    if not bad:
        text = f"Looking for bad records took {matter.of_wall}, in {count(runs, 'run')} of the mapper; none was found."
    fix = f"A mapper that takes them need not be searched for them: see `apollo bad {matter.seen.job}`." if bad else ""
    return Told(text, {"badRecords": bad, "runs": runs}, Advice(fix))


def _retries(matter: Matter) -> Told:
    wasted = [run for run in matter.phase.runs if run.wasted]
    failed = sum(1 for run in wasted if run.status is AttemptStatus.FAILED)
    lost_ms = sum(run.duration_ms for run in wasted)
    reasons = Counter(run.failure for run in wasted if run.failure).most_common(1)
    mostly = f", mostly by {reasons[0][0]}" if reasons else ""
    text = (
        f"Attempts in vain: {failed} failed and {len(wasted) - failed} were lost of the {matter.attempts}{mostly}; "
        f"to repeat them took {matter.of_wall}."
    )
    figures: Figures = {"failed": failed, "lost": len(wasted) - failed, "wastedMilliseconds": lost_ms}
    return Told(text, figures, Advice(f"See `apollo failures {matter.seen.job}`."))


def _skew(matter: Matter) -> Told:
    phase, run = matter.phase, matter.run
    usual, usual_ms = usual_bytes(phase, run), usual_duration_ms(phase, run)
    what = "Skewed keys" if phase.kind is TaskKind.REDUCE else "Uneven splits"
    more = (
        f", {times(run.input_bytes / usual)} the median of the others" if usual else ", and the others next to nothing"
    )
    text = (
        f"{what}: {matter.tasks} {run.task} had {format_size(run.input_bytes)} to read{more}, and ran "
        f"{span(run.work_ms)} where they took {span(usual_ms)}."
    )
    if largest := run.largest_group:
        text += f" The key {_shown(largest.key)} has {largest.records:,} of its {largest.of_records:,} values."
    figures: Figures = {
        "task": run.id.rpartition("-")[0],
        "bytes": run.input_bytes,
        "medianBytes": round(usual),
        "keys": run.groups,
        "milliseconds": run.duration_ms,
        "medianMilliseconds": round(usual_ms),
    }
    return Told(text, figures, advice.for_skew(matter.seen, phase, run))


def _shown(key: str) -> str:
    """In quotes, with nothing in it that a terminal would obey; the beginning of a long one."""
    return repr(key) if len(key) <= SHOWN_KEY_CHARS else f"{key[:SHOWN_KEY_CHARS]!r}..."


def _straggler(matter: Matter) -> Told:
    phase, run = matter.phase, matter.run
    usual_ms = usual_duration_ms(phase, run)
    usual = f", where others took {span(usual_ms)}" if usual_ms else ""
    no_more = "" if has_more_to_do(phase, run) else ", and had no more to read"
    text = f"A straggler: {matter.tasks} {run.task} ran {span(run.work_ms)} on {run.worker}{usual}{no_more}."
    figures: Figures = {
        "task": run.id.rpartition("-")[0],
        "worker": run.worker,
        "milliseconds": run.duration_ms,
        "medianMilliseconds": round(usual_ms),
    }
    if not matter.seen.spec.speculation:
        given = Advice("Set speculation to true, for a second attempt on another worker.", "speculation")
    else:
        given = Advice(f"Is that worker slow, or are its records harder? See `apollo logs {run.id}`.")
    return Told(text, figures, given)


def _few_tasks(matter: Matter) -> Told:
    phase = matter.phase
    text = (
        f"Too few tasks: {count(phase.tasks, matter.tasks)} for {phase.workers} workers, which cost {matter.of_wall}."
    )
    return Told(text, {"tasks": phase.tasks, "workers": phase.workers}, advice.for_few_tasks(matter.seen, phase))


# Of a phase: what held the attempts up


def _program(matter: Matter) -> Told:
    total, spent_ms = _timed(matter.phase)
    mapped_ms = max(1, total - spent_ms.search_ms)
    share = spent_ms.program_ms / total
    role = "reducer" if matter.phase.kind is TaskKind.REDUCE else "mapper"
    records = sum(run.input_records for run in matter.phase.runs)
    speed = f", at {rate(records, mapped_ms)} records/s for each worker" if records else ""
    name = matter.run.program.given_name if matter.run.program is not None else ""
    which = f"{role} `{name}`" if matter.seen.spec.inputs and role == "mapper" else role
    text = (
        f"The {which} bounds the {matter.attempts}: {percent(share)} of their time was the program's own{speed}; "
        f"{matter.of_wall} on the critical path."
    )
    figures: Figures = {"programShare": round(share, 3), "program": name}
    if records:
        figures["recordsPerSecond"] = round(1000 * records / mapped_ms)
    return Told(
        text,
        figures,
        Advice("Profile it: Apollo only waited for it. More workers share the work, if there are tasks for them."),
    )


def _read(matter: Matter) -> Told:
    total, spent_ms = _timed(matter.phase)
    share = spent_ms.read_ms / total
    bytes_read = sum(run.input_bytes for run in matter.phase.runs if run.timings != NO_TIMINGS)
    per_second = round(1000 * bytes_read / max(1, spent_ms.read_ms))
    what = "intermediate volume or bucket" if matter.phase.kind is TaskKind.REDUCE else "input's store"
    text = (
        f"Slow reading: {percent(share)} of the {matter.attempts}' time they waited for the {what}, "
        f"which gave each {format_size(per_second)}/s; {matter.of_wall} on the critical path."
    )
    figures: Figures = {"readShare": round(share, 3), "bytesPerSecond": per_second}
    fix = "Look at the store, and at the network to it; more workers help if it can serve more of them at once."
    return Told(text, figures, Advice(fix))


def _write(matter: Matter) -> Told:
    total, spent_ms = _timed(matter.phase)
    share = (spent_ms.write_ms + spent_ms.commit_ms) / total
    is_output = matter.phase.kind is TaskKind.REDUCE or matter.seen.spec.n_reducers == 0
    what = "output" if is_output else "map outputs"
    text = (
        f"Slow writing: {percent(share)} of the {matter.attempts}' time went into writing {what} and making it last; "
        f"{matter.of_wall} on the critical path."
    )
    return Told(text, {"writeShare": round(share, 3)}, advice.for_writing(matter.seen.spec, is_output=is_output))


def _merge(matter: Matter) -> Told:
    most = max(run.input_bytes for run in matter.phase.runs)
    return _ordering(
        matter, "Merging", "mergeShare", lambda spent: spent.merge_ms, f"a reduce read up to {format_size(most)}", most
    )


def _sort(matter: Matter) -> Told:
    most = matter.seen.map_output_bytes
    return _ordering(
        matter, "Sorting", "sortShare", lambda spent: spent.sort_ms, f"a map wrote up to {format_size(most)}", most
    )


def _ordering(
    matter: Matter, what: str, figure: str, of: Callable[[Timings], int], task: str, largest_bytes: int
) -> Told:
    total, spent_ms = _timed(matter.phase)
    share = of(spent_ms) / total
    text = (
        f"{what} took {percent(share)} of the {matter.attempts}' time: {task}; {matter.of_wall} on the critical path."
    )
    figures: Figures = {figure: round(share, 3), "bytes": largest_bytes}
    return Told(text, figures, advice.for_order(matter.seen, largest_bytes))


def _conversation(matter: Matter) -> Told:
    total, spent_ms = _timed(matter.phase)
    share = (spent_ms.send_ms + spent_ms.receive_ms) / total
    text = (
        f"Giving records to the program and taking what it wrote was {percent(share)} of the {matter.attempts}' time; "
        f"{matter.of_wall} on the critical path."
    )
    fix = "Fewer, larger pairs cost less: add up in the program before it emits."
    return Told(text, {"conversationShare": round(share, 3)}, Advice(fix))


def _timed(phase: Phase) -> tuple[int, Timings]:
    """The time of its attempts on workers in ms, as far as they told, at least 1, and what it went into."""
    spent_ms = NO_TIMINGS
    for run in phase.runs:
        spent_ms = spent_ms.plus(run.timings)
    return max(1, spent_ms.total_ms, work_of(phase).total_ms), spent_ms


def is_finding(seen: Seen, cost: Cost) -> bool:
    """Whether anybody can do anything about it: a built-in is as fast as it is, and so is the start of few attempts."""
    if cost.cause is Cause.ATTEMPT_STARTS and cost.phase is not None:
        given = advice.for_tiny_tasks(seen, cost.phase)
        return given is not NO_ADVICE or start_ms(cost.phase) >= LEAST_START_MS
    if cost.cause is not Cause.PROGRAM or cost.run is None:
        return True
    program = cost.run.program
    return program is not None and program.source is not ProgramSource.BUILTIN


_OF_JOBS: dict[Cause, Callable[[Seen, str], Told]] = {
    Cause.QUEUE: _queue,
    Cause.PLANNING: _planning,
    Cause.COMMIT: _commit,
}

_OF_PHASES: dict[Cause, Callable[[Matter], Told]] = {
    Cause.WORKER_START: _worker_start,
    Cause.MAX_WORKERS: _max_workers,
    Cause.TOO_FEW_WORKERS: _too_few_workers,
    Cause.OTHER_JOBS: _other_jobs,
    Cause.FULL_VOLUME: _full_volume,
    Cause.ATTEMPT_STARTS: _attempt_starts,
    Cause.RETRIES: _retries,
    Cause.SKEW: _skew,
    Cause.STRAGGLER: _straggler,
    Cause.FEW_TASKS: _few_tasks,
    Cause.SEARCH: _search,
    Cause.PROGRAM: _program,
    Cause.READ: _read,
    Cause.WRITE: _write,
    Cause.MERGE: _merge,
    Cause.SORT: _sort,
    Cause.CONVERSATION: _conversation,
}
