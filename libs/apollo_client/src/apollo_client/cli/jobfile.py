"""A job file: the options of `run` and `submit` in YAML, kept beside the programs. What is on the command line wins."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

MAX_JOB_FILE_BYTES = 4 << 20

_PROGRAM_KEYS = ("mapper", "reducer", "combiner")
_ASSIGNMENT_KEYS = ("param", "env")
_REPEATABLE_KEYS = ("input", "file")
_OBJECT_KEYS = ("kubernetes",)
_NO_FILES = ("builtin:", "shell:")


def job_file_option(keys: frozenset[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--job-file for a command whose options, without dashes, are `keys`. The file's values become their defaults."""

    def use(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
        if value is not None:
            options = read_job_file(value, keys)
            ctx.default_map = {**(ctx.default_map or {}), **{name.replace("-", "_"): options[name] for name in options}}

    return click.option(
        "--job-file",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=use,
        help="A YAML file with any of these options, without dashes; its relative paths are relative to it.",
    )


def read_job_file(path: Path, keys: frozenset[str]) -> dict[str, Any]:
    """Option -> value, paths made absolute. click.UsageError names the file and the key."""
    import yaml

    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_JOB_FILE_BYTES + 1)
        document = yaml.safe_load(text)
    except OSError as error:
        raise click.UsageError(f"--job-file {path}: cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--job-file {path}: is no YAML: {error}") from error
    if len(text) > MAX_JOB_FILE_BYTES:
        raise click.UsageError(f"--job-file {path}: is larger than {MAX_JOB_FILE_BYTES >> 20} MiB.")
    if not isinstance(document, dict):
        raise click.UsageError(f"--job-file {path}: holds no mapping; write lines such as `mapper: map.py`.")
    return {key: _value(path, key, value, keys) for key, value in document.items()}


def _value(file: Path, key: Any, value: Any, keys: frozenset[str]) -> Any:
    if key not in keys:
        raise click.UsageError(f"--job-file {file}: there is no option {key!r}. There are: {', '.join(sorted(keys))}.")
    if key in _ASSIGNMENT_KEYS:
        return _assignments(file, key, value)
    if key in _REPEATABLE_KEYS:
        values = value if isinstance(value, list) else [value]
        return [_beside(file, _text(file, key, item)) for item in values]
    if key == "output":
        return _beside(file, _text(file, key, value))
    if key in _PROGRAM_KEYS:
        return _program(file, _text(file, key, value))
    if key in _OBJECT_KEYS and isinstance(value, dict):
        return value
    if isinstance(value, (dict, list)) or value is None:
        raise click.UsageError(f"--job-file {file}: {key} takes one value.")
    return value if isinstance(value, bool) else str(value)


def _assignments(file: Path, key: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}={_text(file, f'{key}.{name}', item)}" for name, item in value.items()]
    values = value if isinstance(value, list) else [value]
    return [_text(file, key, item) for item in values]


def _text(file: Path, key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise click.UsageError(f"--job-file {file}: {key} is no text; put it in quotes.")


def _beside(file: Path, text: str) -> str:
    if "://" in text or text.startswith("/"):
        return text
    folder = os.path.abspath(file.parent)  # noqa: PTH100  # a pattern may follow: Path would tidy it
    return os.path.join(folder, text)  # noqa: PTH118  # keeps a slash at the end


def _program(file: Path, text: str) -> str:
    """A file beside the job file; else it may be the name of an artifact."""
    beside = _beside(file, text)
    is_path = "/" in text or Path(beside).exists()
    return beside if is_path and not text.startswith(_NO_FILES) else text
