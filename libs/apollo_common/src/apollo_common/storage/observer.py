"""Who hears of calls to S3, for metrics. A port, so that a store needs no metrics library."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from apollo_common.errors import ApolloError

OK: Final = "ok"
CANCELLED: Final = "cancelled"


class StorageObserver(Protocol):
    """Called on the event loop; must not block. Operations are named as in the library."""

    def call_ended(self, operation: str, result: str, seconds: float) -> None:
        """`result`: OK, CANCELLED, or the reason code of the error."""
        ...

    def repeated(self, operation: str, times: int) -> None:
        """The library has asked again within a call, as far as it tells."""
        ...

    def resumed(self) -> None:
        """A body was cut off or slow, and is read on by another call."""
        ...

    def received(self, size_bytes: int) -> None: ...

    def sent(self, size_bytes: int) -> None: ...


class Unobserved:
    def call_ended(self, operation: str, result: str, seconds: float) -> None: ...

    def repeated(self, operation: str, times: int) -> None: ...

    def resumed(self) -> None: ...

    def received(self, size_bytes: int) -> None: ...

    def sent(self, size_bytes: int) -> None: ...


UNOBSERVED: Final = Unobserved()


@contextmanager
def observed(observer: StorageObserver, operation: str) -> Iterator[None]:
    """Time one call and tell how it ended; what goes wrong with it is an ApolloError by then."""
    started = time.monotonic()
    result = OK
    try:
        yield
    except ApolloError as error:
        result = error.reason
        raise
    except asyncio.CancelledError:
        result = CANCELLED
        raise
    finally:
        observer.call_ended(operation, result, time.monotonic() - started)
