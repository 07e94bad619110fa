"""Which coordinator a command speaks with."""

import os
from urllib.parse import urlsplit

import click

from apollo_client.cli.token import token_for
from apollo_client.errors import NotACoordinator
from apollo_client.rest import DEFAULT_URL, RestClient
from apollo_common.addresses import is_loopback

HELP = "The coordinator's address, also taken from APOLLO_COORDINATOR."
RUN_HERE = "Without --coordinator, and with APOLLO_COORDINATOR unset, `apollo run` runs the job here."


def _chosen(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    return value or ctx.find_root().params.get("coordinator") or os.environ.get("APOLLO_COORDINATOR") or None


coordinator_option = click.option("--coordinator", metavar="URL", callback=_chosen, help=f"{HELP}  [{DEFAULT_URL}]")
"""For every command that speaks with one; it may also stand before the command's name."""

coordinator_or_here_option = click.option(
    "--coordinator", metavar="URL", callback=_chosen, help=f"{HELP}  [none: the job runs here]"
)
"""For a command that needs none."""


def rest_client(coordinator: str | None) -> RestClient:
    """A client for the coordinator that the user named, with the user's token."""
    url = coordinator or DEFAULT_URL
    on_this_machine = _leads_to_loopback(url)
    token = token_for(this_machine=on_this_machine)
    try:
        client = RestClient(url, token=token)
    except NotACoordinator as error:
        raise click.UsageError(f"--coordinator or APOLLO_COORDINATOR: {error}") from error
    if token and url.startswith("http://") and not on_this_machine:
        click.echo(
            f"The token goes to {client.url} and the connection is not encrypted: prefer https://, or a tunnel such as "
            "kubectl port-forward.",
            err=True,
        )
    return client


def _leads_to_loopback(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:  # no URL; the client says so
        return False


def is_local(coordinator: str | None) -> bool:
    """Whether the coordinator is on this machine, so that paths mean the same to it."""
    return coordinator is None or urlsplit(coordinator).hostname in (None, "localhost", "127.0.0.1", "::1")
