"""Keeps a picture of a collection up to date: list once, then watch, and list again when the server says so or
watches do not work.

The protocol is that of https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes:
a watch starts at the resource version of the list or of the last event or bookmark; 410 means that it is too old. A
watch that breaks goes on from there; where the next one brings nothing either, only a list tells what is there.
"""

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from apollo_common.backoff import Backoff
from apollo_common.errors import ApolloError
from apollo_common.logging import get_logger
from apollo_coordinator.pools.kubernetes.api import Collection, KubernetesApi, Object, Watch, status_error
from apollo_coordinator.pools.kubernetes.errors import KubernetesUnavailable, VersionExpired

PAGE_ITEMS: Final = 500
_WATCH_SECONDS: Final = (60, 120)  # a random length between, so that watches of many clients do not end together
_SHORT_WATCH_SECONDS: Final = 1.0  # one that ends sooner, without an event, counts as a failure

_log = get_logger(__name__)

T = TypeVar("T", bound="Named")


class Named(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(slots=True)
class ReflectorMetrics:
    """What a reflector has asked of the API server."""

    lists: int = 0
    watches: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class ReflectorSettings:
    backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=200, limit_ms=30_000))
    watch_seconds: tuple[int, int] = _WATCH_SECONDS


class Reflector(Generic[T]):
    """`parse` turns an object into what is kept of it; `changed` hears of each change: (before, after), None: absent.

    Objects that vanished while nobody watched are told like all others. `changed` does not block. A defect in it ends
    `run`, and the next list tells that change again: once, for one that stays must not hide all that follows.
    """

    def __init__(
        self,
        api: KubernetesApi,
        collection: Collection,
        selector: str,
        parse: Callable[[Object], T],
        changed: Callable[[T | None, T | None], None],
        *,
        settings: ReflectorSettings | None = None,
        troubled: Callable[[str], None] = lambda _message: None,
    ) -> None:
        self._api = api
        self._collection = collection
        self._selector = selector
        self._parse = parse
        self._changed = changed
        self._troubled = troubled
        self._settings = settings or ReflectorSettings()
        self._version = ""
        self._half_heard: dict[str, T | None] = {}  # what `changed` broke off at, as it was before that change
        self.items: dict[str, T] = {}
        self.listed_at = -math.inf
        """When the last list began, on the event loop's clock: what was there before is in the picture."""
        self.metrics = ReflectorMetrics()

    @property
    def stale(self) -> bool:
        """Whether changes may have been missed that no list has made up for yet."""
        return not self._version

    async def list(self) -> None:
        """Make the picture anew. Errors of the API."""
        self.metrics.lists += 1
        began = asyncio.get_running_loop().time()
        fresh: dict[str, T] = {}
        query = {"labelSelector": self._selector, "limit": str(PAGE_ITEMS)}
        while True:
            page = await self._api.list(self._collection, **query)
            for item in page.get("items") or ():
                parsed = self._parse(item)
                fresh[parsed.name] = parsed
            version = page["metadata"]["resourceVersion"]
            if not page["metadata"].get("continue"):
                break
            query["continue"] = page["metadata"]["continue"]
        for name in [name for name in (*self.items, *self._half_heard) if name not in fresh]:
            self._put(name, None)
        for name, item in fresh.items():
            self._put(name, item)
        self._version, self.listed_at = version, began

    async def run(self) -> None:
        """Follow the changes for ever, from the last `list`. An error other than the API's ends it: run it again."""
        try:
            await self._keep_following()
        except Exception:
            self._version = ""  # the next run lists again
            raise

    async def _keep_following(self) -> None:
        failures = 0
        clock = asyncio.get_running_loop().time
        while True:
            events, listed = self.metrics.events, False
            try:
                if self.stale or failures > 1:
                    await self.list()
                    listed = True
                began = clock()  # after the list: a slow one is no long watch
                await self._watch()
                idle = self.metrics.events == events and clock() - began < _SHORT_WATCH_SECONDS
                failures = failures + 1 if idle else 0
            except VersionExpired:
                self._version = ""
                failures += 1
            except ApolloError as error:
                failures = failures + 1 if self.metrics.events == events else 1
                _log.warning("watch broke", collection=self._collection.name, failures=failures, error=str(error))
                if failures > 1 and not listed:  # a list tells enough until the next one is due
                    self._version = ""
                if not isinstance(error, KubernetesUnavailable) or failures > 1:
                    self._troubled(str(error))
            if failures:
                await asyncio.sleep(self._settings.backoff.pause_ms(failures) / 1000)

    async def _watch(self) -> None:
        self.metrics.watches += 1
        seconds = random.randint(*self._settings.watch_seconds)  # noqa: S311 - spreads load, guards nothing
        query = {"labelSelector": self._selector, "resourceVersion": self._version}
        async with self._api.watch(self._collection, timeout_seconds=seconds, **query) as watch:
            await self._follow(watch)

    async def _follow(self, watch: Watch) -> None:
        async for event in watch:
            kind, item = event.get("type"), event["object"]
            if kind == "ERROR":
                raise status_error(item)
            self.metrics.events += 1
            if kind in ("ADDED", "MODIFIED"):
                parsed = self._parse(item)
                self._put(parsed.name, parsed)
            elif kind == "DELETED":
                self._put(item["metadata"]["name"], None)
            self._version = item["metadata"]["resourceVersion"]  # bookmarks carry nothing else

    def _put(self, name: str, item: T | None) -> None:
        last: Any = self.items.pop(name, None)
        if item is not None:
            self.items[name] = item
        if name in self._half_heard:
            before = self._half_heard.pop(name)
            self._changed(before if item is not None else last or before, item)
        elif last != item:
            try:
                self._changed(last, item)
            except Exception:
                self._half_heard[name] = last
                raise
