"""apollo up: a coordinator with worker processes on this machine, for the other commands to talk to."""

import errno
import os
import socket
from pathlib import Path

import click

from apollo_client.cli.running import run_async
from apollo_client.cli.values import Number
from apollo_client.errors import LocalModeFailed
from apollo_client.local import coordinator_app, default_workers, sandbox_of_own_programs
from apollo_common.addresses import is_loopback
from apollo_common.logging import configure_logging

_TOKENS = ("APOLLO_TOKEN", "APOLLO_TOKENS_FILE")
_NOT_ASKED_FOR = (
    "APOLLO_TOKEN is for commands and is not asked for on {host}. For a coordinator that asks for tokens there, "
    "set APOLLO_TOKENS_FILE."
)
_EXAMPLE = """\
Look at its jobs with a browser at {url}. In another terminal:
  export APOLLO_COORDINATOR={url}
  apollo submit --wait --mapper 'shell:tr -s " " "\\n"' --reducer builtin:count --input FILE --output DIRECTORY"""

_NO_WORKERS = "Look at its jobs with a browser at {url}. No worker is started, so those that have not ended wait."


@click.command(short_help="Run a coordinator with workers on this machine.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=4750, show_default=True, type=Number(1, 65535), metavar="N", help="The port to listen on."
)
@click.option(
    "--workers",
    type=Number(0, 1000),
    metavar="N",
    help="Worker processes; 0 only to look at jobs.  [one for each processor]",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where jobs and artifacts are kept.  [$XDG_STATE_HOME/apollo or ~/.local/state/apollo]",
)
def up(*, host: str, port: int, workers: int | None, data_dir: Path | None) -> int:
    """Run a coordinator with worker processes on this machine, until Ctrl-C. Started again, it goes on with
    the jobs that were cut off.

    On any other address than loopback clients need the token of APOLLO_TOKEN, or one of those in APOLLO_TOKENS_FILE.
    """
    if not _resolves(host):
        raise click.UsageError(f"--host {host}: this name does not resolve; give an address of this machine.")
    if not is_loopback(host) and not any(map(os.environ.get, _TOKENS)):
        raise click.UsageError(
            f"--host {host} can be reached from other machines: set APOLLO_TOKEN, here and where the commands run, "
            "or APOLLO_TOKENS_FILE for tokens with roles."
        )
    directory = (data_dir or _default_data_dir()).absolute()
    return run_async(_serve(host, port, default_workers() if workers is None else workers, directory))


async def _serve(host: str, port: int, workers: int, directory: Path) -> int:
    app = coordinator_app()
    # Where only this machine's users reach it, they may use all that this user may.
    trust = (
        {
            "token": None,
            "file_roots": None,
            "storage_endpoints": None,
            "allow_network": True,
            # With a file of tokens the programs may be others'.
            **({} if os.environ.get("APOLLO_TOKENS_FILE") else {"sandbox": sandbox_of_own_programs()}),
        }
        if is_loopback(host)
        else {}
    )
    settings = app.Settings.load(
        {"APOLLO_LOG_FORMAT": "console", **os.environ},
        data_dir=directory,
        host=host,
        port=port,
        workers=workers,
        **trust,
    )
    configure_logging("coordinator", log_format=settings.log_format, level=settings.log_level)
    coordinator = app.Coordinator(settings)
    try:
        try:
            await coordinator.start()
        except OSError as error:
            raise _explained(error, host, port, directory) from error
        click.echo(f"Apollo listens at {coordinator.url} and keeps its data in {directory}.", err=True)
        if is_loopback(host) and os.environ.get("APOLLO_TOKEN"):
            click.echo(_NOT_ASKED_FOR.format(host=host), err=True)
        click.echo((_EXAMPLE if workers else _NO_WORKERS).format(url=coordinator.url), err=True)
        await coordinator.wait()
    finally:
        await coordinator.close()
    return 0


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host or None, 0)
    except socket.gaierror:
        return False
    return True


def _explained(error: OSError, host: str, port: int, directory: Path) -> LocalModeFailed:
    if error.errno == errno.EADDRINUSE:
        return LocalModeFailed(f"Port {port} of {host} is in use; choose another one with --port.")
    if error.errno in (errno.EADDRNOTAVAIL, errno.EACCES) and error.filename is None:
        return LocalModeFailed(
            f"Cannot listen on {host}, port {port}: {os.strerror(error.errno)}; see --host and --port."
        )
    return LocalModeFailed(f"Cannot use {error.filename or directory}: {error.strerror}; see --data-dir.")


def _default_data_dir() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "apollo"
