"""Which value of a setting would help, where the figures tell."""

from math import ceil
from typing import NamedTuple

from apollo_coordinator.core.explanation.seen import Phase, Run, Seen
from apollo_coordinator.core.explanation.words import count, setting_size
from apollo_coordinator.core.model import TaskKind
from apollo_coordinator.core.plan import SplitPolicy
from apollo_coordinator.core.spec import DEFAULT_SPLIT_SIZE_BYTES, MIB, JobSpec, ProgramRef

LARGEST_STEP = 8
"""No more than so many times the workers are advised at once: what holds a job up then is another matter."""

SPLITS_PER_WORKER = 2
"""That still even out what is unlike in them."""

LARGE_SHARE = 0.5
"""Of a partition's pairs: a key that has so many is what makes it large."""

COMBINING_BUILTINS = ("builtin:sum", "builtin:min", "builtin:max", "builtin:unique")
"""Reducers that do as combiners, too."""


class Advice(NamedTuple):
    """A sentence, and the setting that it names."""

    fix: str = ""
    setting: str = ""


NO_ADVICE = Advice()


def wanted_workers(phase: Phase, now: int) -> int:
    """How many the phase could keep at work until its longest attempt is done."""
    useful = [run.duration_ms for run in phase.runs if run.useful]
    longest_ms = max(useful, default=0)
    if not longest_ms:
        return min(phase.tasks, now * LARGEST_STEP)
    at_once = max(1, min(phase.tasks, ceil(sum(useful) / len(useful) * phase.tasks / longest_ms)))
    whole_rounds = ceil(phase.tasks / (phase.tasks // at_once))  # with fewer, some would begin another round
    return max(now, min(whole_rounds, now * LARGEST_STEP))


def for_max_workers(seen: Seen, phase: Phase) -> Advice:
    now = seen.worker_cap
    wanted = wanted_workers(phase, now)
    if wanted <= now:
        return NO_ADVICE
    enough = f", and have as many, as by `apollo up --workers {wanted}`" if phase.workers <= now else ""
    return Advice(f"Raise maxWorkers from {now} to {wanted}{enough}.", "maxWorkers")


def for_more_workers(phase: Phase) -> Advice:
    wanted = wanted_workers(phase, phase.workers)
    if wanted <= phase.workers:
        return NO_ADVICE
    return Advice(f"Have {wanted} workers instead of {phase.workers}, as by `apollo up --workers {wanted}`.", "workers")


def for_tiny_tasks(seen: Seen, phase: Phase) -> Advice:
    """To have fewer tasks of a phase. No advice where there are not many."""
    enough = SPLITS_PER_WORKER * max(1, phase.workers)
    if phase.tasks <= enough:
        return NO_ADVICE
    if phase.kind is TaskKind.REDUCE:
        return Advice(f"Lower nReducers from {phase.tasks} to {enough}.", "nReducers")
    total_bytes = sum(split_bytes(phase))
    now = seen.spec.split_size_bytes
    wanted = min(max(_round_up(total_bytes / enough), MIB), DEFAULT_SPLIT_SIZE_BYTES)
    if phase.small_objects and seen.spec.split_policy is not SplitPolicy.PACKED:
        smaller = f" and splitSize to {setting_size(wanted)}" if wanted < min(now, total_bytes) else ""
        splits = count(max(1, ceil(total_bytes / min(wanted, now))), "split")
        return Advice(f"Set splitPolicy to packed{smaller}, for {splits} instead of {phase.tasks}.", "splitPolicy")
    if wanted < 2 * now:
        return NO_ADVICE
    return Advice(f"Raise splitSize from {setting_size(now)} to {setting_size(wanted)}.", "splitSize")


def for_few_tasks(seen: Seen, phase: Phase) -> Advice:
    """To have more tasks of a phase, for workers that have none."""
    if phase.kind is TaskKind.REDUCE:
        return Advice(f"Raise nReducers from {phase.tasks} to {phase.workers}.", "nReducers")
    if not phase.can_be_cut:
        return Advice("Its objects cannot be cut: store the input as more, smaller ones.")
    return _smaller_splits(seen, phase, sum(split_bytes(phase)))


def _smaller_splits(seen: Seen, phase: Phase, shared_bytes: int) -> Advice:
    """So that all workers share these bytes."""
    now = seen.spec.split_size_bytes
    wanted = max(_round_up(shared_bytes / max(2, phase.workers)), MIB)
    if wanted >= now:
        return NO_ADVICE
    return Advice(f"Lower splitSize from {setting_size(now)} to {setting_size(wanted)}.", "splitSize")


def for_skew(seen: Seen, phase: Phase, run: Run) -> Advice:
    """What makes one task's share smaller: more partitions where it has many keys, a combiner where one is large."""
    if phase.kind is not TaskKind.REDUCE:
        if not phase.can_be_cut:
            return Advice("Its object cannot be cut: store it as several.")
        return _smaller_splits(seen, phase, run.input_bytes)
    largest = run.largest_group
    if largest is None:
        return Advice("Give the job a combiner if few keys are large, or more reducers if many share the partition.")
    if largest.records >= LARGE_SHARE * largest.of_records:
        return _for_large_key(seen.spec.combiner, seen.spec.reducer)
    wanted = max(2 * phase.tasks, phase.workers)
    return Advice(f"Raise nReducers from {phase.tasks} to {wanted}, to spread its {run.groups:,} keys.", "nReducers")


def _for_large_key(combiner: ProgramRef | None, reducer: ProgramRef | None) -> Advice:
    more = "More reducers would not help"
    if combiner is not None:
        return Advice(
            f"{more}: have mappers give the key one of several endings, and a second job join what they give."
        )
    if reducer is not None and reducer.name in COMBINING_BUILTINS:
        return Advice(f"{more}: set combinerName to {reducer.name}.", "combinerName")
    return Advice(f"{more}: set combinerName to a program that reduces a key's values in part.", "combinerName")


def for_order(seen: Seen, largest_bytes: int) -> Advice:
    """For sorting and merging so many bytes of pairs in one task: fewer of them, or fewer runs of them."""
    spec = seen.spec
    if spec.combiner is None and spec.reducer is not None and spec.reducer.name in COMBINING_BUILTINS:
        return Advice(f"Set combinerName to {spec.reducer.name}, for fewer pairs.", "combinerName")
    now = spec.memory_budget_bytes
    if largest_bytes <= now // 2:
        return NO_ADVICE
    wanted = setting_size(_round_up(2 * largest_bytes))
    return Advice(f"Raise memoryBudget from {setting_size(now)} to {wanted}, if workers have it.", "memoryBudget")


def for_writing(spec: JobSpec, *, is_output: bool) -> Advice:
    if is_output:
        less, setting = ("", "") if spec.compression else ("; compression makes it less", "compression")
        return Advice(f"Look at the output's store{less}.", setting)
    less, setting = ("", "") if spec.combiner is not None else ("; a combiner makes it less", "combinerName")
    return Advice(f"Look at the intermediate volume or bucket{less}.", setting)


def split_bytes(phase: Phase) -> list[int]:
    """Of each task that an attempt was made of."""
    return list({run.task: run.input_bytes for run in phase.runs}.values())


def _round_up(amount_bytes: float) -> int:
    """To the next power of two."""
    return 1 << max(0, ceil(amount_bytes) - 1).bit_length()
