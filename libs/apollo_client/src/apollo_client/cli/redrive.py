"""apollo redrive: map the bad records of a job again, by a better mapper."""

import asyncio
import sys
from typing import Any

import click

from apollo_client.cli.connection import coordinator_option, is_local, rest_client
from apollo_client.cli.display import in_words
from apollo_client.cli.following import see_through, stop_and_wait
from apollo_client.cli.joboptions import PROGRAM, JobRequest, location, program_file
from apollo_client.cli.output import json_option, print_json, show
from apollo_client.cli.root import STATUS_FAILED
from apollo_client.cli.running import run_async
from apollo_client.cli.submission import submit_redrive
from apollo_client.cli.values import Name
from apollo_client.errors import MapOutputsGone
from apollo_client.rest import RestClient
from apollo_common.units import format_size


@click.command(short_help="Map the records that a job has skipped again, and reduce anew.")
@click.argument("job_id", metavar="JOB", type=Name())
@click.option(
    "--mapper", required=True, metavar="PROGRAM", help=f"In place of the one that failed on the records: {PROGRAM}."
)
@click.option("--output", required=True, metavar="PATH|URL", help="Where the part files go: a directory.")
@click.option("--overwrite", is_flag=True, help="Replace what a job left in the output before.")
@click.option("--name", help="A name for people. [the job's]")
@click.option("--remap", is_flag=True, help="Map all of the input again, not the bad records alone.")
@click.option("--yes", is_flag=True, help="Do not ask before that, where map outputs are not kept.")
@click.option("--wait", is_flag=True, help="Wait for the end of the new job; Ctrl-C then stops it.")
@coordinator_option
@json_option
def redrive(
    *, job_id: str, yes: bool, remap: bool, wait: bool, coordinator: str | None, as_json: bool, **options: Any
) -> int:
    """Map the records that JOB has skipped again, by a better mapper, and reduce its map outputs with what they give.

    The new output holds what the better mapper would have given of all the input. Without JOB's map outputs (it ran
    without --keep-intermediate) all of the input has to be mapped: then the command says what that costs, and asks.
    """
    request = _request(options, local_paths=is_local(coordinator))

    def work(*, everything: bool) -> int:
        request.body["remap"] = everything
        return run_async(_redrive(job_id, request, coordinator, wait=wait, as_json=as_json))

    try:
        return work(everything=remap)
    except MapOutputsGone as error:
        cost = _cost(job_id, error)
        if yes:
            show(cost, err=True)
        elif not _agrees(cost):
            return STATUS_FAILED
    return work(everything=True)


def _request(options: dict[str, Any], *, local_paths: bool) -> JobRequest:
    body = {
        "mapperName": options["mapper"],
        "outputPath": location("--output", options["output"], local_paths=local_paths, globs=False),
        "overwrite": options["overwrite"],
    }
    if options["name"] is not None:
        body["name"] = options["name"]
    file = program_file("--mapper", options["mapper"], embedded=False)
    return JobRequest(body, {"mapperName": file} if file is not None else {})


async def _redrive(job: str, request: JobRequest, coordinator: str | None, *, wait: bool, as_json: bool) -> int:
    async with rest_client(coordinator) as client:
        new = await submit_redrive(client, job, request)
        if not new["nReducers"] and "redriveOf" in new:
            note = f"Job {job} reduces nothing: the new output is to hold what its bad records give, and no more."
            show(note, err=True)
        if wait:
            return await _see_through(client, new["id"], as_json=as_json)
    if as_json:
        print_json(new)
    else:
        show(new["id"])
    return 0


async def _see_through(client: RestClient, job: str, *, as_json: bool) -> int:
    show(f"Job {job} is submitted.", err=True)
    try:
        return await see_through(client, job, as_json=as_json)
    except asyncio.CancelledError:
        await stop_and_wait(client, job)
        raise


def _cost(job: str, gone: MapOutputsGone) -> str:
    return (
        f"The map outputs of job {job} are not kept, so all of its input has to be mapped again: "
        f"{format_size(gone.input_bytes)} in {gone.map_tasks} map task{'' if gone.map_tasks == 1 else 's'}, which took "
        f"{in_words(gone.map_milliseconds / 1000)} of its workers' time."
    )


def _agrees(cost: str) -> bool:
    """Asks, if there is somebody to ask."""
    if sys.stdin.isatty():
        show(cost, err=True)
        return click.confirm("Map all of it?", default=False, err=True)
    show(f"{cost} To go on, give --yes.", err=True)
    return False
