"""apollo hadoop: the commands of Hadoop that scripts use, answered by Apollo."""

import os

import click

from apollo_client.cli.running import run_async
from apollo_client.hadoop.command import hadoop as answer


@click.command(
    short_help="Answer as the `hadoop` command: jar STREAMING.jar, fs, version.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def hadoop(ctx: click.Context, arguments: tuple[str, ...]) -> int:
    """Answer as the `hadoop` command does; also installed as `apollo-hadoop`.

    Jobs run on this machine, or on the coordinator that APOLLO_COORDINATOR names.
    """
    coordinator = ctx.find_root().params.get("coordinator") or os.environ.get("APOLLO_COORDINATOR") or None
    return run_async(answer(arguments, coordinator))
