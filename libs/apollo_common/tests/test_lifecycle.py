import asyncio
import gc
import os
import signal

import pytest

from apollo_common.lifecycle import TaskOwner, cancel_and_wait, stop_signals, to_the_end


async def test_closing_an_owner_ends_and_awaits_its_tasks():
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async with TaskOwner() as owner:
        task = owner.spawn(work(), name="work")
        await asyncio.sleep(0)
    assert task.cancelled()
    assert ended == ["cleaned up"]


async def test_a_failure_is_heard_of_by_name():
    heard = []

    async def fail() -> None:
        raise ValueError("boom")

    async with TaskOwner(on_failure=lambda name, error: heard.append((name, str(error)))) as owner:
        await asyncio.wait({owner.spawn(fail(), name="fragile")})
    assert heard == [("fragile", "boom")]


async def test_nothing_starts_after_the_end():
    owner = TaskOwner()
    await owner.close()

    async def late() -> None:
        pytest.fail("ran")

    with pytest.raises(RuntimeError, match="late work"):
        owner.spawn(late(), name="late work")


async def test_a_task_may_close_its_own_owner():
    owner = TaskOwner()

    async def close() -> str:
        await owner.close()
        return "closed"

    assert await owner.spawn(close(), name="close") == "closed"


async def test_cancel_and_wait_swallows_how_it_ended():
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("failed while stopping") from None

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancel_and_wait(task)
    assert task.done()


async def test_a_signal_asks_to_stop():
    with stop_signals(signal.SIGUSR1) as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(stop.wait(), 5)


async def test_cleaning_up_is_not_cut_short_by_a_cancellation():
    steps = []

    async def clean_up() -> None:
        for step in range(3):
            await asyncio.sleep(0)
            steps.append(step)

    task = asyncio.create_task(to_the_end(clean_up()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == [0, 1, 2]


async def test_an_error_of_work_that_nobody_waits_for_is_not_reported_as_unseen():
    go = asyncio.Event()

    async def fail() -> None:
        await go.wait()
        raise ValueError("heard by nobody")

    unseen = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unseen.append(context["message"]))
    task = asyncio.create_task(to_the_end(fail()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()
    assert unseen == []
