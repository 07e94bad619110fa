"""apollo logs: what a job's programs wrote to standard error."""

import re
import sys

import click

from apollo_client.cli.connection import coordinator_option, rest_client
from apollo_client.cli.following import ENDED
from apollo_client.cli.harmless import ProgramOutput
from apollo_client.cli.log_lines import LogLines
from apollo_client.cli.output import json_option, print_json, show
from apollo_client.cli.running import run_async
from apollo_client.cli.values import Name
from apollo_client.rest import RestClient

LOOK_AGAIN_SECONDS = 0.5

_ATTEMPT = re.compile(r"[a-z0-9]+-[mr]-\d+-\d+")
_TASK = re.compile(r"[a-z0-9]+-[mr]-\d+")


@click.command(short_help="Show what a job's programs wrote to standard error.")
@click.argument("what", metavar="JOB|TASK|ATTEMPT", type=Name())
@click.option("-f", "--follow", is_flag=True, help="Go on until the job, task or attempt has ended.")
@coordinator_option
@json_option
def logs(*, what: str, follow: bool, coordinator: str | None, as_json: bool) -> int:
    """Show what programs wrote to standard error: an attempt's as it is, a task's or job's line by line with ids.

    On a terminal control characters are shown escaped; a file or a pipe gets them as they are.
    """

    async def work() -> int:
        async with rest_client(coordinator) as client:
            output = ProgramOutput(sys.stdout)
            if _ATTEMPT.fullmatch(what) and not as_json:
                async for chunk in client.log(what, follow=follow):
                    output.write(chunk)
            else:
                await _Lines(client, output, as_json=as_json).print(what, follow=follow)
            if output.empty and not as_json:
                await _tell_of_nothing(client, what)
        return 0

    return run_async(work())


async def _tell_of_nothing(client: RestClient, what: str) -> None:
    job = await client.job(what.partition("-")[0])
    searched = (
        f" What it did in a search for bad records, `apollo bad {job['id']}` has." if job["maxBadRecords"] else ""
    )
    show(f"No program has written to standard error.{searched}", err=True)


class _Lines:
    """Prints the lines of a job's, a task's or an attempt's logs, each with the attempt's id."""

    def __init__(self, client: RestClient, output: ProgramOutput, *, as_json: bool) -> None:
        self._client = client
        self._output = output
        self._lines = LogLines(client, _print_document if as_json else self._print_line)

    async def print(self, what: str, *, follow: bool) -> None:
        if not follow:
            for attempt in await self._attempts(what):
                await self._lines.read(attempt, follow=False)
            return
        seen: set[str] = set()
        async with self._lines:
            while True:
                # Asked before the attempts are listed, so that none is missed.
                ended = await self._has_ended(what)
                for attempt in await self._attempts(what):
                    if attempt not in seen:
                        seen.add(attempt)
                        await self._lines.begin(attempt)
                if ended:
                    return
                await self._lines.pause(LOOK_AGAIN_SECONDS)

    async def _attempts(self, what: str) -> list[str]:
        if _ATTEMPT.fullmatch(what):
            return [what]
        if _TASK.fullmatch(what):
            return [attempt["id"] async for attempt in self._client.attempts(what)]
        tasks = [task["id"] async for task in self._client.tasks(what) if task["attempts"]]
        return [attempt["id"] for task in tasks async for attempt in self._client.attempts(task)]

    async def _has_ended(self, what: str) -> bool:
        job = await self._client.job(what.partition("-")[0])
        return job["status"] in ENDED or bool(_ATTEMPT.fullmatch(what))

    def _print_line(self, attempt: str, line: str) -> None:
        self._output.write(f"{attempt} | {line}\n".encode())


def _print_document(attempt: str, line: str) -> None:
    print_json({"attempt": attempt, "line": line})
