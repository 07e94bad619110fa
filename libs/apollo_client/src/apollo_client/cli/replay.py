"""apollo replay: run one attempt of a job again, on this machine."""

import re
import shlex
import sys
from pathlib import Path
from typing import Final, NamedTuple

import click

from apollo_client.cli.connection import coordinator_option, rest_client
from apollo_client.cli.harmless import ProgramOutput
from apollo_client.cli.output import json_option, print_json, print_table, show
from apollo_client.cli.running import run_async
from apollo_client.cli.values import Name, Number
from apollo_client.cli.wording import in_command_words
from apollo_client.errors import CannotReplay
from apollo_client.replaying import Replayed
from apollo_client.replaying import replay as run_again
from apollo_client.rest import Document
from apollo_common.errors import ApolloError

_MAX_ATTEMPT: Final = 1_000_000
_TASK: Final = re.compile(r"(?:([a-z0-9]{1,40})-)?([smr])-(\d{1,9})(?:-(\d{1,7}))?")


class _Asked(NamedTuple):
    task: str
    attempt: int | None


@click.command(short_help="Run one attempt of a job again, here.")
@click.argument("job_id", metavar="JOB", type=Name())
@click.argument("task", metavar="TASK", type=Name())
@click.option(
    "--attempt",
    type=Number(0, _MAX_ATTEMPT),
    metavar="N",
    help="Which of the task's attempts.  [the last that failed, else the last one]",
)
@click.option("--under", metavar="COMMAND", help="What is to run the program, such as 'strace -f' or 'gdb --args'.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Leave the program there with its files, variables and input, and a run.sh that runs it without Apollo.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file for what the attempt gives; what a mapper gives, as JSON lines if the name ends in .jsonl.",
)
@coordinator_option
@json_option
def replay(
    *,
    job_id: str,
    task: str,
    attempt: int | None,
    under: str | None,
    keep: Path | None,
    output: Path | None,
    coordinator: str | None,
    as_json: bool,
) -> int:
    """Run one attempt of a job again on this machine, with the same program, side files, parameters, variables and
    input; status 0 if it succeeds here, 1 if it fails, 3 if it was not run, or not to its end. TASK is a task's id, or
    its end: m-3 is the fourth map task.

    Needs no worker. A map's input must be what it was; a reduce needs the map outputs that --keep-intermediate keeps.

    \b
    apollo replay k3v9d2m7q4xa m-12 --under 'strace -f'
    """  # noqa: D301  # \\b tells click not to wrap the lines below
    asked = _asked(job_id, task, attempt)
    words = _words(under)
    keep = _empty(keep) if keep is not None else None
    output = _writable(output) if output is not None else None

    async def work() -> int:
        async with rest_client(coordinator) as client:
            document = await client.replay(asked.task, asked.attempt)
            if output is not None:
                output.write_bytes(b"")
            show(_announcement(document["attempt"]), err=True)
            end = await run_again(
                client,
                document,
                words=words,
                output=output,
                keep=keep,
                stderr=ProgramOutput(sys.stderr).write,
            )
        if as_json:
            print_json(_summary(document["attempt"], end))
        else:
            show(_verdict(document["attempt"], end, words), err=True)
            rows = [[group, name, f"{value}"] for group, names in end.counters.items() for name, value in names.items()]
            print_table(["GROUP", "COUNTER", "VALUE"], rows)
        return 0 if end.failure is None else 1

    try:
        return run_async(work())
    except ApolloError as error:
        raise CannotReplay(str(error)) from error


def _asked(job: str, text: str, attempt: int | None) -> _Asked:
    """`m-3`, a task's id or an attempt's, as people find them in messages."""
    found = _TASK.fullmatch(text)
    if found is None or (found[1] or job) != job:
        raise click.UsageError(
            f"{text!r} is no task of job {job}: write m-3 for its fourth map task, r-0 for a reduce."
        )
    named = int(found[4]) if found[4] is not None else attempt
    if attempt is not None and attempt != named:
        raise click.UsageError(f"{text!r} is attempt {named}, and --attempt says {attempt}: give one of them.")
    return _Asked(f"{job}-{found[2]}-{int(found[3]):05d}", named)


def _words(under: str | None) -> list[str]:
    if under is None:
        return []
    try:
        words = shlex.split(under)
    except ValueError as error:
        raise click.UsageError(f"--under {under!r}: {error}.") from error
    if not words:
        raise click.UsageError("--under names no command.")
    return words


def _empty(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise click.UsageError(f"--keep {directory}: there is something in it; name a new directory.")
    except OSError as error:
        raise click.UsageError(f"--keep {directory}: {error.strerror}.") from error
    return directory.absolute()


def _writable(file: Path) -> Path:
    """Perhaps it is not, which is better known before the program runs. What is in it stays."""
    try:
        file.open("ab").close()
    except OSError as error:
        raise click.UsageError(f"--output {file}: {error.strerror}.") from error
    return file.absolute()


def _announcement(attempt: Document) -> str:
    return f"Attempt {attempt['id']} {_ended(attempt)} on {attempt['worker']}. It runs again here."


def _ended(attempt: Document) -> str:
    status: str = attempt["status"]
    return {"running": "runs", "lost": "was lost", "cancelled": "was cancelled"}.get(status, status)


def _verdict(attempt: Document, end: Replayed, words: list[str]) -> str:
    there = attempt.get("failure") if attempt["status"] == "failed" else None
    if end.failure is None:
        return "It succeeds here, too." if attempt["status"] == "succeeded" else "It succeeds here."
    message = in_command_words(end.failure["message"])
    if there is None:
        return f"It fails here: {message}"
    if end.fails_like(there):
        return f"It fails here in the same way: {message}"
    if words:  # which may end otherwise than what they run
        return f"It fails here, run by `{words[0]}`: {message}"
    return f"It fails here in another way: {message}\nThere: {in_command_words(there['message'])}"


def _summary(attempt: Document, end: Replayed) -> Document:
    """`sameFailure`: of one that failed there and here."""
    summary: Document = {"attempt": attempt["id"], "status": "succeeded" if end.failure is None else "failed"}
    if end.failure is not None:
        summary["failure"] = end.failure
        if attempt["status"] == "failed":
            summary["sameFailure"] = end.fails_like(attempt.get("failure") or {})
    return summary | {"counters": end.counters}
