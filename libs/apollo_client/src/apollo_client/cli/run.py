"""apollo run: a job on this machine, or on a coordinator if one is named, from start to end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from apollo_client.cli.bad_records import check_empty
from apollo_client.cli.connection import RUN_HERE, coordinator_or_here_option, is_local, rest_client
from apollo_client.cli.following import see_through, stop_and_wait
from apollo_client.cli.joboptions import JobRequest, job_options, job_request
from apollo_client.cli.output import json_option, show
from apollo_client.cli.running import run_async
from apollo_client.cli.submission import submit_job
from apollo_client.errors import CoordinatorUnreachable
from apollo_client.local import default_workers, embedded_coordinator


@click.command(short_help="Run a job here, without a server, and wait for it.")
@job_options
@click.option("--logs", is_flag=True, help="Show what the programs write to standard error, while they run.")
@click.option("--timings", "timed", is_flag=True, help="Show in the end where the time went.")
@click.option(
    "--bad-records",
    "save_bad_records",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Save the records that were skipped in DIR, as `apollo bad --save` does.",
)
@coordinator_or_here_option
@json_option
def run(
    *,
    logs: bool,
    timed: bool,
    save_bad_records: Path | None,
    coordinator: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Run a job on this machine and wait for it; no server, no S3 and no container is needed.

    With --coordinator or APOLLO_COORDINATOR the same job goes to that coordinator. Ctrl-C stops the job.

    \b
    apollo run --mapper ./map.py --reducer ./reduce.py --input 'data/*.txt' --output out/ --reducers 4
    """  # noqa: D301  # \\b tells click not to wrap the lines below
    if save_bad_records is not None:
        check_empty(save_bad_records)  # at the job's end, its records would be gone with it
    request = job_request(options, embedded=coordinator is None, local_paths=is_local(coordinator))
    try:
        return run_async(
            run_job(
                request,
                coordinator,
                workers=options["workers"],
                as_json=as_json,
                logs=logs,
                timed=timed,
                save_bad_records=save_bad_records,
            )
        )
    except CoordinatorUnreachable as error:
        if coordinator is None:
            raise
        raise CoordinatorUnreachable(f"{error} {RUN_HERE}") from error


async def run_job(
    request: JobRequest,
    coordinator: str | None,
    *,
    workers: int | None,
    as_json: bool,
    logs: bool = False,
    timed: bool = False,
    save_bad_records: Path | None = None,
) -> int:
    """Submit, wait, report; the exit status. An interrupt stops the job. `logs`: of programs, on standard error."""
    async with coordinator_address(coordinator, workers) as address, rest_client(address) as client:
        job = (await submit_job(client, request))["id"]
        if coordinator is not None:  # whoever loses this terminal needs it to find the job again
            show(f"Job {job} is submitted.", err=True)
        try:
            return await see_through(
                client,
                job,
                as_json=as_json,
                logs=logs,
                timed=timed,
                save_bad_records=save_bad_records,
                stays=coordinator is not None,
            )
        except asyncio.CancelledError:
            await stop_and_wait(client, job)
            raise


@asynccontextmanager
async def coordinator_address(coordinator: str | None, workers: int | None) -> AsyncIterator[str]:
    """The address of the coordinator that is named, or of one that lives as long as the block."""
    if coordinator is not None:
        yield coordinator
    else:
        async with embedded_coordinator(workers or default_workers()) as address:
            yield address
