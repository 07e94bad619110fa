"""Room that is kept on the coordinator's volume, on a real one that is full."""

import pytest

from apollo_common.errors import VolumeFull
from apollo_common.ids import AttemptId
from apollo_coordinator.order import BadRecord
from apollo_coordinator.store.bad_records import BadRecordFiles
from apollo_coordinator.store.logs import LogFiles
from apollo_coordinator.store.room import MIN_FREE_BYTES, Reserve, free_bytes, has_room
from support.small_disk import MIB, SmallDisk, needs_root

pytestmark = needs_root


@pytest.fixture
def disk(tmp_path):
    with SmallDisk(tmp_path / "volume", 8 * MIB) as disk:
        yield disk


def test_what_is_reserved_is_there_when_the_volume_is_full(disk):
    reserve = Reserve(disk.place)
    reserve.keep()
    disk.fill()
    assert free_bytes(disk.place) < 64 << 10
    Reserve(disk.place).give_back()  # by the next process
    assert free_bytes(disk.place) >= MIB


def test_of_little_room_half_is_reserved_and_of_less_nothing(disk):
    reserve = Reserve(disk.place)
    disk.fill(leave_bytes=MIB)
    reserve.keep()
    assert not reserve.whole
    assert 400 << 10 < free_bytes(disk.place) < 600 << 10
    disk.fill(leave_bytes=100 << 10)
    reserve.give_back()
    disk.fill(leave_bytes=100 << 10)
    reserve.keep()
    assert free_bytes(disk.place) > 64 << 10
    disk.make_room()
    reserve.keep()
    assert reserve.whole


def test_a_volume_without_room_for_a_start_is_told_in_words(disk):
    disk.fill()
    with pytest.raises(VolumeFull, match="the coordinator's volume is full: it needs about"):
        Reserve(disk.place).give_back()


async def test_logs_leave_the_last_room_to_facts(disk):
    logs, attempt = LogFiles(disk.place / "logs"), AttemptId("k3v9d2m7q4xa-m-00001-0")
    await logs.append(attempt, b"kept\n", 0)
    disk.fill(leave_bytes=MIN_FREE_BYTES // 2)
    assert not has_room(disk.place)
    await logs.append(attempt, b"dropped\n", 5)
    disk.make_room()
    await logs.append(attempt, b"kept, too\n", 13)
    assert await logs.read(attempt) == b"kept\n\n... 8 bytes left out ...\nkept, too\n"


async def test_bad_records_leave_the_last_room_to_facts(disk):
    store, attempt = BadRecordFiles(disk.place / "bad-records"), AttemptId("k3v9d2m7q4xa-m-00001-2")
    content = bytes(MIB)
    record = BadRecord(1, "file:///in", 0, len(content), content, line=False, reason="program_exited", message="")
    disk.fill(leave_bytes=MIN_FREE_BYTES + len(content) // 2)
    with pytest.raises(VolumeFull, match="the coordinator's volume is full"):
        await store.put(attempt, record)
    assert has_room(disk.place)
    disk.make_room()
    await store.put(attempt, record)
    assert await store.of_attempt(attempt) == [record]


def test_a_reserve_that_cannot_be_made_is_done_without(disk):
    """Whatever the reason, such as a quota: facts are being written."""
    (disk.place / "reserve").mkdir()
    reserve = Reserve(disk.place)
    reserve.keep()
    assert (has_room(disk.place), reserve.whole) == (True, False)
