import asyncio
import threading

import pytest

from apollo_common.threads import in_thread


async def test_the_result_and_the_error_come_back():
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_caller_leaves_after_the_thread(fails):
    started, release, ended = threading.Event(), threading.Event(), threading.Event()

    def work():
        started.set()
        release.wait()
        ended.set()
        if fails:
            raise ValueError("heard by nobody")

    caller = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(started.wait)
    for _ in range(3):  # whoever stops an attempt may ask again
        caller.cancel()
        await asyncio.sleep(0.02)
    assert not caller.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()
