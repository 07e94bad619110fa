"""How commands print: JSON documents one a line, tables, times, numbers."""

import json
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from apollo_client.cli.harmless import harmless

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON documents to standard output, one a line."
)


def show(text: str, *, err: bool = False) -> None:
    """Lines for people, harmless whatever programs and records have to do with them."""
    click.echo(harmless(text), err=err)


def print_json(document: Any) -> None:
    """In ASCII alone where anything in it could do something to a terminal."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    click.echo(text if text.isprintable() else json.dumps(document, separators=(",", ":")))


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as what they hold; the last one is not padded. Every cell stays on its line."""
    rows = [[harmless(cell, kept="") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]))


def local_time(at_ms: int | None) -> str:
    """A moment of the API (ms since 1970) in this machine's time zone."""
    if at_ms is None:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def signal_name(number: int) -> str:
    """`SIGSEGV`; of one that has no name here its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def counted(number: int, what: str) -> str:
    """`1 record`, `1,200 records`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
