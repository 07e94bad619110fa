"""A job's facts as its users read them: the events of the HTTP API."""

import json
from collections.abc import Callable
from typing import Any

from apollo_coordinator.core.codec import kind_of
from apollo_coordinator.core.facts import JobEnded
from apollo_coordinator.core.model import Job, Task
from apollo_coordinator.core.state import JobQueue, task_of
from apollo_coordinator.jobs import JobEvent
from apollo_coordinator.ports import StoredFact

PROGRESS = "progress"
ENDED = kind_of(JobEnded)

Body = dict[str, Any]


def to_event(stored: StoredFact) -> JobEvent:
    """Upload ids, part lists and other machinery stay out."""
    document = json.loads(stored.body)
    tell = _TELLERS.get(stored.kind, _attempt)
    return JobEvent(stored.job_sequence, stored.kind, stored.at_ms, tell(document), last=stored.kind == ENDED)


def progress_event(job: Job, queue: JobQueue | None, now_ms: int) -> JobEvent:
    """Where the job stands; costs as much as there are running attempts."""
    running = [] if queue is None else [entry.task for entry in queue.running.values()]
    body: Body = {
        "status": job.status.value,
        "maps": _phase(job.maps, queue.accepted_maps if queue else 0, running),
        "reduces": _phase(job.reduces, queue.accepted_reduces if queue else 0, running),
    }
    if job.trouble:
        body["trouble"] = job.trouble
    return JobEvent(0, PROGRESS, now_ms, body)


def _phase(tasks: list[Task], completed: int, running: list[Task]) -> Body:
    kind = tasks[0].kind if tasks else None
    mine = {task.id: task for task in running if task.kind is kind}
    fraction = 0.0
    for task in mine.values():
        fraction += max(
            (attempt.input_bytes / attempt.input_bytes_total for attempt in task.attempts if attempt.input_bytes_total),
            default=0.0,
        )
    done = min(1.0, (completed + fraction) / len(tasks)) if tasks else 0.0
    return {"total": len(tasks), "completed": completed, "running": len(mine), "fraction": round(done, 4)}


def _job_accepted(document: Body) -> Body:
    spec = document["spec"]
    return {"name": spec["name"], "input": spec["input_paths"], "output": spec["output_path"]}


def _maps_planned(document: Body) -> Body:
    body: Body = {"maps": document["tasks"]}
    if "adopted" in document:
        body["adopted"] = document["adopted"]
    return body


def _job_ended(document: Body) -> Body:
    body: Body = {"status": document["status"]}
    if document["failure"]:
        body["failure"] = _failure(document["failure"])
    return body


def _attempt(document: Body) -> Body:
    if "attempt" not in document:
        return {}
    body: Body = {"task": task_of(document["attempt"]), "attempt": document["attempt"]}
    for name in ("worker", "message"):
        if name in document:
            body[name] = document[name]
    if document.get("speculative"):
        body["speculative"] = True
    if document.get("failure"):
        body["failure"] = _failure(document["failure"])
    if document.get("output"):
        body["outputBytes"] = document["output"]["size_bytes"]
        body["outputRecords"] = document["output"]["records"]
    return body


def _failure(failure: Body) -> Body:
    names = {"reason", "message", "task", "attempt", "program", "signal", "input", "fingerprint"}
    body = {name: value for name, value in failure.items() if name in names and value not in (None, "")}
    if failure.get("exit_status") is not None:
        body["exitStatus"] = failure["exit_status"]
    if failure.get("full_volume"):
        body["fullVolume"] = failure["full_volume"]
    if failure.get("needed_bytes"):
        body["neededBytes"] = failure["needed_bytes"]
    return body


_TELLERS: dict[str, Callable[[Body], Body]] = {
    "job-accepted": _job_accepted,
    "maps-planned": _maps_planned,
    ENDED: _job_ended,
}
