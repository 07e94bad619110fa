"""The properties of a job: `-D` and `-conf`, under their new names."""

import getpass
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from apollo_client.hadoop import names
from apollo_client.hadoop.errors import HadoopUsage, UnsupportedOption

MAX_CONF_FILE_BYTES = 4 << 20

_TRUE, _FALSE = "true", "false"
_MAX_SUBSTITUTIONS = 20
_VARIABLE = re.compile(r"\$\{([^}$ ]+)\}")
_SIZE = re.compile(r"(\d{1,18})([kmgt]?)", re.IGNORECASE)


class JobConf:
    """Property -> value. Names are the new ones; a later value replaces an earlier one.

    An empty value is none: Hadoop's tasks read their properties from a file that leaves it out.
    """

    def __init__(self, values: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in values:
            self.set(name, value)

    def set(self, name: str, value: str) -> None:
        self._values.pop(names.current_name(name), None)
        if value:
            self._values[names.current_name(name)] = value

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def items(self) -> Iterator[tuple[str, str]]:
        return ((name, self._expanded(value)) for name, value in self._values.items())

    def get(self, name: str, default: str = "") -> str:
        return self._expanded(self._values[name]) if name in self._values else default

    def _expanded(self, text: str) -> str:
        """With `${name}` of other properties and `${env.NAME}` put in, up to the first one that there is not.

        Source: Configuration.substituteVars of Hadoop 3.4.2.
        """
        for _ in range(_MAX_SUBSTITUTIONS):
            match = _VARIABLE.search(text)
            value = self._variable(match[1]) if match else None
            if match is None or value is None:
                break
            text = text[: match.start()] + value + text[match.end() :]
        return text

    def _variable(self, name: str) -> str | None:
        if name.startswith("env."):
            variable, has_default, default = name.removeprefix("env.").partition(":-")
            return os.environ.get(variable) or (default if has_default else None)
        if name == "user.name":
            return getpass.getuser()
        return self._values.get(names.current_name(name))

    def flag(self, name: str, *, default: bool) -> bool:
        """As Hadoop reads it: anything else than true and false is the default."""
        return {_TRUE: True, _FALSE: False}.get(self.get(name).strip().lower(), default)

    def number(self, name: str, default: int) -> int:
        """A number, or a size with a binary unit (`128m`). HadoopUsage."""
        text = self.get(name).strip()
        if not text:
            return default
        match = _SIZE.fullmatch(text)
        if match is None:
            raise HadoopUsage(f"{name}: {text!r} is no number that it can have")
        return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[match[2].lower()]

    def check(self) -> None:
        """UnsupportedOption for the first property that would change the result in a way that Apollo cannot."""
        for name, value in self.items():
            if not names.is_known(name):
                raise UnsupportedOption(f"-D {name}={value}", "Apollo does not know this property of Hadoop's")
            allowed = names.ONLY_AS.get(name)
            if allowed is not None and value not in allowed:
                known = " or ".join(map(repr, sorted(allowed)))
                raise UnsupportedOption(f"-D {name}={value}", f"Apollo only does what {known} means here")


def read_conf_file(path: Path) -> list[tuple[str, str]]:
    """The properties of a `-conf` file, in order. HadoopUsage."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONF_FILE_BYTES + 1)
    except OSError as error:
        raise HadoopUsage(f"-conf {path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_CONF_FILE_BYTES:
        raise HadoopUsage(f"-conf {path}: is larger than {MAX_CONF_FILE_BYTES >> 20} MiB")
    if b"<!ENTITY" in content:
        raise HadoopUsage(f"-conf {path}: declares entities; write values out")
    try:
        root = ET.fromstring(content)  # noqa: S314  # the user's own file, bounded, without entities
    except ET.ParseError as error:
        raise HadoopUsage(f"-conf {path}: is no XML: {error}") from error
    found = ((entry.findtext("name", "").strip(), entry.findtext("value", "")) for entry in root.iter("property"))
    return [(name, value) for name, value in found if name]
