"""What the embedded mode does when its coordinator cannot go on."""

import asyncio

import click
import pytest

from apollo_client.local import as_long_as
from apollo_common.errors import CoordinatorBroken


async def for_ever() -> None:
    await asyncio.Event().wait()


async def broken() -> None:
    raise CoordinatorBroken("start it again")


async def test_who_waits_for_a_broken_coordinator_is_told():
    left = []

    async def wait() -> None:
        async with as_long_as(broken()):
            try:
                await for_ever()
            finally:
                left.append("in order")

    with pytest.raises(CoordinatorBroken, match="start it again"):
        await wait()
    assert left == ["in order"]


async def test_the_block_ends_as_it_likes():
    async with as_long_as(for_ever()):
        pass
    with pytest.raises(click.UsageError, match="--input"):
        async with as_long_as(for_ever()):
            raise click.UsageError("--input is wrong")


async def test_the_block_can_be_cancelled():
    async def work() -> None:
        async with as_long_as(for_ever()):
            await for_ever()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
