"""apollo failures: why attempts of a job failed, each cause once."""

import click

from apollo_client.cli.causes import cause_lines, first_record, first_split, foremost
from apollo_client.cli.connection import coordinator_option, rest_client
from apollo_client.cli.output import json_option, local_time, print_json, show, signal_name
from apollo_client.cli.running import run_async
from apollo_client.cli.values import Name
from apollo_client.rest import Document


@click.command(short_help="Show why attempts of a job failed, each cause once.")
@click.argument("job_id", metavar="JOB", type=Name())
@coordinator_option
@json_option
def failures(*, job_id: str, coordinator: str | None, as_json: bool) -> int:
    """Show why attempts of a job failed: each cause once, with how many failed by it, the most first.

    Numbers, quoted values, paths and times do not make another cause; another line of the program does.
    """

    async def work() -> int:
        async with rest_client(coordinator) as client:
            groups = foremost([group async for group in client.failures(job_id)])
        if as_json:
            for group in groups:
                print_json(group)
        elif groups:
            show("\n\n".join("\n".join(_described(group)) for group in groups))
        else:
            show(f"No attempt of job {job_id} has failed.", err=True)
        return 0

    return run_async(work())


def _described(group: Document) -> list[str]:
    headline, *told = cause_lines(group)
    signal = signal_name(group["signal"]) if "signal" in group else None
    ended = {"exit status": group.get("exitStatus"), "signal": signal}
    return [
        headline,
        *(f"  {line}" for line in told),
        *([f"  program      {group['program']}"] if "program" in group else []),
        *(f"  {name:<12} {value}" for name, value in ended.items() if value is not None),
        f"  first        {local_time(group['firstTime'])}, {group['firstAttempt']}",
        *([f"  last         {local_time(group['lastTime'])}"] if group["attempts"] > 1 else []),
        *([f"  first record {first_record(group)}"] if first_record(group) else []),
        *([f"  first split  {first_split(group)}"] if first_split(group) else []),
        f"  fingerprint  {group['fingerprint']}",
    ]
