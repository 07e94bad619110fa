"""A job's bad records for people: in a table, in the message at its end, as files."""

import json
from pathlib import Path

from apollo_client.cli.harmless import harmless
from apollo_client.cli.output import show, signal_name
from apollo_client.errors import BadRecordsNotSaved
from apollo_client.rest import Document, RestClient
from apollo_common.threads import in_thread

INDEX = "index.jsonl"
PREVIEW_CHARACTERS = 48
SHOWN_RECORDS = 5
"""At the end of a job whose records go with the command."""

TOO_MANY = frozenset({"too_many_bad_records", "quarantine_full"})
"""Reasons of jobs that failed for their bad records, and have them all the same."""


def where(record: Document) -> str:
    """Object and offset; local files as paths."""
    return f"{record['input'].removeprefix('file://')}:{record['offset']}"


def why(record: Document) -> str:
    """The last that the mapper said on standard error, as on the web page; of one that said nothing, how it ended."""
    said = str(record.get("stderr", "")).strip()
    if said:
        return preview(said.splitlines()[-1].strip())
    if "exitStatus" in record:
        return f"exit status {record['exitStatus']}"
    if "signal" in record:
        return signal_name(record["signal"])
    return str(record["reason"]).removeprefix("program_").replace("_", " ")


def preview(text: str, characters: int | None = PREVIEW_CHARACTERS) -> str:
    """For a terminal: nothing in it moves the cursor, and it stays on its line. None: all of it."""
    shown = text if characters is None else text[:characters]
    safe = harmless(shown, kept="")
    return f"{safe}..." if len(shown) < len(text) else safe


async def save(client: RestClient, job: str, directory: Path) -> int:
    """Write every bad record to a file, and an index of them; how many. BadRecordsNotSaved."""
    known: list[Document] = []
    try:
        await in_thread(_make_empty, directory)
        async for record in client.bad_records(job):
            name = f"{record['number']:05d}"
            content = await client.bad_record_bytes(job, record["number"])
            await in_thread((directory / name).write_bytes, content)
            known.append({"file": name, **record})
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in known)
        await in_thread((directory / INDEX).write_bytes, lines.encode(errors="surrogateescape"))
    except OSError as error:
        raise BadRecordsNotSaved(f"the bad records cannot be saved in {directory}: {error.strerror}") from error
    return len(known)


def check_empty(directory: Path) -> None:
    """BadRecordsNotSaved unless nothing is in it; it need not be there. OSError."""
    if directory.exists() and any(directory.iterdir()):
        raise BadRecordsNotSaved(f"{directory} is not empty: name a directory that is, or a new one")


def _make_empty(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    check_empty(directory)


async def tell_of_bad_records(client: RestClient, job: Document, *, save_to: Path | None, stays: bool) -> None:
    """At a job's end, on standard error: how many records it has skipped, and where they are seen.

    `stays`: the coordinator goes on, so that they can be asked for later.
    """
    failed_for_them = job.get("failure", {}).get("reason") in TOO_MANY  # which names the command that shows them
    skipped = f"{_bad_records(job['badRecords'])} skipped"
    if not job["badRecords"] and not failed_for_them:
        return
    if save_to is not None:
        saved = await save(client, job["id"], save_to)
        show(
            f"{skipped}: {save_to} has {'it' if saved == 1 else f'all {saved}'}."
            if not failed_for_them
            else f"{save_to} has the bad records that were found, {saved} of them.",
            err=True,
        )
    elif not stays:
        said = "The bad records go" if failed_for_them else f"{skipped}; they go"
        show(f"{said} with this command: give it `--bad-records DIR` to save them.", err=True)
        await _show_some(client, job["id"])
    elif not failed_for_them:
        show(f"{skipped}: see `apollo bad {job['id']}`.", err=True)


async def _show_some(client: RestClient, job: str) -> None:
    """The first few, where nobody can ask for them later."""
    records = [record async for record in client.bad_records(job)]
    for record in records[:SHOWN_RECORDS]:
        show(f"  {where(record)}  {why(record)}  {preview(record['preview'])}", err=True)
    if len(records) > SHOWN_RECORDS:
        show("  ...", err=True)


def without_commands(job: Document) -> Document:
    """A job whose failure names no command that shows its bad records: there is nobody left to ask."""
    failure = job.get("failure")
    if failure is None or failure["reason"] not in TOO_MANY:
        return job
    message = failure["message"].replace(f"see them with `apollo bad {job['id']}`, then ", "")
    return {**job, "failure": {**failure, "message": message}}


def _bad_records(count: int) -> str:
    return "1 bad record was" if count == 1 else f"{count:,} bad records were"
