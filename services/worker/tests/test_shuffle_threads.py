import asyncio
import gc
import threading
from contextlib import aclosing

import pytest

from apollo_worker.shuffle.threads import in_stoppable_thread, iterate_in_thread


async def test_a_cancelled_caller_stops_the_thread_and_leaves_after_it():
    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        stop.wait(60)
        ended.set()

    running = asyncio.create_task(in_stoppable_thread(work, stop.set))
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_a_second_cancellation_does_not_leave_the_thread_behind():
    go_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(60)
        ended.set()

    running = asyncio.create_task(in_stoppable_thread(work, lambda: None))
    await asyncio.sleep(0.02)
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0.01)
    assert not running.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_items_arrive_in_order_and_an_error_after_them():
    def items():
        yield from range(5)
        raise ValueError("the end")

    source = iterate_in_thread(items())
    assert [await anext(source) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="the end"):
        await anext(source)


async def test_leaving_an_iterator_early_forgets_an_error_made_ahead():
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))

    def items():
        yield 1
        raise ValueError("made ahead")

    async with aclosing(iterate_in_thread(items())) as source:
        assert await anext(source) == 1
        await asyncio.sleep(0.05)
    gc.collect()
    await asyncio.sleep(0)
    assert failures == []
