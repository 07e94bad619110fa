"""Waits for a job: its events and its progress until it has ended, and stopping it when the user interrupts."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from apollo_client.cli.bad_records import tell_of_bad_records, without_commands
from apollo_client.cli.display import Display, counter_lines, failure_lines, progress_display, success_line
from apollo_client.cli.log_lines import LogLines
from apollo_client.cli.output import print_json, show
from apollo_client.cli.root import STATUS_FAILED
from apollo_client.cli.timings import tell_timings
from apollo_client.cli.wording import in_command_words
from apollo_client.errors import RequestRefused
from apollo_client.rest import Document, RestClient
from apollo_common.errors import ApolloError

ENDED = frozenset({"succeeded", "failed", "stopped"})
POLL_TERMINAL_SECONDS = 0.2
POLL_LINES_SECONDS = 1.0
REOPEN_PAUSE_SECONDS = 0.5
STOP_SECONDS = 8
ATTEMPT_STARTED = "attempt-started"  # the kind of event


async def see_through(
    client: RestClient,
    job: str,
    *,
    as_json: bool,
    logs: bool = False,
    timed: bool = False,
    save_bad_records: Path | None = None,
    stays: bool = True,
) -> int:
    """Show the job until it has ended, then how it ended; the exit status.

    If `timed`, also where its time went. Bad records are written to `save_bad_records`; `stays`: they can also be asked
    for later.
    """
    ended = await follow(client, job, as_json=as_json, logs=logs)
    if timed:
        await tell_timings(client, job, as_json=as_json)
    status = await report(client, ended if stays else without_commands(ended), as_json=as_json)
    await tell_of_bad_records(client, ended, save_to=save_bad_records, stays=stays)
    return status


async def follow(
    client: RestClient, job: str, *, as_json: bool, logs: bool = False, display: Display | None = None
) -> Document:
    """Wait until the job has ended; the job.

    With `as_json`, every event is printed as a document. With `logs`, what programs write to standard error is shown;
    a log that cannot be is told of, and changes nothing about how the job ended. `display` shows the job meanwhile,
    instead of the usual one.
    """
    last = 0
    with display or progress_display() as shown:

        def tell(attempt: str, line: str) -> None:
            shown.say(f"{attempt} | {line}")

        def excuse(attempt: str, error: ApolloError | OSError) -> None:
            with suppress(OSError):  # nobody reads what is shown; the report at the end meets that, too
                shown.say(f"The log of {attempt} cannot be shown: {in_command_words(str(error))}")

        lines = LogLines(client, tell, excuse)
        async with _progress(client, job, shown), lines:
            while True:
                async for event in client.events(job, after=last):
                    last = event.id or last
                    if as_json and event.id:
                        print_json({"id": event.id, "kind": event.kind, **event.body})
                    if logs and event.kind == ATTEMPT_STARTED:
                        await lines.begin(event.body["attempt"])
                document = await client.job(job)
                if document["status"] in ENDED:
                    shown.show(document)
                    return document
                # A coordinator that shuts down in order ends its streams; the next one goes on with the job.
                await asyncio.sleep(REOPEN_PAUSE_SECONDS)


async def report(client: RestClient, job: Document, *, as_json: bool) -> int:
    """Say how a job ended; the exit status."""
    if job["status"] == "succeeded":
        counters = await client.counters(job["id"])
        show("\n".join([success_line(job, counters), *counter_lines(counters)]), err=True)
    else:
        show("\n".join(failure_lines(job)), err=True)
    if as_json:
        print_json(job)
    return 0 if job["status"] == "succeeded" else STATUS_FAILED


async def stop_and_wait(client: RestClient, job: str) -> None:
    """Stop a job because the user left; bounded, and whatever goes wrong is said, not raised."""
    show(f"Stopping job {job}.", err=True)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            try:
                await client.stop(job)
            except RequestRefused as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise
                show(in_command_words(str(error)), err=True)  # it publishes its output, which is soon done
            async for _ in client.events(job):
                pass
    except (TimeoutError, ApolloError) as error:
        show(f"Job {job} may still be running: {error or 'the coordinator takes too long to answer.'}", err=True)


@asynccontextmanager
async def _progress(client: RestClient, job: str, display: Display) -> AsyncIterator[None]:
    """Keeps the display up to date. Progress is a courtesy: when it cannot be had, the wait goes on without it."""

    async def poll() -> None:
        pause_seconds = POLL_TERMINAL_SECONDS if sys.stderr.isatty() else POLL_LINES_SECONDS
        while True:
            with suppress(ApolloError):
                display.show(await client.job(job))
            await asyncio.sleep(pause_seconds)

    task = asyncio.create_task(poll(), name="progress")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
