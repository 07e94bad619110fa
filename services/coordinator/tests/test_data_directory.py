"""A data directory is taken when it is new, empty or a coordinator's; never with somebody else's files to sweep."""

import pytest

from apollo_coordinator.store.data_directory import SWEPT, DataDirectoryForeign, take
from apollo_coordinator.store.journal import SqliteJournal


def test_a_new_one_and_one_with_other_things_are_taken(tmp_path):
    take(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "notes.txt").write_text("keep me")
    (tmp_path / "logs").mkdir()
    (tmp_path / "another disk").mkdir()
    (tmp_path / "artifacts").symlink_to("another disk")
    take(tmp_path)


@pytest.mark.parametrize("name", SWEPT)
@pytest.mark.parametrize("holds", ["file", "directory", "link", "nothing but itself"])
def test_one_with_foreign_files_is_not(tmp_path, name, holds):
    place = tmp_path / "data" / name
    place.parent.mkdir()
    if holds == "nothing but itself":
        place.write_text("keep me")
    elif holds == "link":
        (tmp_path / "elsewhere" / "mine").mkdir(parents=True)
        place.symlink_to(tmp_path / "elsewhere")
    else:
        (place / "mine").mkdir(parents=True)
        if holds == "file":
            (place / "mine" / "too").write_text("keep me")
    with pytest.raises(DataDirectoryForeign, match=f"/{name} is not of a coordinator"):
        take(tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [name]


@pytest.mark.parametrize("lost", [None, "journal.db", "lock"])
async def test_a_coordinators_own_is_taken_again(tmp_path, lost):
    journal = await SqliteJournal.open(tmp_path)
    await journal.close()
    (tmp_path / "logs" / "k3v9d2m7q4xa").mkdir(parents=True)
    if lost:
        (tmp_path / lost).unlink()  # what that means is the journal's to say
    take(tmp_path)
