"""How calls to other machines end and how long they take, as observers of a port are told."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from apollo_common.errors import ApolloError

OK: Final = "ok"
CANCELLED: Final = "cancelled"


@contextmanager
def observed(tell: Callable[[str, float], None]) -> Iterator[None]:
    """Time one call. `tell` is given its result - OK, CANCELLED or the reason code of its error - and its seconds.

    What goes wrong with the call is an ApolloError by then.
    """
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
        tell(result, time.monotonic() - started)
