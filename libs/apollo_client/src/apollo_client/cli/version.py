"""apollo version."""

import platform

import click

from apollo_client import __version__
from apollo_client.cli.output import json_option, print_json


@click.command
@json_option
def version(*, as_json: bool) -> None:
    """Show the versions of this command and its Python."""
    if as_json:
        print_json({"apollo": __version__, "python": platform.python_version()})
    else:
        click.echo(f"apollo {__version__} (Python {platform.python_version()})")
