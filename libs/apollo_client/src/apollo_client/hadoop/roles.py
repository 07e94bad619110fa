"""What runs in each role of a job: a command, a built-in of Apollo's, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from apollo_client.hadoop.arguments import StreamingArguments
from apollo_client.hadoop.commandline import split_command
from apollo_client.hadoop.errors import HadoopUsage, UnsupportedOption
from apollo_client.hadoop.keys import keeps_lines, keeps_pairs
from apollo_client.hadoop.programs.hadoop_task import INTERPRETER

IDENTITY = "builtin:identity"
_NO_REDUCER = "NONE"
_AGGREGATE = "aggregate"
_JAVA_IDENTITY = "org.apache.hadoop.mapred.lib.IdentityReducer"
_JAVA_IDENTITY_MAPPER = "org.apache.hadoop.mapred.lib.IdentityMapper"
_COPY = "/bin/cat"
_CAT = (["cat"], ["/bin/cat"], ["/usr/bin/cat"])
_JAVA_PACKAGES = ("org.", "com.", "java.", "net.", "io.")


@dataclass(frozen=True, slots=True)
class Roles:
    """`commands`: role (map, combine, reduce) -> words; `builtins`: role -> built-in. `reducers`: 0 for map-only.

    `copies_pairs`: the mapper is Hadoop's identity; the pairs that it is given are its output, cut at a tab.
    """

    commands: Mapping[str, list[str]]
    builtins: Mapping[str, str]
    reducers: int
    copies_pairs: bool = False

    @property
    def aggregates(self) -> bool:
        """Whether our own aggregator runs."""
        return any(words[0] == INTERPRETER for words in self.commands.values())

    def described(self, role: str) -> str:
        """What runs there, for people."""
        words = self.commands[role]
        return _AGGREGATE if words[0] == INTERPRETER else " ".join(words)


def roles_of(
    given: StreamingArguments, *, aggregator: str, hides_cat: bool, maps_lines: bool = True, maps_pairs: bool = False
) -> Roles:
    """`aggregator`: the name of its file in a task's directory. HadoopUsage, UnsupportedOption.

    `hides_cat`: the job brings a file `cat`, which is then what `cat` means. `maps_lines`: the mapper's records are
    lines as they lie in the input. `maps_pairs`: they are keys and values of text.
    """
    copies = {"map": maps_lines, "reduce": keeps_lines(given.conf), "combine": keeps_pairs(given.conf)}
    mapper = given.mapper or _JAVA_IDENTITY_MAPPER
    copies_pairs = mapper == _JAVA_IDENTITY_MAPPER
    if copies_pairs and not maps_pairs:
        why = "Hadoop's own identity mapper emits byte offsets; name a command, such as cat"
        raise UnsupportedOption(f"-mapper {mapper}" if given.mapper else "-mapper is missing", why)
    reducer = given.reducer or _JAVA_IDENTITY
    reducers = 0 if reducer == _NO_REDUCER else given.conf.number("mapreduce.job.reduces", 1)
    texts = {"map": _COPY if copies_pairs else mapper}
    if reducers:
        texts["reduce"] = reducer
        combiner = given.combiner or (_AGGREGATE if reducer == _AGGREGATE else _NO_REDUCER)
        if combiner != _NO_REDUCER:
            texts["combine"] = combiner
    commands, builtins = dict[str, list[str]](), dict[str, str]()
    for role, text in texts.items():
        words = split_command(text)
        if text == _AGGREGATE and role != "map":
            commands[role] = [INTERPRETER, aggregator]
        elif (words in _CAT and not hides_cat and copies[role]) or (role == "reduce" and text == _JAVA_IDENTITY):
            builtins[role] = IDENTITY
        else:
            commands[role] = _command(role, words)
    return Roles(commands, builtins, reducers, copies_pairs)


def _command(role: str, words: list[str]) -> list[str]:
    if not words:
        raise HadoopUsage(f"the command of the {role} program is empty")
    first = words[0]
    if first.startswith(_JAVA_PACKAGES) and "/" not in first and first.rpartition(".")[2][:1].isupper():
        raise UnsupportedOption(first, "Apollo runs programs, no Java classes; name a command")
    return words
