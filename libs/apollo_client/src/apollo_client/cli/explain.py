"""apollo explain: why a job is, or was, as slow as that."""

import click

from apollo_client.cli.connection import coordinator_option, rest_client
from apollo_client.cli.output import json_option, print_json, show
from apollo_client.cli.running import run_async
from apollo_client.cli.values import Name
from apollo_client.cli.wording import in_command_words


@click.command(short_help="Say why a job is slow.")
@click.argument("job_id", metavar="JOB", type=Name())
@coordinator_option
@json_option
def explain(*, job_id: str, coordinator: str | None, as_json: bool) -> int:
    """Say what bounded a job, and which setting would help: at most ten lines, the most important one first.

    Of a job that runs: what has bounded it so far.
    """

    async def work() -> int:
        async with rest_client(coordinator) as client:
            lines = await client.explanation(job_id)
        if as_json:
            print_json({"lines": lines})
        else:
            for line in lines:
                show(in_command_words(" ".join(filter(None, (line["text"], line.get("fix"))))))
        return 0

    return run_async(work())
