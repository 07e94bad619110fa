"""A coordinator that dies at every position of a job's journal, one after the other, on virtual time."""

import asyncio
from contextlib import suppress

import pytest

from apollo_coordinator.core import facts
from apollo_coordinator.core.codec import decode
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.engine import EngineSettings
from apollo_coordinator.order import AttemptOrder
from apollo_coordinator.store.memory import MemoryJournal
from support.engine import Site, ended, submit, succeed, until
from support.quiet import quiet_logs
from support.virtual_time import run_virtually

SETTINGS = EngineSettings(limits=Limits(reattach_grace_ms=1_000))
EXPECTED_PARTS = ["file:///out/part-r-00000", "file:///out/part-r-00001"]


@pytest.fixture(autouse=True)
def quiet():
    with quiet_logs():
        yield


class Crash(Exception):
    pass


class CrashingJournal(MemoryJournal):
    """Takes `room` facts, then the process dies, in the middle of an append if it comes so."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    async def append(self, new) -> None:
        await asyncio.sleep(0.001)
        kept = new[: max(0, self.room - len(self.facts))]
        await super().append(kept)
        if len(kept) < len(new):
            raise Crash


async def slow(order: AttemptOrder):
    await asyncio.sleep(0.05 + 0.01 * order.task.index)
    async for report in succeed(order):
        yield report


def a_site(room: int, *, program=slow) -> Site:
    site = Site(journal=CrashingJournal(room))
    site.add_workers(2, program)
    return site


async def live_until_crash(site: Site) -> None:
    async with site.coordinator(SETTINGS) as engine:
        with suppress(Crash):
            await submit(engine, n_reducers=2)
            await engine.wait_broken()


async def recover(room: int, *, kill_workers: bool) -> None:
    site = a_site(room)
    await live_until_crash(site)
    before = [decode(f.kind, f.body, job=f.job, at_ms=f.at_ms) for f in site.journal.facts]
    accepted = [fact.attempt for fact in before if isinstance(fact, facts.AttemptAccepted)]
    if kill_workers:
        for worker in site.workers:
            await worker.kill()
        site.add_workers(2, slow)
    site.journal.room = 10_000
    async with site.coordinator(SETTINGS) as engine:
        job = engine.jobs()[0].id if engine.jobs() else await submit(engine, n_reducers=2)
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        await until(lambda: not engine.state.queues)
        assert [task.accepted for task in await engine.tasks(job) if task.accepted in accepted] == sorted(accepted)
        if not kill_workers and before:
            assert all(len(task.attempts) <= 2 for task in await engine.tasks(job))
        assert sorted(site.output.published) == EXPECTED_PARTS
        assert site.output.uploads == {}
        numbers = [event.id async for event in engine.events(job) if event.id]
        assert numbers == list(range(1, len(numbers) + 1))
    await site.close()


async def facts_of_an_undisturbed_job() -> int:
    site = a_site(10_000)
    async with site.coordinator(SETTINGS) as engine:
        await ended(engine, await submit(engine, n_reducers=2))
        await until(lambda: not engine.state.queues)
    await site.close()
    return len(site.journal.facts)


def test_a_crash_at_every_position_of_the_journal_loses_nothing():
    for room in range(run_virtually(facts_of_an_undisturbed_job())):
        run_virtually(recover(room, kill_workers=False))


def test_a_crash_that_takes_the_workers_along_loses_nothing_either():
    for room in range(run_virtually(facts_of_an_undisturbed_job())):
        run_virtually(recover(room, kill_workers=True))
