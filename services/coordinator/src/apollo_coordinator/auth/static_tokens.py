"""Tokens that the operator has named: one in a setting, or a file of them, read again when it changes.

A file has a line for each token: a name, a role, and the token's SHA-256 in hex, so that the file gives no token away.
A name may stand there twice, while an old token is being replaced by a new one.

    # the nightly jobs
    nightly submitter sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

import asyncio
import hashlib
import hmac
import os
import re
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from apollo_common.errors import InvalidSetting
from apollo_common.logging import get_logger
from apollo_coordinator.callers import TOKEN, Caller, Role

MAX_FILE_BYTES: Final = 1 << 20
MAX_TOKENS: Final = 1000
LOOK_AGAIN_SECONDS: Final = 1.0
OPERATOR: Final = "operator"

_ROOT = 0
_CHANGED_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_SECRET_VOLUME = "..data"  # noqa: S105 - the link through which Kubernetes replaces all files of one at once
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")  # no colon: the cluster's accounts have one
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StaticToken:
    caller: Caller
    digest: bytes  # SHA-256 of the token


def find(tokens: Sequence[StaticToken], presented: str) -> Caller | None:
    """Whose token it is. Takes as long for a wrong token as for a right one."""
    digest = hashlib.sha256(presented.encode()).digest()
    matching = [token.caller for token in tokens if hmac.compare_digest(token.digest, digest)]
    return matching[0] if matching else None


class OperatorToken:
    """The one token of APOLLO_TOKEN, an admin's."""

    def __init__(self, token: str) -> None:
        """InvalidSetting for what no Authorization header can carry."""
        if not TOKEN.fullmatch(token):
            raise InvalidSetting("APOLLO_TOKEN holds what no token has: blanks, line breaks, or letters beyond ASCII")
        self._tokens = (StaticToken(Caller(OPERATOR, Role.ADMIN), hashlib.sha256(token.encode()).digest()),)

    async def authenticate(self, token: str, remote: str = "") -> Caller | None:  # noqa: ARG002 - the port's signature
        return find(self._tokens, token)

    async def close(self) -> None:
        """Nothing is open."""


class TokensFile:
    """The tokens of a file, as it is now: looked at again at most once in LOOK_AGAIN_SECONDS. Made by `open`.

    A change that cannot be read is logged, and the tokens from before it stay. A file that has become empty holds no
    token: nobody is let in.
    """

    def __init__(self, path: Path, tokens: Sequence[StaticToken], version: object) -> None:
        self._path = path
        self._tokens = tokens
        self._version = version
        self._looked = time.monotonic()
        self._looking = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """InvalidSetting names the line that is wrong and what to do."""
        version, tokens = await asyncio.to_thread(_read, path)
        if not tokens:
            raise InvalidSetting(f"APOLLO_TOKENS_FILE: {path} holds no token: add a line NAME ROLE sha256:DIGEST")
        return cls(path, tokens, version)

    async def authenticate(self, token: str, remote: str = "") -> Caller | None:  # noqa: ARG002 - the port's signature
        async with self._looking:
            if time.monotonic() >= self._looked + LOOK_AGAIN_SECONDS:
                await self._look()
        return find(self._tokens, token)

    async def close(self) -> None:
        """Nothing is open."""

    async def _look(self) -> None:
        version = await asyncio.to_thread(_version, self._path)
        if version != self._version:
            try:
                self._version, self._tokens = await asyncio.to_thread(_read, self._path)
            except InvalidSetting as error:
                self._version = version
                _log.error("the tokens from before stay: the file cannot be used", error=str(error))
            else:
                _log.info("the tokens were read again", path=str(self._path), count=len(self._tokens))
        self._looked = time.monotonic()


def parse(text: str, source: str) -> tuple[StaticToken, ...]:
    """InvalidSetting names the line and the fix, and repeats nothing of the line: it may be a token by mistake."""
    tokens: dict[bytes, StaticToken] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"{source}, line {number}"
        if len(words) != 3:
            raise InvalidSetting(f"{where}: write NAME ROLE sha256:DIGEST, with blanks between")
        name, role, digest = words
        if not _NAME.fullmatch(name):
            raise InvalidSetting(f"{where}: a name has up to 128 letters, digits, dots, dashes, underscores or @")
        if name == OPERATOR:
            raise InvalidSetting(f"{where}: {OPERATOR} is whoever shows APOLLO_TOKEN; use another name")
        if role not in list(Role):
            raise InvalidSetting(f"{where}: the role is one of {', '.join(Role)}")
        found = _DIGEST.fullmatch(digest)
        if found is None:
            raise InvalidSetting(f"{where}: write the token's SHA-256, as `printf %s TOKEN | sha256sum` prints it")
        token = StaticToken(Caller(name, Role(role)), bytes.fromhex(found[1]))
        if token.digest in tokens:
            raise InvalidSetting(f"{where}: this token stands there twice; every name needs a token of its own")
        tokens[token.digest] = token
    if len(tokens) > MAX_TOKENS:
        raise InvalidSetting(f"{source} holds {len(tokens)} tokens; {MAX_TOKENS} are allowed")
    return tuple(tokens.values())


def exposure(file: os.stat_result, user: int, *, in_secret_volume: bool) -> str:
    """Who else may read or change a tokens file, and the fix; empty: nobody but the file's group, which may read it.

    A Secret volume is read-only, root's, and of one pod: that all of the pod may read a file there is nothing.
    """
    mode = stat.S_IMODE(file.st_mode)
    if file.st_uid not in (user, _ROOT):
        return f"belongs to user {file.st_uid}, who may change it. Run chown {user} on it"
    if mode & _CHANGED_BY_OTHERS or (mode & stat.S_IROTH and not (in_secret_volume and file.st_uid == _ROOT)):
        return (
            f"has mode {mode:04o}: others may read it, or change it. Run chmod 600 on it "
            "(for a Secret that is mounted with subPath: defaultMode 0440)"
        )
    return ""


def _version(path: Path) -> object:
    """Differs when the file does. None: there is none."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _identity(found: os.stat_result) -> object:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode, found.st_uid


def _read(path: Path) -> tuple[object, tuple[StaticToken, ...]]:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidSetting(f"APOLLO_TOKENS_FILE: {path} cannot be read: {error.strerror}") from None
    if wrong := exposure(found, os.geteuid(), in_secret_volume=(path.parent / _SECRET_VOLUME).is_symlink()):
        raise InvalidSetting(f"APOLLO_TOKENS_FILE: {path} {wrong}")
    if len(content) > MAX_FILE_BYTES:
        raise InvalidSetting(f"APOLLO_TOKENS_FILE: {path} is larger than {MAX_FILE_BYTES} bytes")
    try:
        return _identity(found), parse(content.decode(), f"APOLLO_TOKENS_FILE: {path}")
    except UnicodeDecodeError:
        raise InvalidSetting(f"APOLLO_TOKENS_FILE: {path} is no text in UTF-8") from None
