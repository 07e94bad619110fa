"""What dead jobs left behind is swept at the start, and nothing else."""

import asyncio
import errno
from collections.abc import Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from apollo_common.errors import StorageUnavailable
from apollo_common.ids import AttemptId, JobId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.engine import EngineSettings
from apollo_coordinator.ports import NO_SECRETS, JobSecrets, StoredFact
from apollo_coordinator.store.memory import MemoryJournal
from support.engine import Site, ended, submit, until
from support.scheduling import a_spec

QUICK = EngineSettings(limits=Limits(retry_delay_ms=1, reattach_grace_ms=100), tick_ms=5)
OFTEN = replace(QUICK, sweep_seconds=0.01)
STRANGER = JobId("stranger0000")


async def site_with_jobs() -> tuple[Site, list[JobId]]:
    """One job that has ended, one that has and keeps its map outputs, one that runs; and what is left of a fourth."""
    site = Site()
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        jobs = [
            await submit(engine, output_path="file:///gone"),
            await submit(engine, output_path="file:///kept", keep_intermediate=True),
        ]
        for job in jobs:
            await ended(engine, job)
        await until(lambda: not engine.state.queues)
        await site.workers[0].cut_off()
        jobs.append(await submit(engine, output_path="file:///runs"))
    site.intermediate.kept = dict.fromkeys((*jobs, STRANGER))
    for job in (*jobs, STRANGER):
        await site.logs.append(AttemptId(f"{job}-m-00000-0"), b"line\n", 0)
    return site, jobs


async def test_intermediate_data_and_logs_that_nobody_needs_are_swept():
    site, (gone, kept, runs) = await site_with_jobs()
    with capture_logs() as lines:
        async with site.coordinator(QUICK):
            await until(lambda: STRANGER not in site.intermediate.kept and gone not in site.intermediate.kept)
            await until(lambda: f"{STRANGER}-m-00000-0" not in site.logs.logs)
            await asyncio.sleep(0.01)
    assert list(site.intermediate.kept) == [kept, runs]
    assert list(site.logs.logs) == [f"{job}-m-00000-0" for job in (gone, kept, runs)]
    swept = {line["what"]: line["jobs"] for line in lines if line["event"] == "swept what dead jobs had left"}
    assert swept == {"logs": 1, "intermediate data": 2}
    await site.close()


async def test_unknown_jobs_on_a_shared_volume_are_left_to_their_coordinator():
    site, (gone, kept, runs) = await site_with_jobs()
    site.intermediate.neighbours = ["s3://bucket/prefix/apollo-coordinator-other"]
    with capture_logs() as lines:
        async with site.coordinator(OFTEN):
            await until(lambda: gone not in site.intermediate.kept)
            await again_and_again(site)
            assert list(site.intermediate.kept) == [kept, runs, STRANGER]
            site.intermediate.neighbours.clear()  # as the warning asks
            await until(lambda: STRANGER not in site.intermediate.kept)
    (warning,) = [line for line in lines if "another coordinator has used the place" in line["event"]]
    assert "delete its mark" in warning["event"]
    assert (warning["jobs"], warning["marks"]) == (1, ["s3://bucket/prefix/apollo-coordinator-other"])
    await site.close()


async def again_and_again(site: Site) -> None:
    """Until the place has been looked at three times more."""
    looks, jobs = 0, site.intermediate.jobs

    async def counted() -> list[JobId]:
        nonlocal looks
        looks += 1
        return await jobs()

    site.intermediate.jobs = counted
    await until(lambda: looks > 3)


async def test_what_comes_late_is_swept_while_the_coordinator_runs():
    site, (gone, kept, runs) = await site_with_jobs()
    async with site.coordinator(OFTEN):
        for _ in range(3):
            await until(lambda: gone not in site.intermediate.kept)
            site.intermediate.kept[gone] = None
        await until(lambda: gone not in site.intermediate.kept)
    assert list(site.intermediate.kept) == [kept, runs]
    await site.close()


ERRORS = pytest.mark.parametrize("error", [
    StorageUnavailable("the volume is away"),
    OSError(errno.ESTALE, "Stale file handle"),
    ValueError("a case that nobody thought of"),
])  # fmt: skip


@ERRORS
async def test_a_place_that_cannot_be_swept_keeps_nothing_else_from_it(error):
    site, (gone, _, _) = await site_with_jobs()

    async def broken() -> list[JobId]:
        raise error

    site.logs.jobs = broken
    async with site.coordinator(OFTEN) as engine:
        for _ in range(2):
            await until(lambda: gone not in site.intermediate.kept)
            site.intermediate.kept[gone] = None
        assert engine.ready
    await site.close()


@ERRORS
async def test_a_job_that_cannot_be_removed_keeps_no_other_from_it(error):
    site, (gone, kept, runs) = await site_with_jobs()
    site.intermediate.kept = dict.fromkeys((gone, STRANGER, kept, runs))
    remove = site.intermediate.remove

    async def stays(job: JobId) -> None:
        if job == STRANGER:  # the first that is removed
            raise error
        await remove(job)

    site.intermediate.remove = stays
    with capture_logs() as lines:
        async with site.coordinator(OFTEN):
            await until(lambda: gone not in site.intermediate.kept)
            await until(lambda: [line for line in lines if line["event"] == "not all was swept"])
    assert list(site.intermediate.kept) == [STRANGER, kept, runs]
    told = next(line for line in lines if line["event"] == "not all was swept")
    assert (told["what"], told["jobs"], told["first"]) == ("intermediate data", 1, STRANGER)
    assert str(error) in told["error"]
    await site.close()


async def test_secrets_that_come_back_behind_the_clean_up_are_swept_while_the_coordinator_runs():
    site, (gone, _, _) = await site_with_jobs()
    async with site.coordinator(OFTEN) as engine:
        await site.secrets.put(gone, NO_SECRETS)
        running = (await engine.submit(a_spec(output_path="file:///own"), NO_SECRETS)).job.id
        await until(lambda: gone not in site.secrets.secrets)
        assert list(site.secrets.secrets) == [running]
    await site.close()


class SlowJournal(MemoryJournal):
    """Takes a job's first fact only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()

    async def append(self, facts: Sequence[StoredFact]) -> None:
        await self.open.wait()
        await super().append(facts)


async def test_what_a_job_brings_is_not_swept_before_the_job_is_there():
    site = Site(journal=SlowJournal())
    own = JobSecrets(StorageAccess("", "", "in", "x"), StorageAccess("", "", "out", "x"))
    async with site.coordinator(OFTEN) as engine:
        site.journal.open.clear()
        submitted = asyncio.create_task(engine.submit(a_spec(), own))
        await until(lambda: site.secrets.secrets)
        for _ in range(3):
            await site.secrets.put(STRANGER, NO_SECRETS)
            await until(lambda: STRANGER not in site.secrets.secrets)
        site.journal.open.set()
        assert list(site.secrets.secrets) == [(await submitted).job.id]
    await site.close()
