"""Arguments that name a job, a task or an artifact."""

from typing import Any

import click


class _Name(click.ParamType[str]):
    """Never empty: a script whose variable is not set would ask for the list instead of the one that it means."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip():
            said = param.human_readable_name if param is not None else self.name
            raise click.UsageError(
                f"{said.removesuffix('...')} is empty; is the variable set that should hold it?", ctx
            )
        return text


NAME = _Name()
