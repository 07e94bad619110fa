"""Directories of processes that live, end and are killed."""

import os
import signal
import subprocess
import sys

import pytest

from apollo_common.errors import DirectoryInUse
from apollo_common.owned_directory import OwnedDirectory, is_owned, orphans, remove_tree

HOLD = """
import sys, time
from pathlib import Path
from apollo_common.owned_directory import OwnedDirectory
held = OwnedDirectory.claim(Path(sys.argv[1]))
(held.path / "spill").write_bytes(b"x")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path/a`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a")],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_new_one_is_private_and_goes(tmp_path):
    directory = OwnedDirectory.new(tmp_path, "a-")
    assert directory.path.stat().st_mode & 0o777 == 0o700
    (directory.path / "b/c").mkdir(parents=True)
    directory.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_living_process_has_is_left_alone(tmp_path, holder):
    assert list(orphans(tmp_path)) == []
    assert is_owned(tmp_path / "a")
    with pytest.raises(DirectoryInUse, match=str(tmp_path / "a")):
        OwnedDirectory.claim(tmp_path / "a")
    assert (tmp_path / "a/spill").exists()


def test_what_a_killed_process_had_is_found_once_and_goes(tmp_path, holder):
    kill(holder)
    assert not is_owned(tmp_path / "a")
    (orphan,) = orphans(tmp_path)
    assert orphan.path == tmp_path / "a"
    assert list(orphans(tmp_path)) == []  # the first finder has it
    orphan.remove()
    assert list(tmp_path.iterdir()) == []


def test_its_name_can_be_claimed_again(tmp_path, holder):
    kill(holder)
    again = OwnedDirectory.claim(tmp_path / "a")
    assert list(orphans(tmp_path)) == []
    again.remove()


def test_without_a_prefix_only_directories_with_a_lock_are_ours(tmp_path):
    (tmp_path / "of somebody").mkdir()
    (tmp_path / "a file").touch()
    os.utime(tmp_path / "of somebody", (0, 0))
    assert list(orphans(tmp_path)) == []


def test_with_a_prefix_one_that_never_got_its_lock_goes_when_it_is_old(tmp_path):
    for name in ("a-new", "a-old", "b-old"):
        (tmp_path / name).mkdir()
    for name in ("a-old", "b-old"):
        os.utime(tmp_path / name, (0, 0))
    for orphan in orphans(tmp_path, "a-"):
        orphan.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-new", "b-old"]


def test_a_link_is_not_followed(tmp_path):
    target = OwnedDirectory.new(tmp_path, "target-")
    os.close(target._lock)  # as if its process had been killed
    (tmp_path / "a-link").symlink_to(target.path)
    assert list(orphans(tmp_path, "a-")) == []


def test_modes_do_not_keep_a_tree(tmp_path):
    root = tmp_path / "a"
    (root / "b/c").mkdir(parents=True)
    (root / "b/c/file").touch()
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    (root / "link").symlink_to(outside)
    for directory in (root / "b/c", root / "b", root):
        directory.chmod(0)
    remove_tree(root)
    assert sorted(tmp_path.iterdir()) == [outside]
    assert outside.stat().st_mode & 0o777 == 0o500


def test_no_depth_keeps_a_tree(tmp_path):
    """Deeper than a stack of calls, a path and a table of open files can be."""
    levels = 6000
    (tmp_path / "a").mkdir()
    directory = os.open(tmp_path / "a", os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=directory)
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    remove_tree(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_place_of_a_tree_is_all_that_goes(tmp_path):
    (tmp_path / "kept").mkdir(mode=0o750)
    (tmp_path / "kept/file").touch()
    (tmp_path / "link").symlink_to("kept")
    remove_tree(tmp_path / "link")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["kept", "kept/file"]
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o750


def test_a_removal_that_was_cut_short_is_finished_by_the_next(tmp_path, monkeypatch):
    """The lock file goes last, so that what is left is still an orphan."""

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    directory = OwnedDirectory.new(tmp_path, "a-")
    (directory.path / "spill").touch()
    (directory.path / "z").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("apollo_common.owned_directory._unlink", killed)
        with pytest.raises(Killed):
            directory.remove()
    os.close(directory._lock)
    (orphan,) = orphans(tmp_path, "a-")
    orphan.remove()
    assert list(tmp_path.iterdir()) == []
