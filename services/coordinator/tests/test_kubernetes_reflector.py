"""The reflector against a server that does what servers do: ends watches, breaks them, forgets versions."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from apollo_common.backoff import Backoff
from apollo_common.lifecycle import cancel_and_wait
from apollo_coordinator.pools.kubernetes import reflector as module
from apollo_coordinator.pools.kubernetes.api import PODS, KubernetesApi
from apollo_coordinator.pools.kubernetes.names import JOB_LABEL, Names
from apollo_coordinator.pools.kubernetes.pods import Pod, parse_pod
from apollo_coordinator.pools.kubernetes.reflector import Reflector
from support.fake_kubernetes import FakeKubernetes
from support.kubernetes_pools import QUICK_REFLECTOR, reach

SELECTOR = Names().selector("worker")


def pod(name: str, job: str = "a") -> dict:
    return {"metadata": {"name": name, "labels": Names().labels("worker", job)}, "spec": {}, "status": {}}


@dataclass
class Case:
    fake: FakeKubernetes
    reflector: Reflector[Pod]
    changes: list[tuple[str, str]]  # what happened, to which pod

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    async def follows(self) -> None:
        """The reflector sees a new pod: it is alive and up to date."""
        name = f"pod-{self.fake._version}"
        self.fake.put("pods", pod(name))
        await self.until(lambda: name in self.reflector.items)


@dataclass(frozen=True)
class NotedBackoff(Backoff):
    """Notes after how many failures in a row it was asked for a pause."""

    asked: list[int] = field(default_factory=list)

    def pause_ms(self, failures: int, _jitter: object = None) -> float:
        self.asked.append(failures)
        return super().pause_ms(failures)


def noted_backoff() -> NotedBackoff:
    return NotedBackoff(QUICK_REFLECTOR.backoff.first_ms, QUICK_REFLECTOR.backoff.limit_ms)


@asynccontextmanager
async def reflecting(*pods: dict, backoff: Backoff = QUICK_REFLECTOR.backoff):
    async with FakeKubernetes().serving() as fake:
        for item in pods:
            fake.put("pods", item)
        api, changes = reach(fake), []

        def changed(before: Pod | None, after: Pod | None) -> None:
            kind = "gone" if after is None else "new" if before is None else "changed"
            changes.append((kind, (after or before).name))

        settings = replace(QUICK_REFLECTOR, backoff=backoff)
        reflector = Reflector(api, PODS, SELECTOR, parse_pod, changed, settings=settings)
        await reflector.list()
        running = asyncio.create_task(reflector.run())
        try:
            yield Case(fake, reflector, changes)
        finally:
            await cancel_and_wait(running)
            await api.close()


async def test_what_is_there_and_what_comes_changes_and_goes_is_told_once():
    async with reflecting(pod("first")) as case:
        await case.follows()
        case.fake.set_status("first", phase="Running", podIP="10.0.0.1")
        await case.until(lambda: case.reflector.items["first"].ip == "10.0.0.1")
        case.fake.remove("pods", "first")
        await case.until(lambda: "first" not in case.reflector.items)
        told = [kind for kind, name in case.changes if name == "first"]
        assert told == ["new", "changed", "gone"]


async def test_objects_of_others_are_not_seen():
    stranger = {"metadata": {"name": "stranger", "labels": {JOB_LABEL: "a"}}, "spec": {}}
    async with reflecting(stranger, pod("ours")) as case:
        case.fake.put("pods", stranger | {"status": {}})
        await case.follows()
        assert "stranger" not in case.reflector.items


async def test_a_list_of_many_pages_is_read_whole(monkeypatch):
    monkeypatch.setattr(module, "PAGE_ITEMS", 2)
    async with reflecting(*(pod(f"p{number}") for number in range(5))) as case:
        assert sorted(case.reflector.items) == ["p0", "p1", "p2", "p3", "p4"]
        assert case.fake.count("GET", "pods") == 3


async def test_a_broken_watch_goes_on_where_it_was_without_a_list():
    async with reflecting(pod("first")) as case:
        await case.follows()
        case.fake.cut_watches()
        await case.follows()
        assert case.reflector.metrics.lists == 1
        assert case.reflector.metrics.watches > 1


async def test_a_version_that_expired_makes_it_list_again_and_tell_what_it_missed():
    async with reflecting(pod("goes"), pod("stays")) as case:
        await case.follows()
        case.fake.cut_watches()
        case.fake.remove("pods", "goes")
        case.fake.compact()
        await case.until(lambda: "goes" not in case.reflector.items)
        await case.follows()
        assert case.reflector.metrics.lists == 2
        assert ("gone", "goes") in case.changes


async def test_watches_that_end_at_once_are_asked_for_with_growing_pauses(monkeypatch):
    monkeypatch.setattr(module, "_SHORT_WATCH_SECONDS", 3600.0)  # however slow the machine
    backoff = noted_backoff()
    async with reflecting(backoff=backoff) as case:
        case.fake.quiet_watches = True
        case.fake.cut_watches()
        await case.until(lambda: len(backoff.asked) >= 5)
        assert backoff.asked[:5] == [1, 2, 3, 4, 5]
        assert case.reflector.metrics.watches <= len(backoff.asked) + 1
        case.fake.quiet_watches = False
        await case.follows()


async def test_slow_lists_do_not_make_watches_that_end_at_once_look_long(monkeypatch):
    monkeypatch.setattr(module, "_SHORT_WATCH_SECONDS", 0.5)
    list_now = KubernetesApi.list

    async def list_slowly(self, collection, **query):
        await asyncio.sleep(0.6)
        return await list_now(self, collection, **query)

    monkeypatch.setattr(KubernetesApi, "list", list_slowly)
    backoff = noted_backoff()
    async with reflecting(backoff=backoff) as case:
        case.fake.quiet_watches = True
        case.fake.cut_watches()
        await case.until(lambda: backoff.asked and max(backoff.asked) >= 4)


@pytest.mark.parametrize("fault", ["broken", "quiet"])
async def test_where_watches_do_not_work_lists_tell_what_is_there(fault, monkeypatch):
    monkeypatch.setattr(module, "_SHORT_WATCH_SECONDS", 3600.0)
    backoff = noted_backoff()
    async with reflecting(pod("goes"), backoff=backoff) as case:
        case.fake.broken, case.fake.quiet_watches = ({"watch"}, False) if fault == "broken" else (set(), True)
        case.fake.cut_watches()
        case.fake.remove("pods", "goes")
        case.fake.put("pods", pod("comes"))
        await case.until(lambda: set(case.reflector.items) == {"comes"})
        stale = 0
        for _ in range(100):
            await asyncio.sleep(0.01)
            stale += case.reflector.stale
        assert backoff.asked == list(range(1, len(backoff.asked) + 1)), "a pause after each look, longer each time"
        assert case.reflector.metrics.lists <= len(backoff.asked) + 1
        assert stale == 0
        case.fake.broken, case.fake.quiet_watches = set(), False
        await case.follows()
        assert not case.reflector.stale


async def test_a_picture_is_stale_until_a_list_makes_up_for_watches_that_broke():
    async with reflecting() as case:
        assert not case.reflector.stale
        listed_at = case.reflector.listed_at
        case.fake.broken = {"watch", "list"}
        case.fake.cut_watches()
        await case.until(lambda: case.reflector.stale)
        assert case.reflector.listed_at == listed_at
        case.fake.broken = {"watch"}
        await case.until(lambda: not case.reflector.stale)
        assert case.reflector.listed_at > listed_at


async def test_a_change_that_was_half_heard_is_told_again_once():
    """A defect that stays must not keep the pods behind it from being told."""
    told: list[tuple[str, bool, bool]] = []

    def changed(before: Pod | None, after: Pod | None) -> None:
        name = (after or before).name
        told.append((name, before is None, after is None))
        if name == "bad":
            raise RuntimeError("a defect")

    async with FakeKubernetes().serving() as fake:
        for name in ("bad", "good"):
            fake.put("pods", pod(name))
        api = reach(fake)
        reflector = Reflector(api, PODS, SELECTOR, parse_pod, changed, settings=QUICK_REFLECTOR)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await reflector.list()
        await reflector.list()
        assert told == [("bad", True, False)] * 2 + [("good", True, False)]
        fake.remove("pods", "bad")
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await reflector.list()
        await reflector.list()
        assert told[3:] == [("bad", False, True)] * 2
        await api.close()


async def test_a_bookmark_moves_the_version_on(monkeypatch):
    monkeypatch.setattr(module.random, "randint", lambda _low, _high: 1)
    async with reflecting(pod("old")) as case:
        case.fake.put("configmaps", {"metadata": {"name": "other"}})  # a version that no pod has
        await case.until(lambda: case.reflector.metrics.watches >= 3)
        case.fake.compact()
        await case.until(lambda: case.reflector.metrics.watches >= 5)
        assert case.reflector.metrics.lists == 1


@pytest.mark.parametrize("status", [{"phase": "Running"}, {}, {"phase": "Pending", "conditions": None}])
def test_a_pod_without_the_usual_fields_is_no_error(status):
    assert parse_pod({"metadata": {"name": "p"}, "status": status}).ip == ""
