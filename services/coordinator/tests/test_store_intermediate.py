from pathlib import Path

from apollo_common.ids import JobId, new_job_id
from apollo_coordinator.store.intermediate import IntermediateFiles


def with_output(volume: Path, job: str) -> Path:
    attempt = volume / job / f"{job}-m-00000" / f"{job}-m-00000-0"
    attempt.mkdir(parents=True)
    (attempt / "data.arrow").write_bytes(b"pairs")
    return volume / job


async def test_a_job_is_removed_and_its_neighbour_stays(tmp_path):
    ended, other = new_job_id(), new_job_id()
    with_output(tmp_path, ended)
    kept = with_output(tmp_path, other)
    await IntermediateFiles(tmp_path).remove(ended)
    assert list(tmp_path.iterdir()) == [kept]


async def test_removing_what_is_gone_is_no_error(tmp_path):
    await IntermediateFiles(tmp_path).remove(new_job_id())


async def test_a_sweep_removes_unknown_jobs_only(tmp_path):
    known, orphan = new_job_id(), new_job_id()
    kept = {with_output(tmp_path, known), with_output(tmp_path, "lost+found"), tmp_path / "notes.txt"}
    (tmp_path / "notes.txt").write_text("not ours")
    with_output(tmp_path, orphan)
    await IntermediateFiles(tmp_path).sweep(frozenset({known}))
    assert set(tmp_path.iterdir()) == kept


async def test_a_volume_that_does_not_exist_yet_has_nothing_to_sweep(tmp_path):
    await IntermediateFiles(tmp_path / "absent").sweep(frozenset[JobId]())
