"""Which verbs there are, their options, and how many paths each takes."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from apollo_client.hadoop.errors import HadoopUsage
from apollo_client.hadoop.files.tree import Files
from apollo_client.hadoop.fs import changing, looking
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
    return _Verb(run, frozenset(options.split()), usage, least, most)


_PUT = _verb(changing.put, "f p l d", "[-f] [-p] <localsrc> ... <dst>", least=2)
_GET = _verb(changing.get, "f p ignoreCrc crc", "[-f] [-p] [-ignoreCrc] <src> ... <localdst>")
VERBS: Mapping[str, _Verb] = {
    "cat": _verb(looking.cat, "ignoreCrc", "[-ignoreCrc] <src> ..."),
    "copyFromLocal": _PUT,
    "copyToLocal": _GET,
    "count": _verb(looking.count, "", "<path> ..."),
    "cp": _verb(changing.cp, "f p", "[-f] [-p] <src> ... <dst>", least=2),
    "du": _verb(looking.du, "s h", "[-s] [-h] <path> ...", least=0),
    "get": _GET,
    "getmerge": _verb(changing.getmerge, "nl skip-empty-file", "[-nl] [-skip-empty-file] <src> <localdst>", least=2),
    "ls": _verb(looking.ls, "C d h R", "[-C] [-d] [-h] [-R] [<path> ...]", least=0),
    "lsr": _verb(looking.ls, "d h", "[-d] [-h] [<path> ...]", least=0),
    "mkdir": _verb(changing.mkdir, "p", "[-p] <path> ..."),
    "mv": _verb(changing.mv, "", "<src> ... <dst>", least=2),
    "put": _PUT,
    "rm": _verb(changing.rm, "f r R skipTrash safely", "[-f] [-r|-R] [-skipTrash] <src> ..."),
    "rmdir": _verb(changing.rmdir, "", "<dir> ..."),
    "rmr": _verb(changing.rm, "skipTrash", "<src> ..."),
    "test": _verb(looking.test, "d e f s z r w", "-[defszrw] <path>", most=1),
    "text": _verb(looking.text, "ignoreCrc", "<src> ..."),
    "touchz": _verb(changing.touchz, "", "<path> ..."),
}


async def run(arguments: Sequence[str]) -> int:
    """The exit status."""
    try:
        generic = parse_generic(arguments)
        paths = resolver(generic.conf.get("fs.defaultFS"))
    except HadoopUsage as error:
        return _usage(str(error))
    given = generic.rest
    if not given:
        return _usage("")
    name = given[0].removeprefix("-")
    verb = VERBS.get(name)
    if verb is None or not given[0].startswith("-"):
        return _usage(f"{given[0]}: Unknown command")
    count = _options_end(given[1:])
    options, texts = given[1 : 1 + count], given[1 + count :]
    texts = texts[1:] if texts[:1] == ("--",) else texts
    for option in options:
        if option.removeprefix("-") not in verb.options:
            return _usage(f"-{name}: Illegal option {option}", name)
    if not verb.least <= len(texts) <= verb.most:
        few = len(texts) < verb.least
        limit = verb.least if few else verb.most
        what = f"{'Not enough' if few else 'Too many'} arguments: expected {limit} but got {len(texts)}"
        return _usage(f"-{name}: {what}", name)
    async with Files() as files:
        call = Call(name, frozenset(option.removeprefix("-") for option in options), texts, files, paths)
        try:
            await verb.run(call)
        except ApolloError as error:
            call.failed(error)
    return call.status


def _options_end(words: Sequence[str]) -> int:
    """How many words are options; a lone dash is standard input."""
    return next((at for at, word in enumerate(words) if word in ("-", "--") or not word.startswith("-")), len(words))


def _usage(problem: str, name: str = "") -> int:
    shown = {name: VERBS[name]} if name else VERBS
    lines = [problem] if problem else []
    lines.append("Usage: hadoop fs [generic options]")
    lines += [f"\t[-{verb} {entry.usage}]" for verb, entry in shown.items()]
    sys.stderr.write("\n".join(lines) + "\n")
    return STATUS_USAGE
