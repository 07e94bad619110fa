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
