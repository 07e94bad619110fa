"""The options that `run` and `submit` share, each defined once, and the field of the job's body that it stands for."""

import glob
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from apollo_client.cli.connection import RUN_HERE
from apollo_client.cli.jobfile import JobOption, as_given, is_in_file, job_file_option
from apollo_client.cli.values import Number
from apollo_common.record_format import FORMS
from apollo_common.units import parse_size_bytes

PROGRAM_PREFIXES = ("builtin:", "shell:")
PROGRAM = "a file, builtin:NAME, shell:COMMAND, or the name of an uploaded artifact"


class _Size(click.ParamType[int]):
    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return int(value) if value.isdecimal() else parse_size_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Assignment(click.ParamType[tuple[str, str]]):
    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, content = value.partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is no assignment; write KEY=VALUE", param, ctx)
        return key, content


class _JsonObject(click.ParamType[dict[str, Any]]):
    name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        try:
            found = json.loads(value)
        except ValueError as error:
            self.fail(f"this is no JSON: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail('this is no object, such as {"resources": {"limits": {"memory": "2Gi"}}}', param, ctx)
        return found


class _WordOfInput(click.ParamType[str]):
    """One of the three of --input-with: an option in its place means that one of them is missing."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text.startswith("--"):
            self.fail(f"{text!r} stands where PROGRAM, FORMAT or PATH should; give all three", param, ctx)
        return text


class _KeyOrder(click.ParamType[str]):
    name = "OPTIONS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text.strip() == "-k":
            self.fail("'-k' alone names no part of a key; put all parts into quotes, as in '-k1,1 -k2,2nr'", param, ctx)
        return text


def _option(flag: str, json_field: str, **settings: Any) -> tuple[str, str, dict[str, Any]]:
    return flag, json_field, settings


_OPTIONS = (
    _option("--mapper", "mapperName", metavar="PROGRAM", help=f"The map program: {PROGRAM}."),
    _option("--reducer", "reducerName", metavar="PROGRAM", help="The reduce program; none with --reducers 0."),
    _option("--combiner", "combinerName", metavar="PROGRAM", help="Reduces map output before it is shuffled."),
    _option(
        "--input",
        "inputPath",
        multiple=True,
        metavar="PATH|URL",
        help="A file, directory or glob, or an s3:// or file:// URL. Repeatable.",
    ),
    _option(
        "--input-with",
        "inputs",
        nargs=3,
        type=_WordOfInput(),
        multiple=True,
        metavar="PROGRAM FORMAT PATH|URL",
        help="In place of --mapper, --input-format and --input: an input with a mapper of its own. Repeatable.",
    ),
    _option(
        "--input-format",
        "inputFormat",
        metavar="FORMAT",
        help=f"One of {FORMS}. [lines]",
    ),
    _option("--output", "outputPath", required=True, metavar="PATH|URL", help="Where the part files go: a directory."),
    _option(
        "--overwrite", "overwrite", is_flag=True, default=None, help="Replace what a job left in the output before."
    ),
    _option(
        "--reducers",
        "nReducers",
        type=Number(0, 10_000),
        metavar="N",
        help="Reduce partitions; 0: map-only. [1]",
    ),
    _option("--split-size", "splitSize", type=_Size(), help="Input of one map task. [64MiB]"),
    _option(
        "--split-policy",
        "splitPolicy",
        type=click.Choice(["auto", "apart", "packed", "hadoop"]),
        help="packed: small files share a map task; auto: of more than 100, up to a hundredth of the input. [auto]",
    ),
    _option(
        "--allow-no-input", "allowNoInput", is_flag=True, default=None, help="Nothing need be where an input is named."
    ),
    _option("--workers", "maxWorkers", type=Number(1, 100_000), metavar="N", help="At most so many workers. [all]"),
    _option(
        "--protocol", "protocol", type=click.Choice(["auto", "frames", "text"]), help="What programs speak. [auto]"
    ),
    _option("--stdio", "stdio", type=click.Choice(["socket", "pipe"]), help="Of text programs. [socket]"),
    _option(
        "--file",
        "files",
        multiple=True,
        metavar="PATH",
        help="A file to lie in the programs' working directory, under its own name. Repeatable.",
    ),
    _option("--env", "env", multiple=True, type=_Assignment(), help="A variable of the programs. Repeatable."),
    _option("--param", "params", multiple=True, type=_Assignment(), help="APOLLO_PARAM_KEY for programs. Repeatable."),
    _option(
        "--partitioner", "partitioner", metavar="NAME", help="hash, field:N, hadoop, keyfields:OPTIONS or range. [hash]"
    ),
    _option(
        "--key-order",
        "keyOrder",
        type=_KeyOrder(),
        metavar="OPTIONS",
        help="Parts of keys in whose order they come, as sort names them: '-k1,1 -k2,2nr'. [their bytes]",
    ),
    _option(
        "--key-separator",
        "keySeparator",
        metavar="TEXT",
        help="Between the fields of a key. [--map-output-separator]",
    ),
    _option(
        "--group-key-fields",
        "groupKeyFields",
        type=Number(0, 10_000),
        metavar="N",
        help="Keys whose first N fields agree are one group for the reducer. [0: equal keys]",
    ),
    _option(
        "--output-format", "outputFormat", type=click.Choice(["text", "jsonl", "raw"]), help="Of part files. [text]"
    ),
    _option(
        "--map-output-separator",
        "mapOutputSeparator",
        metavar="TEXT",
        help="Ends the key in lines of a text mapper. [a tab]",
    ),
    _option(
        "--map-output-key-fields",
        "mapOutputKeyFields",
        type=Number(1, 10_000),
        metavar="N",
        help="So many fields of such a line are the key. [1]",
    ),
    _option(
        "--reduce-input-separator",
        "reduceInputSeparator",
        metavar="TEXT",
        help="Between key and value in lines that a text reducer or combiner reads. [a tab]",
    ),
    _option(
        "--reduce-output-separator",
        "reduceOutputSeparator",
        metavar="TEXT",
        help="Ends the key in lines of a text reducer or combiner. [a tab]",
    ),
    _option(
        "--reduce-output-key-fields",
        "reduceOutputKeyFields",
        type=Number(1, 10_000),
        metavar="N",
        help="So many fields of such a line are the key. [1]",
    ),
    _option(
        "--output-separator",
        "outputSeparator",
        metavar="TEXT",
        help="Between key and value in part files of the format text. [a tab]",
    ),
    _option("--compression", "compression", type=click.Choice(["gzip", "bzip2", "zstd"]), help="Of part files. [none]"),
    _option(
        "--part-prefix",
        "partPrefix",
        metavar="TEXT",
        help="Of part files' names, before their numbers. [part-r-, map-only: part-m-]",
    ),
    _option("--memory-budget", "memoryBudget", type=_Size(), help="Memory of one attempt's shuffle. [256MiB]"),
    _option(
        "--max-attempts",
        "maxAttempts",
        type=Number(1, 100),
        metavar="N",
        help="A task that failed so often fails the job. [4]",
    ),
    _option(
        "--timeout-seconds",
        "timeoutSeconds",
        type=Number(0),
        metavar="N",
        help="Of silence by a program. [0: no limit]",
    ),
    _option(
        "--job-timeout-seconds",
        "jobTimeoutSeconds",
        type=Number(0),
        metavar="N",
        help="Of the whole job, from its start. [0: no limit]",
    ),
    _option("--name", "name", help="A name for people."),
    _option("--priority", "priority", type=Number(-100, 100), metavar="N", help="Higher goes first. [0]"),
    _option(
        "--speculation/--no-speculation",
        "speculation",
        default=None,
        help="Whether slow attempts may get backup attempts on idle workers. [speculation]",
    ),
    _option(
        "--max-bad-records",
        "maxBadRecords",
        type=Number(0, 10_000),
        metavar="N",
        help="Records that may be skipped because the mapper fails on them: `apollo bad` shows them. [0]",
    ),
    _option("--ignore-input", "ignoreInput", is_flag=True, default=None, help="The mapper need not read its input."),
    _option("--network", "network", is_flag=True, default=None, help="The programs may use the network."),
    _option(
        "--keep-intermediate", "keepIntermediate", is_flag=True, default=None, help="Keep map outputs after the job."
    ),
    _option(
        "--kubernetes",
        "kubernetes",
        type=_JsonObject(),
        help="Of the worker pods, as in a pod: resources, image, nodeSelector, tolerations, priorityClassName, "
        "serviceAccountName, labels; what the operator allows.",
    ),
    _option("--credentials-secret", "credentialsSecret", metavar="NAME", help="A Secret with storage credentials."),
)
_FIELD_OF = {flag.split("/")[0].removeprefix("--").replace("-", "_"): name for flag, name, _ in _OPTIONS}
FLAG_OF = {name: flag.split("/")[0] for flag, name, _ in _OPTIONS}
"""Field of the body -> the option that stands for it."""
_SIDE_OF = {"inputStorageCredentials": "--input", "outputStorageCredentials": "--output"}
"""What the command does not send is missed where it would have been needed."""
_PROGRAMS = ("mapper", "reducer", "combiner")
PROGRAM_FIELDS = frozenset(_FIELD_OF[name] for name in _PROGRAMS)


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the shared options, as keyword arguments, and --job-file."""
    for flag, _, settings in reversed(_OPTIONS):
        command = click.option(flag, cls=JobOption, **settings)(command)
    return job_file_option({flag.removeprefix("--"): field for field, flag in FLAG_OF.items()})(command)


def flag_of(json_field: str) -> str | None:
    """The option that stands for a field of the body, such as `nReducers` or `params.x`; None when there is none.

    Where the user has given it in a job file, that file and its line.
    """
    name = json_field.partition(".")[0].partition("[")[0]
    flag = FLAG_OF.get(name) or _SIDE_OF.get(name)
    return flag and as_given(flag)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job as the command line describes it: a body whose programs and files may still have to be uploaded."""

    body: dict[str, Any]
    programs: dict[str, Path] = field(default_factory=dict)  # field of the body, as errors name it -> the file
    side_files: tuple[Path, ...] = ()


def job_request(options: Mapping[str, Any], *, embedded: bool, local_paths: bool) -> JobRequest:
    """Check what can be checked here; click.UsageError names the option and what to write instead.

    `embedded`: there is no coordinator that artifacts could have been uploaded to. `local_paths`: paths without a
    scheme are this machine's.
    """
    options = _of_one_kind(_without_reducer(options))
    _check_inputs(options)
    body = {_FIELD_OF[name]: options[name] for name in _FIELD_OF if options[name] not in (None, ())}
    body |= {name: dict(body[name]) for name in ("params", "env") if name in body}
    if "inputs" in body:
        body["inputs"] = [
            {
                "mapperName": mapper,
                "inputFormat": record_format,
                "inputPath": location("--input-with", text, local_paths=local_paths, globs=True),
            }
            for mapper, record_format, text in options["input_with"]
        ]
    else:
        body["inputPath"] = [
            location("--input", text, local_paths=local_paths, globs=True) for text in options["input"]
        ]
    body["outputPath"] = location("--output", options["output"], local_paths=local_paths, globs=False)
    _check_reducer(body)
    if embedded and body.get("keepIntermediate"):
        raise click.UsageError(
            "--keep-intermediate needs a coordinator that stays, see `apollo up`: run keeps nothing."
        )
    files = {_FIELD_OF[name]: program_file(f"--{name}", options[name], embedded=embedded) for name in _PROGRAMS}
    for number, given in enumerate(body.get("inputs", ())):
        files[f"inputs.{number}.mapperName"] = program_file("--input-with", given["mapperName"], embedded=embedded)
    side_files = _side_files(options["file"])
    if side_files:
        body["files"] = [path.name for path in side_files]
    return JobRequest(body, {name: path for name, path in files.items() if path is not None}, side_files)


def _without_reducer(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """With --reducers 0 on the command line, what a job file says of reducing is replaced, too."""
    if options["reducers"] != 0 or is_in_file("--reducers"):
        return options
    replaced = {name: None for name in ("reducer", "combiner") if is_in_file(f"--{name}")}
    return {**options, **replaced}


def _of_one_kind(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """With inputs of either kind on the command line, those of the other kind in a job file are replaced."""
    alone = [name for name in ("mapper", "input", "input_format") if options[name]]
    if not options["input_with"] or not alone:
        return options
    in_file = is_in_file("--input-with")
    both = [flag for flag in (FLAG_OF[_FIELD_OF[name]] for name in alone) if is_in_file(flag) == in_file]
    if both:
        other = "input-with" if in_file else "--input-with"
        raise click.UsageError(f"{as_given(both[0])} and {other} exclude each other: name all inputs with {other}.")
    return {**options, "input_with": ()} if in_file else {**options, **dict.fromkeys(alone)}


def _check_inputs(options: Mapping[str, Any]) -> None:
    for name in ("mapper", "input"):
        if not options["input_with"] and options[name] in (None, ()):
            raise click.UsageError(f"Missing option '--{name}'.")


def _check_reducer(body: Mapping[str, Any]) -> None:
    if body.get("nReducers") == 0 and "reducerName" in body:
        reducer = "reducer" if is_in_file("--reducer") else "--reducer"
        raise click.UsageError(f"{as_given('--reducers')} 0 is a map-only job: leave {reducer} out.")
    if body.get("nReducers") != 0 and "reducerName" not in body:
        raise click.UsageError("--reducer is missing: name a program, or give --reducers 0 for a map-only job.")


def program_file(flag: str, value: str | None, *, embedded: bool) -> Path | None:
    """The file to upload; None for what needs no upload."""
    if value is None or value.startswith(PROGRAM_PREFIXES):
        return None
    if not value:
        raise click.UsageError(f"{as_given(flag)} is empty. A program is {PROGRAM}.")
    path = Path(value)
    if path.is_file():
        _check_readable(flag, path)
        return path
    if path.is_dir():
        raise click.UsageError(f"{as_given(flag)} {value}: that is a directory; name a program.")
    if embedded or "/" in value:
        raise click.UsageError(f"{as_given(flag)} {value}: there is no such file. A program is {PROGRAM}.")
    return None


def _side_files(names: tuple[str, ...]) -> tuple[Path, ...]:
    paths = {}
    for name in names:
        path = Path(name)
        if not path.is_file():
            raise click.UsageError(f"{as_given('--file')} {name}: there is no such file.")
        _check_readable("--file", path)
        if path.name in paths:
            raise click.UsageError(
                f"{as_given('--file')} {name}: another file is also called {path.name}; rename one of them."
            )
        paths[path.name] = path
    return tuple(paths.values())


def _check_readable(flag: str, path: Path) -> None:
    if not os.access(path, os.R_OK):
        raise click.UsageError(f"{as_given(flag)} {path}: you may not read this file; see its permissions.")


def location(flag: str, text: str, *, local_paths: bool, globs: bool) -> str:
    """A URL as it is; a path as a file:// URL. What is a file's own name is no glob, even if it looks like one."""
    if urlsplit(text).scheme and "://" in text:
        return text
    if not text:
        raise click.UsageError(f"{as_given(flag)} is empty; write a path or a URL.")
    if not local_paths:
        raise click.UsageError(
            f"{as_given(flag)} {text}: the coordinator is on another machine; "
            f"write a URL that it reaches, such as s3://BUCKET/KEY. {RUN_HERE}"
        )
    path = os.path.abspath(text)  # noqa: PTH100  # Path.resolve would follow links and drop what `..` means in a glob
    if globs:
        # Only what the user wrote may be a pattern.
        path = glob.escape(path) if os.path.lexists(text) else _absolute_pattern(text)
    return f"file://{path}/" if text.endswith("/") and path != "/" else f"file://{path}"


def _absolute_pattern(pattern: str) -> str:
    here = "" if pattern.startswith("/") else glob.escape(os.getcwd()) + "/"  # noqa: PTH109  # a pattern is no path
    return os.path.normpath(here + pattern)
