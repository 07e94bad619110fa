"""What arguments and options of several commands take."""

from typing import Any

import click


class Name(click.ParamType[str]):
    """Of a job, a task or an artifact.

    Never empty: a script whose variable is not set would ask for the list instead of the one that it means.
    """

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip():
            said = param.human_readable_name if param is not None else self.name
            raise click.UsageError(
                f"{said.removesuffix('...')} is empty; is the variable set that should hold it?", ctx
            )
        return text


class Number(click.IntRange):
    """A whole number within bounds, called so where something else was given."""

    name = "whole number"
