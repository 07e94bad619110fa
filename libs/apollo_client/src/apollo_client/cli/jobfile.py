"""A job file: the options of `run` and `submit` in YAML, kept beside the programs. What is on the command line wins."""

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

MAX_JOB_FILE_BYTES = 4 << 20

_PROGRAM_KEYS = ("mapper", "reducer", "combiner")
_ASSIGNMENT_KEYS = ("param", "env")
_REPEATABLE_KEYS = ("input", "file", "input-with")
_OBJECT_KEYS = ("kubernetes",)
_INPUT_KEYS = ("mapper", "input-format", "input")
_NO_FILES = ("builtin:", "shell:")
_JOB_FILE = f"{__name__}.path"


class JobOption(click.Option):
    """An option that a job file may give, too: what is wrong with it is said of that file then."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        try:
            return super().handle_parse_result(ctx, opts, args)
        except click.BadParameter as error:
            _, source = self.consume_value(ctx, opts)
            if source is not ParameterSource.DEFAULT_MAP:
                raise
            message = "write true or false" if self.is_flag else error.message
            raise click.UsageError(f"{_line(ctx, self.opts[0])}: {message.rstrip('.')}.", ctx) from error


def as_given(flag: str) -> str:
    """An option as the user gave it to the command that runs: as it is, or as a line of the job file."""
    return _line(click.get_current_context(), flag) if is_in_file(flag) else flag


def is_in_file(flag: str) -> bool:
    """Whether the command that runs has the option from its job file."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and ctx.get_parameter_source(_variable(flag)) is ParameterSource.DEFAULT_MAP


def _line(ctx: click.Context, flag: str) -> str:
    return f"--job-file {ctx.meta[_JOB_FILE]}: {flag.removeprefix('--')}"


def _variable(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def job_file_option(fields: Mapping[str, str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--job-file for a command whose options, without dashes, are the keys of `fields`, which says what the API calls
    them. The file's values become their defaults.
    """

    def use(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
        if value is not None:
            options = read_job_file(value, fields)
            ctx.meta[_JOB_FILE] = value
            ctx.default_map = {**(ctx.default_map or {}), **{_variable(name): options[name] for name in options}}

    return click.option(
        "--job-file",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=use,
        help="A YAML file with any of these options, without dashes; its relative paths are relative to it.",
    )


def read_job_file(path: Path, fields: Mapping[str, str]) -> dict[str, Any]:
    """Option -> value, paths made absolute. click.UsageError names the file and the key."""
    import yaml

    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_JOB_FILE_BYTES + 1)
        document = _parsed(text)
    except OSError as error:
        raise click.UsageError(f"--job-file {path}: cannot be read: {error.strerror}.") from error
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise click.UsageError(f"--job-file {path}: is no YAML: {where}{error.problem}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--job-file {path}: is no YAML: it is no text in UTF-8.") from error
    if len(text) > MAX_JOB_FILE_BYTES:
        raise click.UsageError(f"--job-file {path}: is larger than {MAX_JOB_FILE_BYTES >> 20} MiB.")
    if not isinstance(document, dict):
        raise click.UsageError(f"--job-file {path}: holds no mapping; write lines such as `mapper: map.py`.")
    return {key: _value(path, key, value, fields) for key, value in document.items()}


def _parsed(text: str) -> Any:
    """Of YAML in which no mapping has a key twice: PyYAML alone would take the last without a word."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            node = super().compose_mapping_node(anchor)
            keys = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in keys:
                    raise yaml.MarkedYAMLError(problem=f"{key.value!r} is there twice", problem_mark=key.start_mark)
                keys.add(str(key.value))
            return node

    return Loader(text).get_single_data()


def _value(file: Path, key: Any, value: Any, fields: Mapping[str, str]) -> Any:
    if key not in fields:
        raise click.UsageError(f"--job-file {file}: there is no option {key!r}. {_meant(str(key), fields)}")
    if key in _ASSIGNMENT_KEYS:
        return _assignments(file, key, value)
    if key in _REPEATABLE_KEYS:
        values = value if isinstance(value, list) else [value]
        return [
            _input_with(file, item, number) if key == "input-with" else _path(file, key, item)
            for number, item in enumerate(values, 1)
        ]
    if key == "output":
        return _path(file, key, value)
    if key in _PROGRAM_KEYS:
        return _program(file, _text(file, key, value))
    if key in _OBJECT_KEYS and isinstance(value, dict):
        return value
    if isinstance(value, (dict, list)) or value is None:
        raise click.UsageError(f"--job-file {file}: {key} takes one value.")
    return value if isinstance(value, bool) else str(value)


def _meant(key: str, fields: Mapping[str, str]) -> str:
    """What somebody meant who wrote the API's name of an option, or one that is nearly right."""
    if f"--{key}" in {flag for option in click.get_current_context().command.params for flag in option.opts}:
        return "It belongs on the command line."
    near = [option for option, field in fields.items() if field == key] or get_close_matches(key, fields, 1)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(fields))}."


def _input_with(file: Path, given: Any, number: int) -> tuple[str, str, str]:
    """The three words of --input-with; the format may be left out. `number`: which of its entries it is, from 1."""
    unknown = [str(key) for key in given if key not in _INPUT_KEYS] if isinstance(given, dict) else []
    if unknown:
        near = get_close_matches(unknown[0], _INPUT_KEYS, 1)
        meant = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(_INPUT_KEYS)}."
        raise click.UsageError(f"--job-file {file}: entry {number} of input-with has no key {unknown[0]!r}. {meant}")
    if not isinstance(given, dict) or not {"mapper", "input"} <= set(given) <= set(_INPUT_KEYS):
        raise click.UsageError(
            f"--job-file {file}: entry {number} of input-with is no mapping with {', '.join(_INPUT_KEYS)}, "
            "such as {mapper: users.py, input-format: csv, input: users/*.csv}."
        )
    words = {key: _text(file, f"input-with.{key}", value) for key, value in given.items()}
    return _program(file, words["mapper"]), words.get("input-format", "lines"), _beside(file, words["input"])


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


def _path(file: Path, key: str, value: Any) -> str:
    return _beside(file, _text(file, key, value))


def _beside(file: Path, text: str) -> str:
    if text.startswith("~/"):  # which the shell would have replaced on a command line
        text = os.path.expanduser(text)  # noqa: PTH111  # as below
    if not text or "://" in text or text.startswith("/"):
        return text
    folder = os.path.abspath(file.parent)  # noqa: PTH100  # a pattern may follow: Path would tidy it
    return os.path.join(folder, text)  # noqa: PTH118  # keeps a slash at the end


def _program(file: Path, text: str) -> str:
    """A file beside the job file; else it may be the name of an artifact."""
    if not text or text.startswith(_NO_FILES):
        return text
    beside = _beside(file, text)
    return beside if "/" in text or Path(beside).exists() else text
