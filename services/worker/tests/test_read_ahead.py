"""Small objects are fetched ahead of their turn, a bounded number of them, and nothing is left of it."""

import asyncio

import pytest

from apollo_common.assignment import SplitPiece
from apollo_common.errors import ObjectNotFound
from apollo_worker.input.read_ahead import OBJECTS_AHEAD, SMALL_OBJECT_BYTES, ReadAhead


def small(number, size=10):
    return SplitPiece(f"s3://bucket/{number}", 0, size, size, "v")


class Store:
    """Answers when a test says so."""

    def __init__(self):
        self.asked, self.ended = [], []
        self.answer = asyncio.Event()

    async def fetch(self, piece):
        self.asked.append(piece.url[-1])
        try:
            await self.answer.wait()
            if piece.url.endswith("/3"):
                raise ObjectNotFound(f"{piece.url} is gone")
            return piece.url.encode()
        finally:
            self.ended.append(piece.url[-1])


async def test_objects_come_in_their_order_and_an_error_in_its_turn():
    store = Store()
    store.answer.set()
    ahead = ReadAhead([small(number) for number in range(6)], store.fetch)
    assert [await ahead.take(number) for number in range(3)] == [b"s3://bucket/0", b"s3://bucket/1", b"s3://bucket/2"]
    with pytest.raises(ObjectNotFound, match="/3 is gone"):
        await ahead.take(3)
    assert await ahead.take(4) == b"s3://bucket/4"
    await ahead.close()


async def test_a_bounded_number_is_fetched_and_closing_ends_it():
    store = Store()
    ahead = ReadAhead([small(number) for number in range(OBJECTS_AHEAD + 5)], store.fetch)
    taking = asyncio.create_task(ahead.take(0))
    while len(store.asked) < OBJECTS_AHEAD:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(store.asked) == OBJECTS_AHEAD
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    await ahead.close()
    assert sorted(store.ended) == sorted(store.asked)


async def test_large_objects_pieces_of_objects_and_a_single_one_are_read_in_their_turn():
    store = Store()
    store.answer.set()
    large = small(0, SMALL_OBJECT_BYTES + 1)
    part = SplitPiece("s3://bucket/1", 0, 5, 10, "v")
    ahead = ReadAhead([large, part, small(2)], store.fetch)
    assert [await ahead.take(number) for number in range(3)] == [None, None, b"s3://bucket/2"]
    alone = ReadAhead([small(0)], store.fetch)
    assert await alone.take(0) is None
    assert store.asked == ["2"]
