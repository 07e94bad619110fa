"""The bearer token that a command shows: from APOLLO_TOKEN, or from the `.env` that docker compose reads here, too.

Never from an option: a command line is for everybody on the machine to see.
"""

import os
import re
import stat
from pathlib import Path

import click

VARIABLE = "APOLLO_TOKEN"
FILE = Path(".env")  # of the directory where the command runs
MAX_FILE_BYTES = 64 << 10

_PRINTABLE = re.compile(r"[!-~]+")
_LINE = re.compile(rf"\s*(?:export\s+)?{VARIABLE}\s*=(?P<value>.*)")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def token_for(*, this_machine: bool) -> str | None:
    """The token for a coordinator; the file's is for one on `this_machine` only: it is that of docker-compose.yml.

    UsageError for what cannot be a token, and for a file of this user that others could have read or written.
    """
    token, source = os.environ.get(VARIABLE, "").strip(), VARIABLE
    if not token and this_machine:
        token, source = _of_file(), f"{VARIABLE} in {FILE}"
    if token and not _PRINTABLE.fullmatch(token):
        raise click.UsageError(f"{source} holds what no token has: blanks, line breaks, or letters beyond ASCII.")
    return token or None


def _of_file() -> str:
    """Empty where there is no such file, or it does not speak of a token: many a program has an `.env`.

    Another user's is as none: the directory may be one for everybody. So is a directory of that name, and a pipe,
    which is not waited for.
    """
    try:
        descriptor = os.open(FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(descriptor)
        return ""
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_FILE_BYTES).decode(errors="replace")
    found = [match["value"] for line in content.splitlines() if (match := _LINE.fullmatch(line))]
    token = _unquoted(found[-1]) if found else ""
    if token and status.st_mode & _OTHERS:
        raise click.UsageError(
            f"{FILE.absolute()} holds {VARIABLE}, and others may read or change it: make it yours alone (chmod 600), "
            f"or set {VARIABLE} in the environment."
        )
    return token


def _unquoted(value: str) -> str:
    """Of a plain `NAME=VALUE` line, with a comment behind it or quotes around it; nothing in it is expanded."""
    value = value.strip()
    if value[:1] in ("'", '"'):
        return value[1:].partition(value[0])[0]
    return re.split(r"\s#", value, maxsplit=1)[0].strip()
