"""Who calls the API and what they may do, and the port that tells it from a bearer token. No I/O."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from apollo_common.errors import PermanentError, TemporaryError

TOKEN: Final = re.compile(r"[!-~]+")
"""What a bearer token may be."""


class Role(StrEnum):
    """From the least to the most; each may do what those before it may."""

    VIEWER = "viewer"  # looks at everything
    SUBMITTER = "submitter"  # submits jobs and uploads artifacts, and ends or changes its own
    ADMIN = "admin"  # ends and changes those of others too

    def covers(self, other: "Role") -> bool:
        roles = list(Role)
        return roles.index(self) >= roles.index(other)


class NotOwner(PermanentError):
    """A job or an artifact belongs to somebody else, and the caller is no admin."""

    reason = "not_owner"


class AuthenticationUnavailable(TemporaryError):
    """What would know the caller's token does not answer."""

    reason = "authentication_unavailable"


@dataclass(frozen=True, slots=True)
class Caller:
    """`user` is empty where nobody is asked; `role` is None of one who is known and may do nothing."""

    user: str
    role: Role | None

    def may(self, role: Role) -> bool:
        return self.role is not None and self.role.covers(role)

    def check_owner(self, thing: str, owner: str) -> None:
        """NotOwner unless the caller may end or change `thing`, which `owner` made (empty: before users were asked)."""
        if self.may(Role.ADMIN) or (owner and owner == self.user):
            return
        belongs = f"belongs to {owner}" if owner else "belongs to nobody"
        raise NotOwner(f"{thing} {belongs}: only {'its owner or ' if owner else ''}an admin may do this")


ANYONE = Caller("", Role.ADMIN)
"""Whoever reaches an API that asks nobody: one on loopback, or on a Unix socket."""


class Authenticator(Protocol):
    """Tells who shows a token. It keeps no token, and no error or log line of it holds one."""

    async def authenticate(self, token: str, remote: str = "") -> Caller | None:
        """None: nobody known. `remote`: the address that shows it; empty: none. AuthenticationUnavailable."""
        ...

    async def close(self) -> None: ...
