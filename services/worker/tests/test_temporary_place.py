"""A directory that is the programs' alone: who may have it, and what is left in it."""

import ctypes
import os
import stat
import threading

import pytest

from apollo_common.errors import InvalidSetting
from apollo_worker.sandbox.temporary import MARK, TemporaryPlace


@pytest.fixture
def place(tmp_path):
    (tmp_path / "place").mkdir()
    place = TemporaryPlace.claim(str(tmp_path / "place"))
    yield place
    place.release()


@pytest.fixture
def without_capabilities():
    """Runs something in a thread that may do no more than the owner of a file, also where the tests' user is root."""

    def run(work) -> None:
        errors = []

        def powerless() -> None:
            try:
                assert ctypes.CDLL(None).capset((0x20080522).to_bytes(8, "little"), bytes(24)) == 0
                work()
            except BaseException as error:  # noqa: BLE001 - told by the test's own thread
                errors.append(error)

        thread = threading.Thread(target=powerless)
        thread.start()
        thread.join()
        for error in errors:
            raise error

    return run


def killed(place: TemporaryPlace) -> None:
    """What the kernel does for a worker that is killed."""
    os.close(place._lock)


def test_it_holds_nothing_at_first(tmp_path):
    (tmp_path / "letters").mkdir()
    with pytest.raises(InvalidSetting, match=r"APOLLO_SANDBOX_TEMPORARY: .* holds `letters`"):
        TemporaryPlace.claim(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]
    with pytest.raises(InvalidSetting, match=r"APOLLO_SANDBOX_TEMPORARY: .*No such file"):
        TemporaryPlace.claim(str(tmp_path / "missing"))


def test_a_mark_that_is_no_file_of_a_worker_vouches_for_nothing(tmp_path):
    (tmp_path / MARK).symlink_to("letters")
    (tmp_path / "letters").mkdir()
    with pytest.raises(InvalidSetting, match="holds `letters`"):
        TemporaryPlace.claim(str(tmp_path))


def test_it_is_left_as_it_was_found(tmp_path):
    TemporaryPlace.claim(str(tmp_path)).release()
    assert list(tmp_path.iterdir()) == []


def test_after_a_worker_that_was_killed_it_is_emptied(tmp_path):
    killed(TemporaryPlace.claim(str(tmp_path)))
    (tmp_path / "left" / "deep").mkdir(parents=True)
    place = TemporaryPlace.claim(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [MARK]
    place.release()


def test_it_is_one_workers(place):
    (place.path / "used").touch()
    with pytest.raises(InvalidSetting, match="belongs to another worker that still runs"):
        TemporaryPlace.claim(str(place.path))
    assert (place.path / "used").exists()


@pytest.mark.parametrize("program", ["echo secret >{}", "rm {}", "rm {0}; mkdir {0}; touch {0}/x", "ln -sf /etc {}"])
def test_a_program_leaves_nothing_in_the_marks_place(place, program):
    mark = place.path / MARK
    assert os.system(program.format(mark)) == 0
    place.empty()
    found = mark.lstat()
    assert (stat.S_ISREG(found.st_mode), found.st_size) == (True, 0)


def test_a_directory_that_a_program_closed_is_emptied(place, without_capabilities):
    (place.path / "left").touch()
    place.path.chmod(0o300)
    without_capabilities(place.empty)
    assert [path.name for path in place.path.iterdir()] == [MARK]


def test_a_directory_that_a_program_closed_is_emptied_at_the_next_start(tmp_path, without_capabilities):
    killed(TemporaryPlace.claim(str(tmp_path)))
    (tmp_path / "left").touch()
    tmp_path.chmod(0o300)
    without_capabilities(lambda: TemporaryPlace.claim(str(tmp_path)).release())
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_is_told(place):
    place.path.rename(place.path.with_name("elsewhere"))  # as a program without a sandbox may
    with pytest.raises(FileNotFoundError):
        place.empty()
