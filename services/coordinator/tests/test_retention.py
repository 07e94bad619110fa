"""Thirty days after a job's end, on a clock that the test sets and a real disk."""

import asyncio
from pathlib import Path

from apollo_common.ids import AttemptId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.limits import DAY_MS, Limits
from apollo_coordinator.core.spec import ProgramRef, ProgramSource
from apollo_coordinator.engine import EngineSettings
from apollo_coordinator.order import AttemptLog, AttemptOrder
from apollo_coordinator.ports import JobSecrets
from apollo_coordinator.store.artifacts import ArtifactFiles
from apollo_coordinator.store.intermediate import IntermediateFiles
from apollo_coordinator.store.journal import SqliteJournal
from apollo_coordinator.store.logs import LogFiles
from apollo_coordinator.store.secrets import SecretFiles
from support.engine import Site, ended, submit, succeed, until
from support.scheduling import a_spec

QUICK = EngineSettings(limits=Limits(retry_delay_ms=1, reattach_grace_ms=100), tick_ms=5)
START_MS = 1_700_000_000_000
SECRETS = JobSecrets(StorageAccess(access_key_id="a"), StorageAccess(secret_access_key="b"))


class SetClock:
    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


async def talk(order: AttemptOrder):
    yield AttemptLog(b"hello\n", 0)
    async for report in succeed(order):
        yield report


async def a_site(data: Path) -> Site:
    site = Site(journal=await SqliteJournal.open(data))
    site.clock = SetClock()
    site.logs, site.secrets = LogFiles(data / "logs"), SecretFiles(data / "secrets")
    (data / "volume").mkdir()
    site.intermediate = IntermediateFiles(data / "volume", coordinator=site.journal.identity)
    site.add_workers(1, talk)
    return site


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("[!.]*"))


async def test_a_job_leaves_with_all_that_is_kept_of_it_but_its_output(tmp_path):
    site = await a_site(tmp_path)
    async with site.coordinator(QUICK) as engine:
        job = (await engine.submit(a_spec(keep_intermediate=True), SECRETS)).job.id
        assert names(tmp_path / "secrets") == [f"{job}.json"]
        (tmp_path / "volume" / job).mkdir()
        await ended(engine, job)
        await until(lambda: engine.job(job).totals)
        assert names(tmp_path / "secrets") == []
        site.clock.ms = START_MS + 30 * DAY_MS - 1
        await asyncio.sleep(0.1)
        assert names(tmp_path / "volume") == names(tmp_path / "logs") == [job]
        assert await site.logs.read(AttemptId(f"{job}-m-00000-0")) == b"hello\n"
        site.clock.ms = START_MS + 30 * DAY_MS + 60_000
        await until(lambda: not engine.jobs())
        await until(lambda: names(tmp_path / "logs") == [])
        while await site.journal.read_job(job) or [stored async for stored in site.journal.read_ended()]:
            await asyncio.sleep(0.01)
        assert names(tmp_path / "volume") == []
        assert site.output.successes == {"file:///out": job}
    await site.close()
    await site.journal.close()


async def test_a_job_whose_end_cannot_be_cleaned_up_holds_up_no_other(tmp_path):
    """Its attempt hangs on a worker that answers no cancel, so its clean-up never begins."""
    site = await a_site(tmp_path)

    async def hang(order: AttemptOrder):
        if order.spec.name == "stuck":
            await asyncio.Event().wait()
        async for report in succeed(order):
            yield report

    async def deaf(*_: object) -> None:
        pass

    site.workers.clear()
    site.add_workers(2, hang)
    for worker in site.workers:
        worker.cancel = deaf
    async with site.coordinator(QUICK) as engine:
        stuck = await submit(engine, output_path="file:///stuck", name="stuck", max_workers=1)
        await until(lambda: any(worker.busy_with for worker in site.workers))
        await engine.stop(stuck)
        other = await submit(engine, output_path="file:///other")
        await ended(engine, other)
        await until(lambda: other not in engine.state.queues)
        site.clock.ms += 31 * DAY_MS
        await until(lambda: other not in engine.state.jobs)
        assert stuck in engine.state.queues
    await site.close()
    await site.journal.close()


async def test_artifacts_stay_for_the_retention_after_their_last_use(tmp_path):
    clock = SetClock()
    store = await ArtifactFiles.open(tmp_path / "artifacts", machine="x86_64", now_ms=clock.now_ms)

    async def upload(name: str, content: bytes) -> str:
        async def chunks():
            yield content

        return (await store.receive(name, chunks())).digest

    async def listed() -> list[str]:
        return sorted(info.name for info in await store.all())

    site = await a_site(tmp_path)
    site.clock = clock
    async with site.coordinator(QUICK) as engine:

        async def expire() -> list[str]:
            await store.expire(clock.ms - 30 * DAY_MS, engine.artifact_needed)
            await store.collect(engine.artifact_needed)
            return await listed()

        used = await upload("used", b"#!/bin/sh\nused\n")
        unused = await upload("unused", b"#!/bin/sh\nunused\n")
        await upload("again", b"#!/bin/sh\nagain\n")
        pinned = await upload("pinned", b"#!/bin/sh\npinned\n")
        clock.ms += 5
        job = await submit(engine, mapper=ProgramRef(ProgramSource.ARTIFACT, "used", used))
        await ended(engine, job)
        clock.ms += 10 * DAY_MS
        await upload("again", b"#!/bin/sh\nagain\n")
        clock.ms = START_MS + 30 * DAY_MS + 1
        with store.pinned([pinned]):
            assert await expire() == ["again", "pinned", "used"]
            assert not store.path(unused).exists()
        clock.ms += 5
        await until(lambda: job not in engine.state.jobs)
        assert await expire() == ["again"]
        clock.ms += 10 * DAY_MS
        assert await expire() == []
        assert names(tmp_path / "artifacts" / "blobs") == []
    await site.close()
    await site.journal.close()
