"""The arguments of Hadoop Streaming, as given."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from apollo_client.hadoop.errors import HadoopUsage, UnsupportedOption
from apollo_client.hadoop.generic import parse_generic
from apollo_client.hadoop.jobconf import JobConf
from apollo_client.hadoop.names import PARTITIONER_CLASS

USAGE = """\
Usage: hadoop jar hadoop-streaming.jar [genericOptions] [options]
Options:
  -input          <path> Input of the map step: file, directory or glob. Repeatable.
  -output         <path> Output directory.
  -mapper         <cmd> Command to be run as mapper.
  -combiner       <cmd> Optional. Command to be run as combiner.
  -reducer        <cmd> Optional. Command to be run as reducer, aggregate, or NONE.
  -file           <file> Optional. Deprecated. Use generic option "-files" instead.
  -inputformat    <TextInputFormat> Optional.
  -outputformat   <TextOutputFormat> Optional.
  -partitioner    <HashPartitioner> Optional.
  -numReduceTasks <num> Optional. Number of reduce tasks.
  -cmdenv         <n>=<v> Optional. A variable of the commands. Repeatable.
  -io             <text> Optional. Format of input and output of the commands.
  -background     Optional. Submit the job and do not wait for it; needs a coordinator.
  -verbose        Optional.
  -info, -help    Optional. Print this.

Generic options supported are:
  -D <property=value>, -conf <file>, -fs <url>, -files <file1,...>, -archives <archive1,...>, -libjars <jar1,...>
"""

_ONE = {"-output", "-mapper", "-combiner", "-reducer", "-numReduceTasks", "-inputformat", "-outputformat"}
_ONE |= {"-partitioner", "-io", "-inputreader", "-mapdebug", "-reducedebug", "-dfs", "-jt"}
_MANY = {"-input", "-file", "-cmdenv", "-jobconf", "-cacheFile", "-cacheArchive"}
_FLAGS = {"-background", "-verbose", "-debug", "-lazyOutput", "-info", "-help"}
_NO_DEBUG = "Apollo keeps what a failed program wrote to standard error, see `apollo logs`; leave the option out"
_UNSUPPORTED = {
    "-inputreader": "record readers are Java classes, which Apollo does not run",
    "-mapdebug": _NO_DEBUG,
    "-reducedebug": _NO_DEBUG,
    "-lazyOutput": "Apollo writes every part, empty ones too; leave the option out",
}


@dataclass(slots=True)
class StreamingArguments:
    """What was given. `files` and `archives` are as written, with their `#name`; `packed` is `-file`'s."""

    inputs: list[str] = field(default_factory=list)
    output: str = ""
    mapper: str | None = None
    combiner: str | None = None
    reducer: str | None = None
    input_format: str = ""
    output_format: str = ""
    partitioner: str = ""
    files: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    packed: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    conf: JobConf = field(default_factory=JobConf)
    background: bool = False
    verbose: bool = False
    help: bool = False


def parse_streaming(arguments: Sequence[str]) -> StreamingArguments:
    """HadoopUsage or UnsupportedOption, with the option's name, for what Hadoop or Apollo does not take."""
    generic = parse_generic(arguments)
    given = _Given(generic.rest)
    for option, why in _UNSUPPORTED.items():
        if given.has(option):
            raise UnsupportedOption(option, why)
    if given.one("-io") not in ("", "text"):
        raise UnsupportedOption(f"-io {given.one('-io')}", "Apollo speaks text with the programs of such jobs")
    conf = generic.conf
    for definition in given.many("-jobconf"):
        conf.set(*_assignment("-jobconf", definition))
    if given.has("-dfs"):
        conf.set("fs.defaultFS", given.one("-dfs"))
    if given.has("-numReduceTasks"):
        conf.set("mapreduce.job.reduces", given.one("-numReduceTasks"))
    parsed = StreamingArguments(
        inputs=[path for given_path in given.many("-input") for path in split_paths(given_path)],
        output=given.one("-output"),
        mapper=given.one("-mapper") or None,
        combiner=given.one("-combiner") or None,
        reducer=given.one("-reducer") or None,
        input_format=given.one("-inputformat"),
        output_format=given.one("-outputformat"),
        partitioner=given.one("-partitioner") or conf.get(PARTITIONER_CLASS),
        files=[*generic.files, *given.many("-cacheFile")],
        archives=[*generic.archives, *given.many("-cacheArchive")],
        packed=given.many("-file"),
        environment=dict(_assignment("-cmdenv", text) for text in given.many("-cmdenv")),
        conf=conf,
        background=given.has("-background"),
        verbose=given.has("-verbose") or given.has("-debug"),
        help=given.has("-help") or given.has("-info"),
    )
    if not parsed.help:
        for option, value in (("-input <name>", parsed.inputs), ("-output <name>", parsed.output)):
            if not value:
                raise HadoopUsage(f"Required argument: {option}")
    return parsed


def split_paths(text: str) -> list[str]:
    """Paths between commas, but for those inside `{a,b}`."""
    paths, depth, begin = [], 0, 0
    for position, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth <= 0:
            paths.append(text[begin:position])
            begin = position + 1
    paths.append(text[begin:])
    return [path for path in paths if path]


class _Given:
    """Streaming's own options, in the order of the command line."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._values: dict[str, list[str]] = {}
        position = 0
        while position < len(arguments):
            option = arguments[position]
            name = f"-{option.lstrip('-')}" if option.startswith("-") else option
            if name in _FLAGS:
                self._values.setdefault(name, [])
                position += 1
                continue
            if name not in _ONE | _MANY:
                raise HadoopUsage(f"Unrecognized option: {option}")
            if position + 1 == len(arguments):
                raise HadoopUsage(f"Missing argument for option: {name[1:]}")
            self._values.setdefault(name, []).append(arguments[position + 1])
            position += 2
        for name in _ONE:
            if len(set(self._values.get(name, ()))) > 1:
                raise HadoopUsage(f"{name} is given more than once")

    def has(self, name: str) -> bool:
        return name in self._values

    def one(self, name: str) -> str:
        return self._values.get(name, [""])[0]

    def many(self, name: str) -> list[str]:
        return self._values.get(name, [])


def _assignment(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise HadoopUsage(f"{option} {text}: write {option} NAME=VALUE")
    return name, value
