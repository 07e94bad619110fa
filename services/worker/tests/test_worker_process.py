"""The `apollo-worker` command as a process: how it starts, says so, and ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apollo_common.errors import InvalidSetting
from apollo_worker.settings import WorkerSettings

COMMAND = [sys.executable, "-m", "apollo_worker", "apollo-worker"]
PATIENCE_SECONDS = 30


def environment(directory: Path, **settings: str) -> dict[str, str]:
    defaults = {"HOST": "127.0.0.1", "PORT": "0", "METRICS_PORT": "-1", "ANNOUNCE": "1", "WORK_DIR": str(directory)}
    return dict(os.environ) | {f"APOLLO_{name}": value for name, value in (defaults | settings).items()}


def start(directory: Path, **settings: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        COMMAND, env=environment(directory, **settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_it_announces_itself_and_ends_cleanly_on_sigterm(tmp_path):
    with start(tmp_path, WORKER_ID="w7", TOKEN="s3cr3t") as worker:
        assert worker.stdout is not None
        said = json.loads(worker.stdout.readline())
        assert (said["worker_id"], said["pid"]) == ("w7", worker.pid)
        assert said["port"] > 0
        worker.terminate()
        _, log = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0
    assert list(tmp_path.iterdir()) == []
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["event"] for line in lines] == ["worker serves", "worker stops"]
    assert {line["worker"] for line in lines} == {"w7"}
    assert b"s3cr3t" not in log


def test_its_environment_is_closed_to_other_programs(tmp_path):
    with start(tmp_path, TOKEN="s3cr3t") as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        # The kernel gives the files of a process that is not dumpable to root, so that none of its user may read them.
        assert Path(f"/proc/{worker.pid}/environ").stat().st_uid == 0
        worker.send_signal(signal.SIGINT)
        worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0


def test_it_does_not_start_without_its_parent(tmp_path):
    with start(tmp_path, PARENT_PID="1") as worker:
        said, _ = worker.communicate(timeout=PATIENCE_SECONDS)
    assert (worker.returncode, said) == (0, b"")


def refused(directory: Path, **settings: str) -> str:
    """What a worker says that does not start."""
    done = subprocess.run(
        COMMAND, env=environment(directory, **settings), capture_output=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.decode().splitlines()
    return line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "worker.example"])
def test_it_does_not_run_programs_for_anybody_who_calls(tmp_path, host):
    assert "set APOLLO_TOKEN, APOLLO_TLS_DIR, or APOLLO_HOST" in refused(tmp_path, HOST=host)


@pytest.mark.parametrize("settings", [{"TOKEN": "s3cr3t"}, {"ALLOW_ANONYMOUS": "true"}])
def test_beyond_loopback_it_starts_with_a_token_or_when_it_may_do_without(tmp_path, settings):
    with start(tmp_path, HOST="0.0.0.0", **settings) as worker:
        assert worker.stdout is not None
        assert json.loads(worker.stdout.readline())["port"] > 0
        worker.terminate()
        worker.communicate(timeout=PATIENCE_SECONDS)


def test_it_does_not_start_without_the_keys_that_it_should_have(tmp_path):
    assert f"{tmp_path}/none holds no usable ca.crt" in refused(tmp_path, TLS_DIR=f"{tmp_path}/none")


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    return place


@pytest.mark.parametrize("sandbox", ["prefer", "off"])
def test_it_starts_again_after_it_was_killed_in_an_attempt(tmp_path, place, sandbox):
    settings = {"SANDBOX_TEMPORARY": str(place), "SANDBOX": sandbox}
    with start(tmp_path / "work", **settings) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        (place / "left").mkdir()
        worker.kill()
        worker.communicate(timeout=PATIENCE_SECONDS)
    with start(tmp_path / "work", **settings) as worker:
        assert worker.stdout is not None
        said, left = worker.stdout.readline(), (place / "left").exists()
        worker.terminate()
        worker.communicate(timeout=PATIENCE_SECONDS)
    assert json.loads(said)["port"] > 0
    assert (worker.returncode, left) == (0, False)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("sandbox", ["prefer", "off"])
def test_it_empties_no_directory_that_others_have_filled(tmp_path, place, sandbox):
    (place / "letters").touch()
    line = refused(tmp_path / "work", SANDBOX_TEMPORARY=str(place), SANDBOX=sandbox)
    assert f"{place} holds `letters`" in line
    assert (place / "letters").exists()


@pytest.mark.parametrize("setting", ["SANDBOX_WRITABLE", "SANDBOX_TEMPORARY"])
@pytest.mark.parametrize("own", ["WORK_DIR", "VOLUME"])
@pytest.mark.parametrize("where", ["", "..", "below", "../link"])
def test_programs_write_nowhere_near_what_is_its_own(tmp_path, place, setting, own, where):
    (place.parent / "link").symlink_to(place)
    given = {setting: str(place / where), own: str(place)}
    settings = WorkerSettings.load({f"APOLLO_{name}": value for name, value in given.items()})
    with pytest.raises(InvalidSetting, match=rf"APOLLO_{setting}: .* and APOLLO_{own}, {place}, must lie apart"):
        settings.check_places()


def test_a_pattern_of_what_programs_may_write_is_looked_up(place):
    settings = WorkerSettings(work_dir=place, sandbox_writable=(f"{place.parent}/plac*",))
    with pytest.raises(InvalidSetting, match=f"APOLLO_SANDBOX_WRITABLE: {place} and APOLLO_WORK_DIR"):
        settings.check_places()


def test_programs_may_write_beside_what_is_its_own(tmp_path, place):
    settings = WorkerSettings(
        work_dir=place, volume=tmp_path / "volume", sandbox_writable=(f"{place}s",), sandbox_temporary=("/dev/shm",)
    )
    settings.check_places()


def test_it_does_not_start_where_programs_would_write_what_is_its_own(tmp_path, place):
    assert "must lie apart" in refused(place, SANDBOX_TEMPORARY=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "eighty"), ("LOG_FORMAT", "xml"), ("ARTIFACT_CACHE_BYTES", "much")]
)
def test_a_wrong_setting_is_named_in_one_line(tmp_path, name, value):
    line = refused(tmp_path, **{name: value})
    assert f"APOLLO_{name}" in line
    assert value not in line.replace(f"APOLLO_{name}", "")
