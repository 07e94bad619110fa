"""The generic options, which stand before a command's own: `-D`, `-conf`, `-fs`, `-files`, `-archives`, `-libjars`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from apollo_client.hadoop.errors import HadoopUsage
from apollo_client.hadoop.jobconf import JobConf, read_conf_file

_WITH_VALUE = ("-D", "-conf", "-fs", "-jt", "-files", "-archives", "-libjars")


@dataclass(frozen=True, slots=True)
class GenericOptions:
    """What was given, and the arguments that follow. Files and archives are as written, with their `#name`."""

    rest: tuple[str, ...]
    conf: JobConf = field(default_factory=JobConf)
    files: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    libjars: tuple[str, ...] = ()


def parse_generic(arguments: Sequence[str]) -> GenericOptions:
    """Reads options up to the first argument that is none of these. HadoopUsage names what is wrong."""
    conf = JobConf()
    lists: dict[str, list[str]] = {"-files": [], "-archives": [], "-libjars": []}
    position = 0
    while position < len(arguments):
        option = arguments[position].replace("--", "-", 1)
        if option.startswith("-D") and len(option) > 2:
            _define(conf, option[2:])
            position += 1
            continue
        if option not in _WITH_VALUE:
            break
        if position + 1 == len(arguments):
            raise HadoopUsage(f"Missing argument for option: {option[1:]}")
        value = arguments[position + 1]
        position += 2
        match option:
            case "-D":
                _define(conf, value)
            case "-conf":
                for name, content in read_conf_file(Path(value)):
                    conf.set(name, content)
            case "-fs":
                conf.set("fs.defaultFS", value)
            case "-jt":
                conf.set("yarn.resourcemanager.address", value)
            case _:
                lists[option] += [entry for entry in value.split(",") if entry]
    return GenericOptions(
        tuple(arguments[position:]),
        conf,
        files=tuple(lists["-files"]),
        archives=tuple(lists["-archives"]),
        libjars=tuple(lists["-libjars"]),
    )


def _define(conf: JobConf, text: str) -> None:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise HadoopUsage(f"-D {text}: write -D NAME=VALUE")
    conf.set(name.strip(), value)
