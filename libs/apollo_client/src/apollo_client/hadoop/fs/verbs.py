"""Which verbs there are, their options, and how many paths each takes."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from apollo_client.hadoop.errors import HadoopUsage
from apollo_client.hadoop.files.tree import Files
from apollo_client.hadoop.fs import changing, content, looking
from apollo_client.hadoop.fs.call import Call
from apollo_client.hadoop.generic import parse_generic
from apollo_client.hadoop.paths import resolver
from apollo_common.errors import ApolloError

STATUS_FAILED, STATUS_USAGE = 1, 255
_UNBOUNDED = sys.maxsize


@dataclass(frozen=True, slots=True)
class _Verb:
    run: Callable[[Call], Awaitable[None]]
    options: frozenset[str]
    usage: str
    least: int = 1
    most: int = _UNBOUNDED


def _verb(
    run: Callable[[Call], Awaitable[None]], options: str, usage: str, least: int = 1, most: int = _UNBOUNDED
) -> _Verb:
    return _Verb(run, _words(options), usage, least, most)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PUT = _verb(changing.put, "f p l d", "[-f] [-p] <localsrc> ... <dst>")
_GET = _verb(changing.get, "f p ignoreCrc crc", "[-f] [-p] [-ignoreCrc] <src> ... <localdst>")
VERBS: Mapping[str, _Verb] = {
    "cat": _verb(content.cat, "ignoreCrc", "[-ignoreCrc] <src> ..."),
    "copyFromLocal": _PUT,
    "copyToLocal": _GET,
    "count": _verb(looking.count, "h v", "[-h] [-v] <path> ..."),
    "cp": _verb(changing.cp, "f p", "[-f] [-p] <src> ... <dst>", least=2),
    "du": _verb(looking.du, "s h", "[-s] [-h] <path> ...", least=0),
    "dus": _verb(looking.du, "", "<path> ...", least=0),
    "get": _GET,
    "getmerge": _verb(changing.getmerge, "nl skip-empty-file", "[-nl] [-skip-empty-file] <src> <localdst>", least=2),
    "head": _verb(content.head, "", "<file>", most=1),
    "ls": _verb(looking.ls, "C d h R t S r", "[-C] [-d] [-h] [-R] [-t] [-S] [-r] [<path> ...]", least=0),
    "lsr": _verb(looking.ls, "d h", "[-d] [-h] [<path> ...]", least=0),
    "mkdir": _verb(changing.mkdir, "p", "[-p] <path> ..."),
    "moveFromLocal": _verb(changing.move_from_local, "f p l d", "[-f] [-p] <localsrc> ... <dst>"),
    "mv": _verb(changing.mv, "", "<src> ... <dst>", least=2),
    "put": _PUT,
    "rm": _verb(changing.rm, "f r R skipTrash safely", "[-f] [-r|-R] [-skipTrash] <src> ..."),
    "rmdir": _verb(changing.rmdir, "", "<dir> ..."),
    "rmr": _verb(changing.rm, "skipTrash", "<src> ..."),
    "stat": _verb(looking.stat, "", "[format] <path> ..."),
    "tail": _verb(content.tail, "", "<file>", most=1),
    "test": _verb(looking.test, "d e f s z r w", "-[defszrw] <path>", most=1),
    "text": _verb(content.text, "ignoreCrc", "<src> ..."),
    "touchz": _verb(changing.touchz, "", "<path> ..."),
}
_DEPRECATED = {"dus": "'du -s'", "lsr": "'ls -R'", "rmr": "'-rm -r'"}
_HELP = frozenset({"-help", "-usage"})
_HADOOPS_OTHERS = _words(
    "appendToFile checksum chgrp chmod chown concat createSnapshot deleteSnapshot df expunge find getfacl getfattr "
    "moveToLocal renameSnapshot setfacl setfattr setrep touch truncate"
)


class _WrongUsage(HadoopUsage):
    """`name`: the verb whose usage is shown, or empty for that of all."""

    def __init__(self, problem: str, name: str = "") -> None:
        super().__init__(f"-{name}: {problem}" if name else problem)
        self.name = name


async def run(arguments: Sequence[str]) -> int:
    """The exit status."""
    try:
        generic = parse_generic(arguments)
        paths = resolver(generic.conf.get("fs.defaultFS"))
        if set(generic.rest[:1]) & _HELP:
            sys.stdout.write(_usage(VERBS))
            return 0
        name, options, texts = _chosen(generic.rest)
        async with Files() as files:
            return await _perform(Call(name, options, texts, files, paths))
    except HadoopUsage as error:
        name = error.name if isinstance(error, _WrongUsage) else ""
        problem = f"{error}\n" if str(error) else ""
        sys.stderr.write(problem + _usage({name: VERBS[name]} if name else VERBS))
        return STATUS_USAGE


def _chosen(given: Sequence[str]) -> tuple[str, frozenset[str], tuple[str, ...]]:
    """Verb, options without their dashes, paths. _WrongUsage."""
    if not given:
        raise _WrongUsage("")
    name = given[0].removeprefix("-")
    if name in _HADOOPS_OTHERS:
        raise _WrongUsage(f"-{name}: Apollo does not have this command of Hadoop's")
    if name not in VERBS or not given[0].startswith("-"):
        raise _WrongUsage(f"{given[0]}: Unknown command")
    verb, count = VERBS[name], _options_end(given[1:])
    options, texts = given[1 : 1 + count], tuple(given[1 + count :])
    texts = texts[1:] if texts[:1] == ("--",) else texts
    for option in options:
        if option.removeprefix("-") not in verb.options:
            raise _WrongUsage(f"Illegal option {option}", name)
    if not verb.least <= len(texts) <= verb.most:
        few = len(texts) < verb.least
        limit = verb.least if few else verb.most
        what = f"{'Not enough' if few else 'Too many'} arguments: expected {limit} but got {len(texts)}"
        raise _WrongUsage(what, name)
    return name, frozenset(option.removeprefix("-") for option in options), texts


async def _perform(call: Call) -> int:
    if call.verb in _DEPRECATED:
        sys.stderr.write(f"{call.verb}: DEPRECATED: Please use {_DEPRECATED[call.verb]} instead.\n")
    try:
        await VERBS[call.verb].run(call)
    except HadoopUsage as error:
        raise _WrongUsage(str(error), call.verb) from error
    except ApolloError as error:
        call.failed(error)
    return call.status


def _options_end(words: Sequence[str]) -> int:
    """How many words are options; a lone dash is standard input."""
    return next((at for at, word in enumerate(words) if word in ("-", "--") or not word.startswith("-")), len(words))


def _usage(shown: Mapping[str, _Verb]) -> str:
    lines = ["Usage: hadoop fs [generic options]", *(f"\t[-{verb} {entry.usage}]" for verb, entry in shown.items())]
    return "\n".join(lines) + "\n"
