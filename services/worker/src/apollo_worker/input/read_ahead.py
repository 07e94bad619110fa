"""Small objects of a split, fetched some ahead of their turn: what they take is mostly waiting for the store."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from apollo_common.assignment import SplitPiece
from apollo_common.lifecycle import cancel_and_wait

OBJECTS_AHEAD = 8
SMALL_OBJECT_BYTES = 256 << 10

Fetch = Callable[[SplitPiece], Coroutine[Any, Any, bytes]]


class ReadAhead:
    """Holds no more than OBJECTS_AHEAD contents. Close it."""

    def __init__(self, pieces: Sequence[SplitPiece], fetch: Fetch) -> None:
        self._pieces = pieces
        self._fetch = fetch
        self._begun = 0
        self._coming: dict[int, asyncio.Task[bytes]] = {}

    async def take(self, number: int) -> bytes | None:
        """The object of a piece, whose turn it is, as it lies in the store; None for one that is not small.

        Raises what its fetch does.
        """
        stop = min(len(self._pieces), number + OBJECTS_AHEAD)
        for ahead in range(max(number, self._begun), stop):
            piece = self._pieces[ahead]
            if piece.length_bytes == piece.object_size_bytes <= SMALL_OBJECT_BYTES and len(self._pieces) > 1:
                self._coming[ahead] = asyncio.create_task(self._fetch(piece), name=f"fetch of {piece.url}")
        self._begun = max(self._begun, stop)
        coming = self._coming.pop(number, None)
        return None if coming is None else await coming

    async def close(self) -> None:
        """End what is still being fetched."""
        while self._coming:
            _, coming = self._coming.popitem()
            await cancel_and_wait(coming)
