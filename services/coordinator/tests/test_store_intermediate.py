import os
from contextlib import suppress
from pathlib import Path

import pytest

from apollo_common.errors import StorageUnavailable
from apollo_common.ids import new_job_id
from apollo_coordinator.store.intermediate import IntermediateFiles


def with_output(volume: Path, job: str) -> Path:
    attempt = volume / job / f"{job}-m-00000" / f"{job}-m-00000-0"
    attempt.mkdir(parents=True)
    (attempt / "data.arrow").write_bytes(b"pairs")
    return volume / job


async def test_a_job_is_removed_and_its_neighbour_stays(tmp_path):
    ended, other = new_job_id(), new_job_id()
    with_output(tmp_path, ended)
    with_output(tmp_path, other)
    store = IntermediateFiles(tmp_path, coordinator="one")
    await store.remove(ended)
    await store.remove(new_job_id())
    assert await store.jobs() == [other]


async def test_only_names_that_apollo_gives_are_jobs(tmp_path):
    job = new_job_id()
    for name in (job, "lost+found", ".snapshot", "Twelve-Chars"):
        with_output(tmp_path, name)
    (tmp_path / "notes.txt").write_text("not ours")
    assert await IntermediateFiles(tmp_path, coordinator="one").jobs() == [job]


async def test_a_volume_is_shared_once_another_coordinator_has_come(tmp_path):
    store = IntermediateFiles(tmp_path, coordinator="one")
    again = IntermediateFiles(tmp_path, coordinator="one")
    assert not await store.shared()
    assert not await again.shared()
    IntermediateFiles(tmp_path, coordinator="two")
    assert await store.shared()


async def test_a_volume_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageUnavailable, match="absent cannot be written: No such file"):
        IntermediateFiles(tmp_path / "absent", coordinator="one")


async def test_what_remains_because_a_worker_removed_some_of_it_meanwhile_is_told_of(tmp_path, monkeypatch):
    """The worker's own removal comes between listing the job's directory and removing what was found there."""
    job = new_job_id()
    directory = with_output(tmp_path, job)
    (directory / "gone").touch()
    unlink = os.unlink

    def unlink_after_the_worker(path, **place):
        unlink(path, **place)
        unlink(path, **place)

    store = IntermediateFiles(tmp_path, coordinator="one")
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", unlink_after_the_worker)
        with suppress(StorageUnavailable):  # from Python 3.13 on it is removed all the same
            await store.remove(job)
            assert not directory.exists()
    await store.remove(job)
    assert await store.jobs() == []
