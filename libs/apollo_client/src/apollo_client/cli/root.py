"""The command group, and how whatever goes wrong becomes one sentence and an exit status."""

import errno
import os
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

import click

from apollo_client import __version__
from apollo_client.errors import CannotReplay
from apollo_common.errors import ApolloError

STATUS_FAILED = 1
STATUS_NOT_RUN = 3  # of `apollo replay`, whose 1 says that the program has failed
STATUS_INTERRUPTED = 130

_TRACEBACK = "APOLLO_TRACEBACK"
_COMMANDS = {
    "run": "run",
    "demo": "demo",
    "up": "up",
    "submit": "submit",
    "jobs": "jobs",
    "job": "jobs",
    "wait": "jobs",
    "stop": "jobs",
    "counters": "jobs",
    "explain": "explain",
    "bad": "bad",
    "failures": "failures",
    "redrive": "redrive",
    "logs": "logs",
    "replay": "replay",
    "artifacts": "artifacts",
    "hadoop": "hadoop",
    "version": "version",
}
"""Command -> the module that has it; imported when it is called, because every import is time before the job starts."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(f"apollo_client.cli.{module}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], _COMMANDS, 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from error


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "--version", message="apollo %(version)s")
@click.option(
    "--coordinator",
    metavar="URL",
    help="The address of the coordinator that the command speaks with, also taken from APOLLO_COORDINATOR.",
)
def cli(coordinator: str | None) -> None:  # the commands look it up
    """Run MapReduce jobs: here on this machine (run), or on a coordinator (submit and the others)."""


def execute(arguments: list[str]) -> int:
    """Run the command line; the exit status."""
    try:
        status = cli.main(arguments, prog_name="apollo", standalone_mode=False)
    except click.Abort:
        return STATUS_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ApolloError as error:
        from apollo_client.cli.output import show
        from apollo_client.cli.wording import in_command_words

        show(f"apollo: {in_command_words(str(error))}", err=True)
        return STATUS_NOT_RUN if isinstance(error, CannotReplay) else STATUS_FAILED
    except Exception as error:
        if os.environ.get(_TRACEBACK):
            raise
        click.echo(f"apollo: {_words(error)}", err=True)
        return STATUS_FAILED
    return status if isinstance(status, int) else 0


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, FileNotFoundError) and _here_is_gone():
        return "The working directory is gone: change into another one."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # a file that is printed to has no name here
        return f"The output cannot be written: {error.strerror}."
    return f"an error that nobody foresaw: {error!r}. {_TRACEBACK}=1 shows where."


def _here_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
