"""What a job does when storage is in trouble while its input is planned, its output opened or committed."""

import asyncio
from dataclasses import replace

import pytest

from apollo_common.backoff import Backoff
from apollo_common.errors import JobEnded, StorageAccessDenied, StorageUnavailable
from apollo_coordinator.core.model import JobStatus
from support.engine import QUICK, Site, ended, submit, until


@pytest.fixture
async def site():
    site = Site()
    yield site
    await site.close()


async def test_storage_that_comes_back_is_waited_for(site):
    site.add_workers(1)
    outage = StorageUnavailable("s3 does not answer")
    site.input.mishaps.plan(outage, outage)
    site.output.open_mishaps.plan(outage)
    site.output.commit_mishaps.plan(*[outage] * 20)
    async with site.coordinator(QUICK) as engine:
        assert (await ended(engine, await submit(engine))).status is JobStatus.SUCCEEDED


async def test_a_commit_that_goes_well_is_not_stopped(site, monkeypatch):
    async def commit(_job, _access):
        await asyncio.Event().wait()

    monkeypatch.setattr(site.output, "commit", commit)
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: engine.job(job).status is JobStatus.COMMITTING)
        with pytest.raises(JobEnded, match="publishing its output"):
            await engine.stop(job)
        assert engine.job(job).status is JobStatus.COMMITTING


async def test_a_commit_that_never_succeeds_can_be_given_up(site):
    site.add_workers(1)
    site.output.commit_mishaps.plan(*[StorageUnavailable("s3 does not answer")] * 10_000)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: engine.job(job).trouble)
        assert engine.job(job).status is JobStatus.COMMITTING
        stopped = await engine.stop(job)
        assert (stopped.status, stopped.failure.reason) == (JobStatus.STOPPED, "output_incomplete")
        assert "s3 does not answer" in stopped.failure.message
        await until(lambda: not engine.state.queues)
        tries_left = len(site.output.commit_mishaps._errors)
        await asyncio.sleep(0.05)
        assert len(site.output.commit_mishaps._errors) == tries_left > 0
        assert not site.output.uploads


async def test_a_plan_that_takes_long_ends_with_its_job(site):
    settings = replace(QUICK, plan_backoff=Backoff(first_ms=1, limit_ms=2))
    site.input.mishaps.plan(*[StorageUnavailable("s3 does not answer")] * 10_000)
    async with site.coordinator(settings) as engine:
        job = await submit(engine)
        await until(lambda: len(site.input.mishaps._errors) < 10_000)
        await engine.stop(job)
        await until(lambda: not engine.state.queues)
        tries_left = len(site.input.mishaps._errors)
        await asyncio.sleep(0.05)
        assert len(site.input.mishaps._errors) == tries_left > 0


async def test_a_plan_that_cannot_be_made_fails_the_job(site):
    site.input.mishaps.plan(StorageAccessDenied("access to file:///in was denied; check inputStorageCredentials"))
    async with site.coordinator(QUICK) as engine:
        job = await ended(engine, await submit(engine))
    assert (job.status, job.failure.reason) == (JobStatus.FAILED, "storage_access_denied")


async def test_a_commit_that_cannot_succeed_fails_the_job(site):
    site.add_workers(1)
    site.output.commit_mishaps.plan(StorageAccessDenied("access to file:///out was denied"))
    async with site.coordinator(QUICK) as engine:
        job = await ended(engine, await submit(engine))
    assert (job.status, job.failure.reason) == (JobStatus.FAILED, "storage_access_denied")


@pytest.mark.parametrize("step", ["input", "open", "commit"])
async def test_a_defect_of_the_storage_fails_the_job_instead_of_leaving_it_waiting(site, step):
    site.add_workers(1)
    mishaps = {"input": site.input.mishaps, "open": site.output.open_mishaps, "commit": site.output.commit_mishaps}
    mishaps[step].plan(KeyError("UploadId"))
    async with site.coordinator(QUICK) as engine:
        job = await ended(engine, await submit(engine))
    assert (job.status, job.failure.reason) == (JobStatus.FAILED, "internal")
    assert "UploadId" not in job.failure.message
