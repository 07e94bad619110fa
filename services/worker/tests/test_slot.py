import asyncio
import errno
from dataclasses import replace

import pytest

from apollo_common.errors import FetchFailed, ProgramExited, WorkerBusy, WorkerDrained
from apollo_proto.apollo.v1 import Done, TaskAssignment, TaskKind
from apollo_worker.events import EventLog
from apollo_worker.sandbox.temporary import MARK, TemporaryPlace
from apollo_worker.slot import AttemptSlot


class Runner:
    """Ends when told to, in the way that it is told."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.end: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

    async def run(self, assignment: TaskAssignment, events: EventLog) -> Done:
        self.started.append(assignment.attempt_id)
        return await asyncio.shield(self.end)

    async def close(self) -> None:
        pass


def assignment(number: int = 0) -> TaskAssignment:
    attempt = f"j-m-00000-{number}"
    return TaskAssignment(job_id="j", task_id="j-m-00000", attempt_id=attempt, kind=TaskKind.MAP)


@pytest.fixture
async def runner():
    return Runner()


@pytest.fixture
async def slot(runner):
    slot = AttemptSlot(runner)
    yield slot
    await slot.close()


async def end_of(events: EventLog):
    return [event async for event in events.follow()][-1]


async def test_an_attempt_runs_to_its_end(slot, runner):
    events = slot.start(assignment())
    assert slot.running == "j-m-00000-0"
    runner.end.set_result(Done(output_records=3))
    assert (await end_of(events)).done.output_records == 3
    await asyncio.sleep(0)
    assert slot.running == ""


async def test_a_second_attempt_is_refused_while_one_runs(slot):
    slot.start(assignment(0))
    with pytest.raises(WorkerBusy, match="j-m-00000-0"):
        slot.start(assignment(1))


async def test_the_same_attempt_again_joins_the_one_that_runs(slot, runner):
    first = slot.start(assignment())
    assert slot.start(assignment()) is first
    runner.end.set_result(Done())
    await end_of(first)
    assert slot.start(assignment()) is first
    assert runner.started == ["j-m-00000-0"]


async def test_the_next_attempt_makes_the_last_one_unknown(slot, runner):
    runner.end.set_result(Done())
    await end_of(slot.start(assignment(0)))
    await asyncio.sleep(0)
    slot.start(assignment(1))
    assert slot.find("j-m-00000-0") is None
    assert slot.find("j-m-00000-1") is not None


async def test_a_cancelled_attempt_says_so(slot):
    events = slot.start(assignment())
    assert await slot.cancel("j-m-00000-0")
    assert (await end_of(events)).cancelled is not None
    assert not await slot.cancel("j-m-00000-0")


async def test_a_late_cancel_does_not_touch_the_next_attempt(slot, runner):
    slot.start(assignment(1))
    assert not await slot.cancel("j-m-00000-0")
    assert slot.running == "j-m-00000-1"


async def test_closing_stops_what_runs(slot):
    events = slot.start(assignment())
    await slot.close()
    assert (await end_of(events)).cancelled is not None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ProgramExited("the program was killed by SIGKILL", signal=9),
            {"reason": "program_exited", "signal": 9, "exit_status": -1, "retryable": True},
        ),
        (
            FetchFailed("map output is gone", task="j-m-00001", attempt="j-m-00001-2"),
            {"reason": "fetch_failed", "lost_map_task_id": "j-m-00001", "lost_map_attempt_id": "j-m-00001-2"},
        ),
        (OSError(errno.ENOSPC, "No space left on device"), {"reason": "volume_full", "retryable": True}),
        (ZeroDivisionError("secret details"), {"reason": "internal", "retryable": True}),
    ],
)
async def test_an_error_becomes_a_typed_failure(slot, runner, error, expected):
    runner.end.set_exception(error)
    failed = (await end_of(slot.start(assignment()))).failed
    assert {name: getattr(failed, name) for name in expected} == expected
    assert "secret" not in failed.message


@pytest.fixture
def place(tmp_path):
    (tmp_path / "place").mkdir()
    place = TemporaryPlace.claim(str(tmp_path / "place"))
    yield place
    place.release()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_an_attempt_leaves_is_gone_when_it_has_ended(runner, place, cancelled):
    slot = AttemptSlot(runner, places=[place])
    events = slot.start(assignment())
    (place.path / "left").touch()
    if cancelled:
        await asyncio.sleep(0)
        await slot.cancel("j-m-00000-0")
    else:
        runner.end.set_result(Done())
    await end_of(events)
    assert [path.name for path in place.path.iterdir()] == [MARK]
    assert not slot.draining
    await slot.close()


async def test_a_slot_whose_attempt_left_what_cannot_be_removed_takes_nothing_more(runner, place):
    slot = AttemptSlot(runner, places=[place])
    ended = asyncio.create_task(slot.until_spoilt())
    events = slot.start(assignment(0))
    place.path.rename(place.path.with_name("elsewhere"))
    runner.end.set_result(Done(output_records=3))
    assert (await end_of(events)).done.output_records == 3
    await ended
    assert slot.running == ""
    with pytest.raises(WorkerDrained):
        slot.start(assignment(1))
    await slot.close()


class Witness:
    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []

    def attempt_ended(self, phase: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.ended.append((phase, outcome))

    def counted(self, name: str, increment: int) -> None:
        raise AssertionError("the slot counts nothing")


async def test_the_observer_hears_the_outcomes_by_the_names_that_the_api_has(runner):
    witness = Witness()
    slot = AttemptSlot(runner, witness)
    slot.start(assignment(0))
    await slot.cancel("j-m-00000-0")
    runner.end.set_result(Done())
    await end_of(slot.start(assignment(1)))
    runner.end = asyncio.get_running_loop().create_future()
    runner.end.set_exception(ProgramExited("exit status 1", exit_status=1))
    await asyncio.sleep(0)
    await end_of(slot.start(assignment(2)))
    await slot.close()
    assert witness.ended == [("map", "cancelled"), ("map", "succeeded"), ("map", "failed")]


@pytest.mark.parametrize("kind", [TaskKind.UNSPECIFIED, TaskKind(7)])
async def test_the_observer_hears_of_a_kind_that_is_not_known_here(runner, kind):
    witness = Witness()
    slot = AttemptSlot(runner, witness)
    runner.end.set_result(Done())
    await end_of(slot.start(replace(assignment(), kind=kind)))
    await slot.close()
    assert witness.ended == [("other", "succeeded")]


async def test_a_draining_slot_takes_nothing_and_waits_for_what_runs(slot, runner):
    events = slot.start(assignment(0))
    draining = asyncio.create_task(slot.drain(within_seconds=60))
    await asyncio.sleep(0)
    assert slot.draining
    with pytest.raises(WorkerDrained):
        slot.start(assignment(1))
    assert slot.start(assignment(0)) is events  # its stream had broken
    runner.end.set_result(Done(output_records=3))
    await draining
    assert (await end_of(events)).done.output_records == 3


async def test_what_is_not_done_in_time_is_handed_back(slot):
    events = slot.start(assignment(0))
    await slot.drain(within_seconds=0.01)
    assert slot.running == "j-m-00000-0"
    await slot.close()
    assert (await end_of(events)).cancelled.handed_back


async def test_an_attempt_that_the_coordinator_cancels_is_not_handed_back(slot):
    events = slot.start(assignment(0))
    draining = asyncio.create_task(slot.drain(within_seconds=60))
    await asyncio.sleep(0)
    await slot.cancel("j-m-00000-0")
    await draining
    assert not (await end_of(events)).cancelled.handed_back


async def test_an_idle_slot_is_drained_at_once(slot):
    await slot.drain(within_seconds=60)
    with pytest.raises(WorkerDrained):
        slot.start(assignment(0))


async def test_a_drain_that_is_cancelled_leaves_the_attempt_to_close(slot):
    events = slot.start(assignment(0))
    draining = asyncio.create_task(slot.drain(within_seconds=60))
    await asyncio.sleep(0)
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    assert slot.running == "j-m-00000-0"
    await slot.close()
    assert (await end_of(events)).cancelled.handed_back
