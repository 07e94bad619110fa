"""Which coordinator a command speaks with."""

import os
import re
from urllib.parse import urlsplit

import click

from apollo_client.errors import NotACoordinator
from apollo_client.rest import DEFAULT_URL, RestClient
from apollo_common.addresses import is_loopback

_PRINTABLE = re.compile(r"[!-~]+")
HELP = "The coordinator's address, also taken from APOLLO_COORDINATOR."


def _chosen(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    return value or ctx.find_root().params.get("coordinator") or os.environ.get("APOLLO_COORDINATOR") or None


coordinator_option = click.option("--coordinator", metavar="URL", callback=_chosen, help=f"{HELP}  [{DEFAULT_URL}]")
"""For every command that speaks with one; it may also stand before the command's name."""

coordinator_or_here_option = click.option(
    "--coordinator", metavar="URL", callback=_chosen, help=f"{HELP}  [none: the job runs here]"
)
"""For a command that needs none."""


def rest_client(coordinator: str | None) -> RestClient:
    """A client for the coordinator that the user named, with the token of APOLLO_TOKEN."""
    url, token = coordinator or DEFAULT_URL, _token()
    try:
        client = RestClient(url, token=token)
    except NotACoordinator as error:
        raise click.UsageError(f"--coordinator or APOLLO_COORDINATOR: {error}") from error
    if token and url.startswith("http://") and not is_loopback(urlsplit(url).hostname or ""):
        click.echo(
            f"The token goes to {client.url} and the connection is not encrypted: prefer https://, or a tunnel such as "
            "kubectl port-forward.",
            err=True,
        )
    return client


def _token() -> str | None:
    """Never an option: a command line is for everybody on the machine to see."""
    token = os.environ.get("APOLLO_TOKEN", "").strip()
    if token and not _PRINTABLE.fullmatch(token):
        raise click.UsageError("APOLLO_TOKEN holds what no token has: blanks, line breaks, or letters beyond ASCII.")
    return token or None


def is_local(coordinator: str | None) -> bool:
    """Whether the coordinator is on this machine, so that paths mean the same to it."""
    return coordinator is None or urlsplit(coordinator).hostname in (None, "localhost", "127.0.0.1", "::1")
