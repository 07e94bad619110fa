"""Collects emitted pairs into batches, so that a pair costs an append and a batch one write."""

from collections.abc import Callable
from typing import Protocol

BATCH_BYTES = 1 << 20
PAIR_OVERHEAD_BYTES = 16  # counts the lengths and bounds batches of empty pairs

Content = bytes | bytearray | memoryview | str | int | float


class Emit(Protocol):
    """What a program's functions call for each output pair."""

    def __call__(self, key: Content, value: Content = b"") -> None: ...


class Emitter:
    """Hands batches of some BATCH_BYTES to `deliver`; a pair larger than that goes alone."""

    __slots__ = ("_deliver", "_keys", "_size_bytes", "_values")

    def __init__(self, deliver: Callable[[list[bytes], list[bytes]], None]) -> None:
        self._deliver = deliver
        self._keys: list[bytes] = []
        self._values: list[bytes] = []
        self._size_bytes = 0

    def emit(self, key: Content, value: Content = b"") -> None:
        """Bytes as they are, text as UTF-8, numbers in decimal."""
        if type(key) is not bytes:
            key = as_bytes(key)
        if type(value) is not bytes:
            value = as_bytes(value)
        pair_bytes = len(key) + len(value) + PAIR_OVERHEAD_BYTES
        if pair_bytes > BATCH_BYTES:
            self.flush()
        self._keys.append(key)
        self._values.append(value)
        self._size_bytes += pair_bytes
        if self._size_bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._keys:
            self._deliver(self._keys, self._values)
            self._keys, self._values, self._size_bytes = [], [], 0


def as_bytes(content: Content) -> bytes:
    """What `emit` makes of a key or value; TypeError for other types."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (int, float)) and not isinstance(content, bool):
        return repr(content).encode()
    if isinstance(content, (bytearray, memoryview)):
        return bytes(content)
    raise TypeError(f"emit takes bytes, str, int or float, not {type(content).__name__}: encode it first")
