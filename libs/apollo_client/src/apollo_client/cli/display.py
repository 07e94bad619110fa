"""What a waiting user sees: bars on a terminal, lines elsewhere. Everything here goes to standard error."""

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

from apollo_client.cli.causes import cause_lines, first_record, how_many
from apollo_client.cli.harmless import harmless
from apollo_client.cli.output import counted, show
from apollo_client.cli.wording import in_command_words
from apollo_common.ids import parse_attempt_id
from apollo_common.units import format_size

LINE_INTERVAL_SECONDS = 2.0
MAX_SHOWN_COUNTERS = 50


class Display(Protocol):
    """Shows the state of one job while it changes. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, job: dict[str, Any]) -> None:
        """The job as the API shows it; called several times a second."""
        ...

    def say(self, line: str) -> None:
        """A line that stays."""
        ...


def progress_display() -> Display:
    return BarDisplay() if sys.stderr.isatty() else LineDisplay()


class LineDisplay:
    """A line when the status changes, and at most every two seconds when tasks complete."""

    def __init__(self) -> None:
        self._shown = ""
        self._status = ""
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, job: dict[str, Any]) -> None:
        line = progress_line(job)
        now = time.monotonic()
        if line == self._shown or (job["status"] == self._status and now - self._shown_at < LINE_INTERVAL_SECONDS):
            return
        self._shown, self._status, self._shown_at = line, job["status"], now
        self.say(line)

    def say(self, line: str) -> None:
        show(line, err=True)


class BarDisplay:
    """A bar for the map tasks and one for the reduce tasks."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description:<7}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._bars = {
            phase: self._progress.add_task(name, total=None, note="")
            for phase, name in (("maps", "map"), ("reduces", "reduce"))
        }
        self._trouble = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, job: dict[str, Any]) -> None:
        trouble = in_command_words(job.get("trouble", ""))
        if trouble not in ("", self._trouble):
            self.say(f"The job waits: {trouble}")
        self._trouble = trouble
        progress = job["progress"]
        for phase, bar in self._bars.items():
            tasks = progress[phase]
            total = tasks["total"] if progress["planned"] else None
            self._progress.update(bar, total=total, completed=tasks["completed"], visible=total != 0)
            self._progress.update(bar, note=f"{tasks['running']} running" if tasks["running"] else "")

    def say(self, line: str) -> None:
        """Above the bars."""
        self._progress.console.print(harmless(line), markup=False, highlight=False, soft_wrap=True)


def progress_line(job: dict[str, Any]) -> str:
    """`running: map 3/8, reduce 0/4`, and why it waits, if it does."""
    progress = job["progress"]
    phases = [
        f"{name} {progress[phase]['completed']}/{progress[phase]['total']}"
        for phase, name in (("maps", "map"), ("reduces", "reduce"))
        if progress["planned"] and progress[phase]["total"]
    ]
    line = f"{job['status']}: {', '.join(phases)}" if phases else f"{job['status']}"
    return f"{line}; it waits: {in_command_words(job['trouble'])}" if job.get("trouble") else line


def success_line(job: dict[str, Any], counters: dict[str, dict[str, int]]) -> str:
    built_in = counters.get("apollo", {})
    parts = job["nReducers"] or job["progress"]["maps"]["total"]
    return (
        f"Job {job['id']} succeeded in {duration(job)}: {counted(built_in.get('output_records', 0), 'record')}, "
        f"{format_size(built_in.get('output_bytes', 0))} in {counted(parts, 'part')} below "
        f"{job['outputLocation']['location'].removeprefix('file://')}"
    )


def counter_lines(counters: dict[str, dict[str, int]]) -> list[str]:
    """What the programs counted; Apollo's own counters are left out."""
    lines = [
        f"  {group}: {name}: {value:,}"
        for group, names in counters.items()
        if group != "apollo"
        for name, value in names.items()
    ]
    more = len(lines) - MAX_SHOWN_COUNTERS
    rest = [f"  and {counted(more, 'counter')} more, which _SUCCESS of the output has"] if more > 0 else []
    return ["Counted by the programs:", *lines[:MAX_SHOWN_COUNTERS], *rest] if lines else []


def failure_lines(job: dict[str, Any]) -> list[str]:
    """Why a job did not succeed, and where to look further."""
    if job["status"] == "stopped":
        return [f"Job {job['id']} was stopped."]
    failure = job.get("failure") or {"message": "the coordinator does not say why."}
    lines = [f"Job {job['id']} failed: {in_command_words(failure['message'])}"]
    lines += [f"  {name}: {failure[name]}" for name in ("program", "input") if failure.get(name)]
    if attempt := failure.get("attempt"):
        lines.append(f"  attempt: {attempt}{_about_attempt(attempt)}")
    lines += _alike(job, failure)
    tail = failure.get("stderrTail", "").rstrip()
    if tail and tail not in failure["message"]:
        lines += ["  The program's last words on standard error:", *(f"  | {line}" for line in tail.splitlines())]
    return lines + _other_causes(job, failure)


def _alike(job: dict[str, Any], failure: dict[str, Any]) -> list[str]:
    """A record on which attempts failed as the one did by which the job failed, and how many those were."""
    same = [group for group in job.get("failures", []) if group["fingerprint"] == failure.get("fingerprint")]
    lines = [f"  record: {first_record(group)}" for group in same if first_record(group)]
    return lines + [f"  {how_many(group)} failed alike" for group in same if group["attempts"] > 1]


def _other_causes(job: dict[str, Any], failure: dict[str, Any]) -> list[str]:
    """Why other attempts failed, each cause once."""
    others = [group for group in job.get("failures", []) if group["fingerprint"] != failure.get("fingerprint")]
    lines: list[str] = []
    for headline, *told in map(cause_lines, others):
        lines += [f"  also: {headline}", *(f"  {line}" for line in told)]
    return lines


def _about_attempt(attempt: str) -> str:
    """What its id says to who knows how ids are made."""
    parts = parse_attempt_id(attempt)
    said = [f"attempt {parts.number + 1} of its task"] if parts.number else []
    if parts.task.startswith(f"{parts.job}-s-"):
        said.append("of the mapper, to learn where the range partitioner cuts")
    return f" ({'; '.join(said)})" if said else ""


def duration(job: dict[str, Any]) -> str:
    end_ms = job.get("endTime") or time.time() * 1000
    return in_words(max(0.0, (end_ms - job["startTime"]) / 1000))


def in_words(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
