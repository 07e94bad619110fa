"""Options that many commands have, and how a command runs asynchronous work until it ends or is interrupted."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:  # aiohttp takes a quarter of a second to import; usage errors need not wait for it
    from apollo_client.rest import RestClient

DEFAULT_COORDINATOR = "http://127.0.0.1:4750"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON documents to standard output, one a line."
)

coordinator_option = click.option(
    "--coordinator",
    metavar="URL",
    envvar="APOLLO_COORDINATOR",
    help=f"The coordinator's address, also taken from APOLLO_COORDINATOR.  [default: {DEFAULT_COORDINATOR}]",
)


def rest_client(coordinator: str | None) -> "RestClient":
    """A client for the coordinator that the user named, with the token of APOLLO_TOKEN."""
    from apollo_client.rest import RestClient  # noqa: PLC0415  # see above

    return RestClient(coordinator or DEFAULT_COORDINATOR, token=os.environ.get("APOLLO_TOKEN"))


def print_json(document: Any) -> None:
    click.echo(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def run_async(work: Coroutine[Any, Any, int]) -> int:
    """Run a command's work; the exit status.

    SIGINT, SIGTERM and SIGHUP cancel the work once. What it then does to clean up is bounded in time, so signals
    that follow are not needed to end it and are ignored.
    """
    return asyncio.run(_interruptible(work))


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def interrupt(number: int) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
