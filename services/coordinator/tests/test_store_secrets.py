"""Job credentials on disk."""

import stat

import pytest

from apollo_common.ids import JobId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.ports import JobSecrets
from apollo_coordinator.store.secrets import SecretFiles

JOB = JobId("k3v9d2m7q4xa")
SECRETS = JobSecrets(
    StorageAccess("http://store:9000", "eu", "key-in", "secret-in"),
    StorageAccess("", "", "key-out", "secret-out", "session"),
)


async def test_secrets_outlive_a_restart_and_end_with_their_job(tmp_path):
    await SecretFiles(tmp_path / "secrets").put(JOB, SECRETS)
    store = SecretFiles(tmp_path / "secrets")
    assert await store.get(JOB) == SECRETS
    await store.delete(JOB)
    await store.delete(JOB)
    assert await store.get(JOB) is None
    assert list((tmp_path / "secrets").iterdir()) == []


async def test_secrets_of_jobs_that_never_came_to_be_are_swept(tmp_path):
    store = SecretFiles(tmp_path / "secrets")
    for job in (JOB, JobId("never2come22")):
        await store.put(job, SECRETS)
    await store.sweep(JOB.__eq__)
    assert await store.get(JOB) == SECRETS
    assert [file.stem for file in (tmp_path / "secrets").iterdir()] == [JOB]


async def test_only_the_owner_can_read_them(tmp_path):
    (tmp_path / "secrets").mkdir(mode=0o755)
    await SecretFiles(tmp_path / "secrets").put(JOB, SECRETS)
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    (file,) = (tmp_path / "secrets").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_what_was_being_written_at_a_crash_is_removed(tmp_path):
    (tmp_path / ".0123.tmp").write_text("half a secret")
    SecretFiles(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_job_id_is_no_path(tmp_path):
    with pytest.raises(ValueError, match="job id"):
        await SecretFiles(tmp_path).get(JobId("../etc/passwd"))


def test_secrets_are_in_no_repr():
    assert "secret" not in repr(SECRETS).lower().replace("jobsecrets", "")
