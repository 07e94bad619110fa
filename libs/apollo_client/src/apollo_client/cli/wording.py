"""What a coordinator says, in the words of the command line: its fields by the options that stand for them.

A coordinator knows a job's fields only. Those with a capital inside are found wherever they stand; the others are also
words of the language and count only where one is told to use or leave them, or to set one that is a switch.
"""

import re

from apollo_client.cli.joboptions import FLAG_OF, flag_of
from apollo_client.errors import FieldError

# A program's name, its last words, why it gave up (as a worker quotes them), names in quotes and what is inside a path
# or a URL are the user's own.
_USERS = re.compile(
    r"((?:its standard error ends with|the program gave up): "
    r".*?(?= \(it runs in a sandbox: |\. Memory had run out: |$)"
    r"|`[^`]*`"
    r"|(?<!\w)'[^'\n]*'(?!\w))",
    re.DOTALL,
)
_BEFORE, _AFTER = r"(?<![\w./:-])", r"(?![\w/-]|\.\w)"
_SEE_DOCS = "Change it to what /docs describes."  # a page of the coordinator's
_ANY = "|".join(FLAG_OF)
_CAMEL_CASE = "|".join(field for field in FLAG_OF if not field.islower())

_SWITCH = "overwrite|network|speculation"

_SET = re.compile(rf"{_BEFORE}set ({_CAMEL_CASE}|{_SWITCH})(?: to (\w+))?{_AFTER}")
_USE = re.compile(rf"{_BEFORE}((?:[Uu]se|[Ll]eave) )({_ANY}){_AFTER}")
_NAMED = re.compile(rf"{_BEFORE}({_CAMEL_CASE}){_AFTER}")
_QUOTED = re.compile(rf"\A`({_ANY}): (\w+)`\Z")  # as in a job's body
# The command sends no keys in a job. Whoever advises to do that also says what else may be done.
_KEYS_IN_THE_JOB = re.compile(
    "give them in the job, or "
    "|, or use inputStorageCredentials and outputStorageCredentials"
    "|(?:give |)(?:input|output)StorageCredentials, (?:or into |)"
)


def in_command_words(text: str) -> str:
    """A sentence of the coordinator's, for who reads it at the command line."""
    parts = _USERS.split(text)
    parts[::2] = [_translated(part) for part in parts[::2]]
    parts[1::2] = [_QUOTED.sub(lambda found: f"`{_option(found[1], found[2])}`", part) for part in parts[1::2]]
    return "".join(parts)


def field_in_command_words(error: FieldError) -> str:
    """What is wrong with a field of the body, and what to do about it."""
    return in_command_words(error.sentences(flag_of(error.field) or error.field))


def _translated(text: str) -> str:
    text = _KEYS_IN_THE_JOB.sub("", text).replace(_SEE_DOCS, "Change it to what --help describes.")
    text = _SET.sub(lambda found: f"give {_option(found[1], found[2])}", text)
    text = _USE.sub(lambda found: f"{found[1]}{FLAG_OF[found[2]]}", text)
    return _NAMED.sub(lambda found: FLAG_OF[found[1]], text)


def _option(field: str, value: str | None) -> str:
    """`true` is said by the option alone."""
    return FLAG_OF[field] if value in (None, "true") else f"{FLAG_OF[field]} {value}"
