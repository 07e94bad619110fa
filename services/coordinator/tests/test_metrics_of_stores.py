"""What the coordinator keeps on its volume, as the metrics tell of it."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from apollo_common.ids import JobId
from apollo_common.lifecycle import TaskOwner
from apollo_common.metrics import disks
from apollo_common.metrics.disks import DiskMetrics
from apollo_coordinator.metrics.stores import serve_stores
from apollo_coordinator.ports import StoredFact
from apollo_coordinator.store.artifacts import ArtifactFiles
from apollo_coordinator.store.journal import SqliteJournal

SCRIPT = b"#!/bin/sh\ncat\n"
LONG_FACT = StoredFact(1, JobId("a"), 1, 1_700_000_000_000, "kind", "x" * 1_000_000)


@pytest.fixture
async def journal(tmp_path):
    journal = await SqliteJournal.open(tmp_path / "data")
    yield journal
    await journal.close()


async def upload(artifacts, name, content):
    async def chunks():
        yield content

    await artifacts.receive(name, chunks())


async def test_sizes_are_those_on_the_disk(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(disks, "SAMPLE_EVERY_SECONDS", 0.001)
    artifacts = await ArtifactFiles.open(tmp_path / "artifacts")
    registry = CollectorRegistry()
    async with TaskOwner() as tasks:
        serve_stores(registry, DiskMetrics(registry, tasks), journal, artifacts)
        await upload(artifacts, "one", SCRIPT)
        await upload(artifacts, "two", SCRIPT)
        await upload(artifacts, "three", SCRIPT + b"# another\n")
        await journal.append([LONG_FACT])
        assert registry.get_sample_value("apollo_artifacts") == 3
        expected = 2 * len(SCRIPT) + len(b"# another\n")  # equal bytes are kept once
        while registry.get_sample_value("apollo_artifact_store_bytes") != expected:
            await asyncio.sleep(0.001)
        while registry.get_sample_value("apollo_journal_size_bytes") < len(LONG_FACT.body):
            await asyncio.sleep(0.001)
