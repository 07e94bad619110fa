"""Tokens of the cluster's own accounts, by the TokenReview API of Kubernetes.

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/

A token has to be made for our audience: nobody can use one here that was made for something else, and a coordinator
that was taken over could use none of those it sees at the API server.
"""

import asyncio
import hashlib
import ipaddress
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from apollo_common.errors import ApolloError, InvalidSetting
from apollo_common.lifecycle import TaskOwner
from apollo_common.logging import get_logger
from apollo_coordinator.callers import AuthenticationUnavailable, Caller, Role
from apollo_coordinator.pools.kubernetes.api import TOKEN_REVIEWS, KubernetesApi, Object

MAX_USER: Final = 512  # characters; a service account's name has up to 340
GROUP: Final = "group:"
SYSTEM: Final = "system:"
CLUSTER: Final = "cluster:"
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    audience: str = "apollo"
    known_seconds: float = 30.0  # a token that was taken back is taken for so long at most
    unknown_seconds: float = 5.0  # a token that is wrong is asked about no more often
    max_answers: int = 1000  # kept of known tokens, and as many of unknown ones
    parallel_reviews: int = 8  # of new tokens, and as many of those that were good before
    max_waiting: int = 256  # reviews of new tokens; more are not begun
    max_waiting_of_one: int = 32  # of them for one address
    answer_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class RoleMap:
    """Which role the cluster's users and groups have; the greatest of them counts."""

    users: Mapping[str, Role]
    groups: Mapping[str, Role]

    @classmethod
    def parse(cls, entries: Sequence[str]) -> "RoleMap":
        """From `USER=ROLE` and `group:GROUP=ROLE`. InvalidSetting."""
        users: dict[str, Role] = {}
        groups: dict[str, Role] = {}
        for entry in entries:
            name, _, role = entry.rpartition("=")
            kept, name = (groups, name.removeprefix(GROUP)) if name.startswith(GROUP) else (users, name)
            if not name or role not in list(Role):
                raise InvalidSetting(
                    f"APOLLO_TOKEN_ROLES: {entry!r} is not USER=ROLE or group:GROUP=ROLE with one of {', '.join(Role)}"
                )
            kept[name] = Role(role)
        if not users and not groups:
            raise InvalidSetting(
                "APOLLO_TOKEN_REVIEW=true needs APOLLO_TOKEN_ROLES, such as "
                "system:serviceaccount:apollo:apollo-submitter=submitter: nobody would have a role"
            )
        return cls(users, groups)

    def role_of(self, user: str, groups: Sequence[str]) -> Role | None:
        found = {self.users.get(user), *map(self.groups.get, groups)}
        return next((role for role in reversed(Role) if role in found), None)


class TokenReviewer:
    """Answers are kept for a short time, under the token's SHA-256; callers who show the same token share a review.

    What the API server does not answer is not kept, and nobody is let in meanwhile. Whoever floods it with tokens keeps
    out nobody whose token was good before: those have turns of their own. New tokens of other addresses wait a little,
    unless the flood comes from so many that all places are taken.

    A user is called as in the cluster where the cluster has made the name (`system:serviceaccount:...`), and
    `cluster:NAME` else: no name in a tokens file has a colon, so that nobody there is taken for somebody here.
    """

    def __init__(self, api: KubernetesApi, roles: RoleMap, settings: ReviewSettings | None = None) -> None:
        self._api = api
        self._roles = roles
        self._settings = settings = settings or ReviewSettings()
        # Apart, so that a flood of wrong tokens drives no right one out.
        self._known = _Answers(settings.max_answers, settings.known_seconds)
        self._unknown = _Answers(settings.max_answers, settings.unknown_seconds)
        self._reviews: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._turns = asyncio.Semaphore(settings.parallel_reviews)
        self._turns_of_new = asyncio.Semaphore(settings.parallel_reviews)
        self._new = Counter[str]()  # reviews of new tokens, by the address that shows them
        self._tasks = TaskOwner(on_failure=_review_failed)

    async def authenticate(self, token: str, remote: str = "") -> Caller | None:
        digest = hashlib.sha256(token.encode()).digest()
        answer = self._known.get(digest) or self._unknown.get(digest)
        if answer is not None:
            return answer.caller
        return await asyncio.shield(self._reviews.get(digest) or self._begin(token, digest, remote))

    async def close(self) -> None:
        await self._tasks.close()
        await self._api.close()

    def _begin(self, token: str, digest: bytes, remote: str) -> asyncio.Task[Caller | None]:
        remote = _neighbourhood(remote)
        known = self._known.remembers(digest)
        if not known:
            limits = self._settings
            if self._new[remote] >= limits.max_waiting_of_one or self._new.total() >= limits.max_waiting:
                raise AuthenticationUnavailable("too many new tokens are shown at once; try again later")
            self._new[remote] += 1
        turns = self._turns if known else self._turns_of_new
        review = self._tasks.spawn(self._review(token, digest, turns), name="review a token")
        self._reviews[digest] = review

        def ended(_: object) -> None:
            del self._reviews[digest]
            if not known:
                self._new -= Counter({remote: 1})  # an address that waits for nothing is not kept

        review.add_done_callback(ended)
        return review

    async def _review(self, token: str, digest: bytes, turns: asyncio.Semaphore) -> Caller | None:
        try:
            async with asyncio.timeout(self._settings.answer_seconds), turns:
                review = await self._api.create(TOKEN_REVIEWS, _request(token, self._settings.audience))
        except (ApolloError, TimeoutError) as error:
            why = str(error) or "the Kubernetes API did not answer in time"
            _log.warning("a token cannot be reviewed", error=why)
            raise AuthenticationUnavailable(
                "the cluster cannot be asked whose token this is; try again later"
            ) from None
        user, groups = _identity(review, self._settings.audience)
        if not user:
            self._unknown.keep(digest, None)
            return None
        caller = Caller(user if user.startswith(SYSTEM) else f"{CLUSTER}{user}", self._roles.role_of(user, groups))
        self._known.keep(digest, caller)
        return caller


def _neighbourhood(address: str) -> str:
    """What one host may choose its addresses from: of IPv6 a /64 (RFC 4291, 2.5.4)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket has none
        return address
    if found.version == 4 or found.ipv4_mapped:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))


def _request(token: str, audience: str) -> Object:
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [audience]},
    }


def _identity(review: Object, audience: str) -> tuple[str, list[str]]:
    """User and groups; an empty user where the token is not good.

    An API server that says nothing of our audience knows no audiences, and the token may be meant for anything.
    """
    status = review.get("status") or {}
    user = status.get("user") or {}
    name = str(user.get("username") or "")
    good = status.get("authenticated") is True and audience in (status.get("audiences") or ())
    if not good or len(name) > MAX_USER or not name.isprintable():
        return "", []
    return name, [str(group) for group in user.get("groups") or ()]


def _review_failed(_name: str, error: BaseException) -> None:
    """Whoever waits for the review hears of what is expected; the rest is an error of ours."""
    if not isinstance(error, AuthenticationUnavailable):
        _log.error("a token's review failed", exc_info=error)


@dataclass(frozen=True, slots=True)
class _Answer:
    caller: Caller | None
    until: float


class _Answers:
    """What was answered not long ago, by the digest of the token; the oldest make room."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._kept: dict[bytes, _Answer] = {}

    def get(self, digest: bytes) -> _Answer | None:
        answer = self._kept.get(digest)
        return answer if answer is not None and time.monotonic() < answer.until else None

    def remembers(self, digest: bytes) -> bool:
        """Whether there is an answer, however old."""
        return digest in self._kept

    def keep(self, digest: bytes, caller: Caller | None) -> None:
        self._kept.pop(digest, None)  # so that the order of the dictionary is that of the answers
        while len(self._kept) >= self._limit:
            del self._kept[next(iter(self._kept))]
        self._kept[digest] = _Answer(caller, time.monotonic() + self._seconds)
