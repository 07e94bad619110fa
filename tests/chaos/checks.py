"""What must be true when the faults are over. Each check knows one rule and says what breaks it, one line a breach."""

import hashlib
import json
from collections.abc import Callable, Iterator

from chaos.customers import Order
from chaos.evidence import Evidence
from chaos.site import OLD_OUTPUT

Breaches = Iterator[str]
Check = Callable[[Evidence], Breaches]

SUCCESS = "_SUCCESS"


def no_job_is_lost(evidence: Evidence) -> Breaches:
    """Whoever was told 201 has a job; whoever asked once has one job."""
    for order in evidence.orders:
        if order.refused:
            yield f"{order.output} ({order.shape.name}): refused: {order.refused}"
        elif order.job not in evidence.stories:
            yield f"{order.output} ({order.shape.name}): the coordinator does not know job {order.job!r}"
    for job in evidence.stories.keys() - {order.job for order in evidence.orders}:
        yield f"job {job}: nobody was told of it"


def every_job_ends_as_it_must(evidence: Evidence) -> Breaches:
    for order, job in _known(evidence):
        if job["status"] != order.shape.ends:
            yield f"{_name(order)}: {job['status']}, not {order.shape.ends}: {job.get('failure')}"
        elif order.shape.ends == "failed" and job["failure"]["reason"] != "program_exited":
            yield f"{_name(order)}: failed for another reason than its program: {job['failure']}"


def outputs_are_right(evidence: Evidence) -> Breaches:
    """Byte for byte what coreutils and awk make of the same input."""
    for order, _ in _known(evidence):
        if order.shape.expected is None:
            continue
        parts = [content for name, content in sorted(_output(evidence, order).items()) if name != SUCCESS]
        found = (b"".join(parts),) if order.shape.joined else tuple(parts)
        if found != order.shape.expected(evidence.site.corpus):
            yield f"{_name(order)}: the parts of {order.output} are wrong"


def what_did_not_succeed_changes_nothing(evidence: Evidence) -> Breaches:
    for order, _ in _known(evidence):
        if order.shape.expected is None and _output(evidence, order) != OLD_OUTPUT:
            yield f"{_name(order)}: {order.output} is not as it was: {sorted(_output(evidence, order))}"


def manifests_are_right(evidence: Evidence) -> Breaches:
    """`_SUCCESS` names the job and exactly the parts that are there; every line was counted once."""
    lines = sum(path.read_bytes().count(b"\n") for path in evidence.site.corpus)
    for order, _ in _known(evidence):
        if order.shape.expected is None:
            continue
        output = _output(evidence, order)
        manifest = json.loads(output.pop(SUCCESS, b"{}"))
        listed = {part["name"]: (part["size"], part["sha256"]) for part in manifest.get("parts", [])}
        if manifest.get("job") != order.job:
            yield f"{_name(order)}: {order.output}/{SUCCESS} is of job {manifest.get('job')}"
        elif listed != {name: (len(body), hashlib.sha256(body).hexdigest()) for name, body in output.items()}:
            yield f"{_name(order)}: {order.output}/{SUCCESS} lists {sorted(listed)}, there are {sorted(output)}"
        elif manifest["counters"]["apollo"]["input_records"] != lines:
            yield f"{_name(order)}: {manifest['counters']['apollo']['input_records']} records were read of {lines}"


def one_attempt_of_a_task_is_accepted(evidence: Evidence) -> Breaches:
    for job, story in evidence.stories.items():
        for task in story.tasks:
            succeeded = [each["id"] for each in story.attempts[task["id"]] if each["status"] == "succeeded"]
            accepted = [task["acceptedAttempt"]] if "acceptedAttempt" in task else []
            if succeeded != accepted:
                yield f"task {task['id']}: {accepted} is accepted, {succeeded} have succeeded"
            if story.job["status"] == "succeeded" and not accepted:
                yield f"job {job} has succeeded without task {task['id']}"


def stories_have_no_gap(evidence: Evidence) -> Breaches:
    """Events are numbered from 1 without a gap, whoever told them, and the last one names the end."""
    for order, job in _known(evidence):
        if order.event_ids != list(range(1, len(order.event_ids) + 1)):
            yield f"{_name(order)}: its events have the ids {order.event_ids}"
        elif order.told_end != job["status"]:
            yield f"{_name(order)}: its last event said {order.told_end!r}, it has {job['status']}"


def journals_are_sound(evidence: Evidence) -> Breaches:
    yield from evidence.journal_problems


def running_attempts_are_reattached(evidence: Evidence) -> Breaches:
    if evidence.killed_at_ms and not evidence.reattached:
        yield f"after {len(evidence.killed_at_ms)} kills of the coordinator no attempt that ran was accepted"


def nothing_is_left(evidence: Evidence) -> Breaches:
    yield from evidence.left


CHECKS: tuple[Check, ...] = (
    no_job_is_lost,
    every_job_ends_as_it_must,
    outputs_are_right,
    what_did_not_succeed_changes_nothing,
    manifests_are_right,
    one_attempt_of_a_task_is_accepted,
    stories_have_no_gap,
    journals_are_sound,
    running_attempts_are_reattached,
    nothing_is_left,
)


def breaches(evidence: Evidence) -> dict[str, list[str]]:
    """By check, those that found any."""
    found = {check.__name__: list(check(evidence)) for check in CHECKS}
    return {name: lines for name, lines in found.items() if lines}


def _known(evidence: Evidence) -> Iterator[tuple[Order, dict]]:
    for order in evidence.orders:
        if order.job in evidence.stories:
            yield order, evidence.stories[order.job].job


def _output(evidence: Evidence, order: Order) -> dict[str, bytes]:
    return evidence.site.read_output(order.shape, order.output)


def _name(order: Order) -> str:
    return f"job {order.job} ({order.shape.name})"
