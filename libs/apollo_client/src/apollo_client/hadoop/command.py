"""`hadoop COMMAND`: which command it is."""

from collections.abc import Sequence

import click

from apollo_client import __version__
from apollo_client.hadoop import HADOOP_VERSION

STATUS_USAGE = 255
_SHELL_OPTIONS = {"--config": 2, "--loglevel": 2, "--debug": 1}  # and how many words each is
USAGE = """\
Usage: hadoop COMMAND [ARGUMENTS]
  jar STREAMING.jar   run a job of Hadoop Streaming
  streaming           the same, as `mapred streaming` has it
  fs, dfs             files and directories: -ls, -put, -get, -cat, -rm and more
  version             print the version
"""


async def hadoop(arguments: Sequence[str], coordinator: str | None) -> int:
    """The exit status, as Hadoop's."""
    arguments = _without_shell_options(arguments)
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    match command.lstrip("-"):
        case "version":
            click.echo(f"Hadoop {HADOOP_VERSION}\nAnswered by Apollo {__version__}")
            return 0
        case "jar":
            from apollo_client.hadoop.jar import run_jar

            return await run_jar(rest, coordinator)
        case "streaming":
            from apollo_client.hadoop.jar import run_streaming

            return await run_streaming(rest, coordinator)
        case "fs" | "dfs":
            from apollo_client.hadoop.fs import run_fs

            return await run_fs(rest)
        case "help" | "h":
            click.echo(USAGE, nl=False)
            return 0
    if command:
        click.echo(f"hadoop: {command}: Apollo does not answer this command of Hadoop's", err=True)
    click.echo(USAGE, nl=False, err=True)
    return STATUS_USAGE if command else 1


def _without_shell_options(arguments: Sequence[str]) -> Sequence[str]:
    """Hadoop's own script takes these before a command; they change nothing here."""
    while arguments and arguments[0] in _SHELL_OPTIONS:
        arguments = arguments[_SHELL_OPTIONS[arguments[0]] :]
    return arguments
