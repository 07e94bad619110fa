import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apollo_worker.artifact.directory import ProgramDirectory

_NOBODY = 65_534


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of a user that modes hold for, unlike root, and who the test is while it lasts."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    directory = Path(tempfile.mkdtemp(prefix="apollo-test-", dir="/tmp"))
    try:
        yield directory
    finally:
        os.seteuid(user)
        shutil.rmtree(directory)


def test_it_is_removed_whatever_modes_the_program_left(home):
    directory = ProgramDirectory.make(home / "attempts")
    inner = directory.work / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    for path in (inner, inner.parent, directory.work, directory.root):
        path.chmod(0)
    directory.remove()
    assert list((home / "attempts").iterdir()) == []


def test_what_the_program_linked_to_keeps_its_mode(home):
    directory = ProgramDirectory.make(home / "attempts")
    directory.work.mkdir()
    elsewhere = home / "elsewhere"
    elsewhere.mkdir(mode=0o500)
    (directory.work / "link").symlink_to(elsewhere)
    directory.remove()
    assert elsewhere.stat().st_mode & 0o777 == 0o500
    assert list((home / "attempts").iterdir()) == []
