"""At most ten lines on why a job took as long as it did, the most important one first."""

from dataclasses import replace

from apollo_coordinator.core.explanation.attribution import Cause, Cost, attribute
from apollo_coordinator.core.explanation.findings import Line, is_finding, tell
from apollo_coordinator.core.explanation.seen import Seen
from apollo_coordinator.core.explanation.words import percent, span
from apollo_coordinator.core.model import JobStatus, TaskKind

MAX_LINES = 10

LEAST_SHARE = 0.05
"""Of a job's time: of less nothing is said."""

BOUNDS_SHARE = 0.25
PROGRAM_BOUNDS_SHARE = 0.6
"""From here on something bounds a job. Below, nothing stands out; that programs work is what a job is there for."""

BALANCED = "balanced"
FAILED = "failed"


def explain(seen: Seen) -> list[Line]:
    costs = [
        cost
        for cost in sorted(attribute(seen), key=lambda cost: -cost.spent_ms)
        if cost.spent_ms >= LEAST_SHARE * seen.wall_ms and is_finding(seen, cost)
    ]
    lines = [tell(seen, cost) for cost in costs if not _is_symptom(cost, costs)]
    if seen.status is JobStatus.FAILED:
        lines = [_failed(seen), *(replace(line, setting="", fix="") for line in lines)]
    elif not any(_bounds(seen, cost) for cost in costs):
        lines.insert(0, _balanced(seen))
    return lines[:MAX_LINES]


def _bounds(seen: Seen, cost: Cost) -> bool:
    least = PROGRAM_BOUNDS_SHARE if cost.cause is Cause.PROGRAM else BOUNDS_SHARE
    return cost.spent_ms >= least * seen.wall_ms


def _is_symptom(cost: Cost, costs: list[Cost]) -> bool:
    """Where a phase's attempts mostly start and end, it needs fewer, and no more workers for them."""
    starts = next((other for other in costs if (other.cause, other.phase) == (Cause.ATTEMPT_STARTS, cost.phase)), None)
    return (
        cost.cause in (Cause.MAX_WORKERS, Cause.TOO_FEW_WORKERS)
        and starts is not None
        and starts.spent_ms > cost.spent_ms
    )


def _balanced(seen: Seen) -> Line:
    what = "It was stopped, and nothing" if seen.status is JobStatus.STOPPED else "Nothing"
    return Line(BALANCED, f"{what} stands out{_parts(seen)}.", {"wallMilliseconds": seen.wall_ms})


def _failed(seen: Seen) -> Line:
    """How much sooner a job could have failed helps nobody."""
    fix = f"See `apollo failures {seen.job}` before anything else."
    return Line(FAILED, f"The job failed{_parts(seen)}.", {"wallMilliseconds": seen.wall_ms}, fix=fix)


def _parts(seen: Seen) -> str:
    names = {TaskKind.SAMPLE: "samplers", TaskKind.MAP: "maps", TaskKind.REDUCE: "reduces"}
    shares = [f"{names[phase.kind]} {percent(phase.duration_ms / seen.wall_ms)}" for phase in seen.phases]
    return f": {', '.join(shares)} of {span(seen.wall_ms)}" if shares else ""
