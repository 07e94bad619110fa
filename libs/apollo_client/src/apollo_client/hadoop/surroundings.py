"""The variables that a job's programs find: its properties with underscores, as Hadoop Streaming exports them.

What differs from task to task is set by `hadoop_task.py`.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote_plus

from apollo_client.hadoop.arguments import StreamingArguments
from apollo_client.hadoop.errors import HadoopUsage
from apollo_client.hadoop.inputs import Inputs
from apollo_client.hadoop.paths import Paths
from apollo_client.hadoop.renamed import RENAMED

MAX_VALUE_CHARACTERS = 20_000
"""Of a property; a longer one is cut, as by Hadoop's `stream.jobconf.truncate.limit`, and told with that many."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([^,]*)")
_OURS = "APOLLO_"
_OLD_NAMES = {new: old for old, new in RENAMED.items()}


def job_variables(
    given: StreamingArguments, inputs: Inputs, paths: Paths, *, name: str, reducers: int
) -> dict[str, str]:
    """Variable -> value: the properties that every job has, those given, also by old names, and those of `-cmdenv`."""
    properties = {
        "mapreduce.framework.name": "apollo",
        "mapreduce.input.fileinputformat.inputdir": ",".join(paths.shown(paths.url(text)) for text in given.inputs),
        "mapreduce.input.fileinputformat.numinputfiles": str(inputs.file_count),
        "mapreduce.job.maps": "1",
        "mapreduce.job.name": name,
        "mapreduce.job.reduces": str(reducers),
        "mapreduce.job.user.name": paths.user,
        "mapreduce.map.maxattempts": "4",
        "mapreduce.output.fileoutputformat.compress": "false",
        "mapreduce.output.fileoutputformat.outputdir": paths.shown(paths.url(given.output)),
        "mapreduce.reduce.maxattempts": "4",
        "mapreduce.task.timeout": "600000",
        "user.name": paths.user,
    }
    commands = {"map": given.mapper, "combine": given.combiner, "reduce": given.reducer if reducers else None}
    properties |= {f"stream.{role}.streamprocessor": quote_plus(text) for role, text in commands.items() if text}
    properties |= dict(given.conf.items())
    properties["mapreduce.job.reduces"] = str(reducers)
    limit = given.conf.number("stream.jobconf.truncate.limit", MAX_VALUE_CHARACTERS)
    variables: dict[str, str] = {}
    for key, value in properties.items():
        for spelling in filter(None, (key, _OLD_NAMES.get(key) if key in given.conf else None)):
            variable = re.sub(r"[^A-Za-z0-9]", "_", spelling)
            if _NAME.fullmatch(variable) and not variable.startswith(_OURS):
                variables[variable] = value[: min(limit, MAX_VALUE_CHARACTERS)].replace("\0", "")
    variables.update(_checked(given.environment, "-cmdenv"))
    return variables


def role_variables(given: StreamingArguments) -> dict[str, dict[str, str]]:
    """Role -> variables that only its programs find, as written: `$NAME` is put in where they run.

    Those of `-cmdenv` win. Source: MapReduceChildJVM of Hadoop 3.4.2.
    """
    variables: dict[str, dict[str, str]] = {}
    for role in ("map", "reduce"):
        name = f"mapreduce.{role}.env"
        text = given.conf.get(name, given.conf.get("mapred.child.env"))
        found = dict(_ASSIGNMENT.findall(text))
        found |= {
            key.removeprefix(f"{name}."): value for key, value in given.conf.items() if key.startswith(f"{name}.")
        }
        variables[role] = {key: value for key, value in _checked(found, name).items() if key not in given.environment}
    return variables


def _checked(environment: Mapping[str, str], option: str) -> Mapping[str, str]:
    for name in environment:
        if not _NAME.fullmatch(name) or name.startswith(_OURS):
            raise HadoopUsage(f"{option} {name}: is no name that a variable of a job's programs can have")
    return environment
