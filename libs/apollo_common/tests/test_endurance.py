"""Work that is begun again."""

import asyncio

import pytest

from apollo_common import endurance
from apollo_common.backoff import Backoff
from apollo_common.endurance import begun_again
from support.cancellation import cancelled_everywhere

AT_ONCE = Backoff(first_ms=0, limit_ms=0)


class Pauses(Backoff):
    """Notes for how many interruptions in a row a pause was asked."""

    asked: list[int]

    def pause_ms(self, failures, *_):
        self.asked.append(failures)
        return 0.0


@pytest.fixture
def pauses():
    made = Pauses(0, 0)
    object.__setattr__(made, "asked", [])
    return made


async def run_times(times: int, pauses: Backoff, *, fail: bool = True) -> int:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == times:
            raise asyncio.CancelledError
        if fail:
            raise RuntimeError("a defect")

    with pytest.raises(asyncio.CancelledError):
        await begun_again(work, what="work", backoff=pauses)
    return begun


async def test_work_that_fails_or_ends_is_begun_again_with_growing_pauses(pauses):
    assert await run_times(4, pauses) == 4
    assert pauses.asked == [1, 2, 3]
    pauses.asked.clear()
    assert await run_times(3, pauses, fail=False) == 3
    assert pauses.asked == [1, 2]


async def test_work_that_went_well_for_long_starts_counting_anew(pauses, monkeypatch):
    monkeypatch.setattr(endurance, "SOUND_SECONDS", -1.0)
    await run_times(4, pauses)
    assert pauses.asked == [1, 1, 1]


async def test_a_cancellation_ends_it_wherever_it_is():
    async def bounded() -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            raise RuntimeError("a defect")

        try:
            async with asyncio.timeout(0.05):
                await begun_again(work, what="work", backoff=AT_ONCE)
        except TimeoutError:
            pass

    assert await cancelled_everywhere(lambda: asyncio.wait_for(_ends(bounded), 5)) > 0


async def _ends(work) -> None:
    await work()
