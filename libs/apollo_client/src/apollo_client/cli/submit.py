"""apollo submit: hand a job to a coordinator."""

from typing import Any

import click

from apollo_client.cli.connection import coordinator_option, is_local, rest_client
from apollo_client.cli.joboptions import JobRequest, job_options, job_request
from apollo_client.cli.output import json_option, print_json, show
from apollo_client.cli.run import run_job
from apollo_client.cli.running import run_async
from apollo_client.cli.submission import submit_job
from apollo_client.rest import DEFAULT_URL


@click.command(short_help="Hand a job to a coordinator and print its id.")
@job_options
@click.option("--wait", is_flag=True, help="Wait for the end of the job; Ctrl-C then stops it.")
@coordinator_option
@json_option
def submit(*, coordinator: str | None, wait: bool, as_json: bool, **options: Any) -> int:
    """Hand a job to a coordinator and print its id.

    Programs that are files are uploaded as artifacts called NAME-DIGEST, so that nobody's artifact is replaced; files
    of --file keep their names.
    """
    request = job_request(options, embedded=False, local_paths=is_local(coordinator))
    if wait:
        return run_async(run_job(request, coordinator or DEFAULT_URL, workers=None, as_json=as_json))
    return run_async(_submit(request, coordinator, as_json=as_json))


async def _submit(request: JobRequest, coordinator: str | None, *, as_json: bool) -> int:
    async with rest_client(coordinator) as client:
        job = await submit_job(client, request)
    if as_json:
        print_json(job)
    else:
        show(job["id"])
    return 0
