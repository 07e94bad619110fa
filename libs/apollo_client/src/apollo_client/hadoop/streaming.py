"""From Streaming's arguments to a job of Apollo's."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apollo_client.cli.joboptions import JobRequest
from apollo_client.hadoop import line_splits
from apollo_client.hadoop.arguments import StreamingArguments
from apollo_client.hadoop.errors import HadoopUsage, LaunchFailed, UnsupportedOption
from apollo_client.hadoop.files.tree import Files
from apollo_client.hadoop.inputs import find_inputs, packed_split_size
from apollo_client.hadoop.keys import key_rules, map_fields, output_separator, reduce_fields
from apollo_client.hadoop.paths import Paths
from apollo_client.hadoop.programs import hadoop_aggregate, hadoop_task
from apollo_client.hadoop.records import KEY_VALUE, packs_files, record_format
from apollo_client.hadoop.roles import Roles, roles_of
from apollo_client.hadoop.shipped import Shipped, collect, placements, program
from apollo_client.hadoop.surroundings import job_variables, role_variables
from apollo_common.record_format import parse_record_format

MAX_TIMEOUT_SECONDS = 604_800  # of silence; a longer time counts as this one
MAX_TASK_CHARACTERS = 32_768  # of what a task is told, which travels in one variable

_FIELDS = {"map": "mapperName", "combine": "combinerName", "reduce": "reducerName"}
_TEXT_OUTPUT = {"", "TextOutputFormat", "org.apache.hadoop.mapred.TextOutputFormat"}
_CODECS = {
    "org.apache.hadoop.io.compress.GzipCodec": "gzip",
    "org.apache.hadoop.io.compress.BZip2Codec": "bzip2",
    "org.apache.hadoop.io.compress.ZStandardCodec": "zstd",
}
_PRIORITIES = {
    "VERY_HIGH": 100,
    "HIGH": 50,
    "NORMAL": 0,
    "DEFAULT": 0,
    "UNDEFINED_PRIORITY": 0,
    "LOW": -50,
    "VERY_LOW": -100,
}


@dataclass(frozen=True, slots=True)
class StreamingJob:
    """`request` is the job; `output`, `file_count` and what runs are told on the way."""

    request: JobRequest
    output: str
    file_count: int
    roles: Roles


async def streaming_job(
    given: StreamingArguments, files: Files, paths: Paths, directory: Path, job_id: str, staging: str
) -> StreamingJob:
    """Checks all that can be checked before the job is submitted. HadoopUsage, UnsupportedOption, LaunchFailed.

    Files that are fetched or packed lie in `directory`, input that is cut here below the URL `staging`; `job_id` is
    what Hadoop's programs are told.
    """
    given.conf.check()
    _check_output_format(given)
    input_format = record_format(given)
    shipped = await collect(given, files, paths, directory)
    aggregator = await program(Path(hadoop_aggregate.__file__), directory)
    hides_cat = any(entry.wanted == "cat" for entry in shipped)
    maps_lines = parse_record_format(input_format).has_lines
    maps_pairs = input_format == KEY_VALUE
    roles = roles_of(
        given, aggregator=aggregator.wanted, hides_cat=hides_cat, maps_lines=maps_lines, maps_pairs=maps_pairs
    )
    keys = key_rules(given, roles.reducers) | _text_fields(given, roles)
    output = paths.url(given.output)
    if await files.status(output) is not None:
        raise LaunchFailed(f"Output directory {paths.shown(output)} already exists")
    inputs = await find_inputs(files, paths, given.inputs, given.conf)
    if given.input_format == line_splits.NAME:
        inputs = await line_splits.lay_lines_aside(files, inputs, given.conf, staging)
    if roles.aggregates:
        shipped.append(aggregator)
    name = given.conf.get("mapreduce.job.name") or f"streamjob{job_id.removeprefix('job_')}.jar"
    body = {
        **_options(given),
        **{_FIELDS[role]: name for role, name in roles.builtins.items()},
        "name": name[:255],
        "inputPath": inputs.urls,
        "inputFormat": input_format,
        "allowNoInput": True,
        "splitPolicy": _split_policy(given),
        "outputPath": output,
        "nReducers": roles.reducers,
        "splitSize": packed_split_size(inputs, given.conf) if packs_files(given) else inputs.split_size_bytes,
        **keys,
        "partPrefix": "part-",
        "protocol": "text",
        "stdio": "pipe",
        "ignoreInput": True,
        "files": [entry.path.name for entry in shipped],
        "params": {"hadoop_task": _task(given, roles, shipped, paths, job_id)},
        "env": job_variables(given, inputs, paths, name=name, reducers=roles.reducers),
    }
    uploads = {_FIELDS[role]: Path(hadoop_task.__file__) for role in roles.commands}
    request = JobRequest(body, uploads, tuple(dict.fromkeys(entry.path for entry in shipped)))
    return StreamingJob(request, output, inputs.file_count, roles)


def _split_policy(given: StreamingArguments) -> str:
    if given.input_format == line_splits.NAME:
        return "apart"
    return "packed" if packs_files(given) else "hadoop"


def _check_output_format(given: StreamingArguments) -> None:
    if given.output_format not in _TEXT_OUTPUT:
        raise UnsupportedOption(f"-outputformat {given.output_format}", "Apollo writes lines of text for such jobs")


def _text_fields(given: StreamingArguments, roles: Roles) -> dict[str, Any]:
    """Where lines are cut. Hadoop's aggregator is no program: nothing of it goes through lines."""
    fields: dict[str, Any] = {"outputSeparator": output_separator(given.conf)}
    if not roles.copies_pairs:
        fields |= map_fields(given.conf)
    if roles.commands.keys() & {"reduce", "combine"} and not roles.aggregates:
        fields |= reduce_fields(given.conf)
    return fields


def _task(given: StreamingArguments, roles: Roles, shipped: list[Shipped], paths: Paths, job_id: str) -> str:
    """What `hadoop_task.py` is told."""
    told: dict[str, Any] = {
        "commands": dict(roles.commands),
        "variables": role_variables(given),
        "files": placements(shipped),
        "roots": [[f"{paths.hdfs_root}/", "hdfs:///"], ["file:///", "file:/"]],
        "hdfs": paths.hdfs_root,
        "job": job_id,
        "failures": given.conf.flag("stream.non.zero.exit.is.failure", default=True),
    }
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    if len(text) > MAX_TASK_CHARACTERS:
        raise HadoopUsage(
            f"commands and names of files take {len(text)} characters, more than {MAX_TASK_CHARACTERS}: "
            "put files into one archive (-archives)"
        )
    return text


def _options(given: StreamingArguments) -> dict[str, Any]:
    conf = given.conf
    options: dict[str, Any] = {}
    attempts = [conf.number(name, 4) for name in ("mapreduce.map.maxattempts", "mapreduce.reduce.maxattempts")]
    options["maxAttempts"] = min(100, max(1, *attempts))
    options["timeoutSeconds"] = min(MAX_TIMEOUT_SECONDS, -(-conf.number("mapreduce.task.timeout", 600_000) // 1000))
    options["speculation"] = any(
        conf.flag(name, default=True) for name in ("mapreduce.map.speculative", "mapreduce.reduce.speculative")
    )
    if conf.flag("mapreduce.output.fileoutputformat.compress", default=False):
        codec = conf.get("mapreduce.output.fileoutputformat.compress.codec")
        if codec not in _CODECS:
            why = f"Hadoop's default, deflate, is none of Apollo's; name one of {', '.join(_CODECS)}"
            raise UnsupportedOption(f"-D mapreduce.output.fileoutputformat.compress.codec={codec}", why)
        options["compression"] = _CODECS[codec]
    priority = conf.get("mapreduce.job.priority", "NORMAL").upper()
    if priority.isdecimal():
        options["priority"] = min(100, int(priority))
    elif priority in _PRIORITIES:
        options["priority"] = _PRIORITIES[priority]
    else:
        raise HadoopUsage(f"mapreduce.job.priority: {priority!r} is none of {', '.join(_PRIORITIES)}")
    return options
