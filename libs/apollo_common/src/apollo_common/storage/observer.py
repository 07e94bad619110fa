"""Who hears of calls to S3, for metrics. A port, so that a store needs no metrics library."""

from typing import Final, Protocol


class StorageObserver(Protocol):
    """Called on the event loop; must not block. Operations are named as in the library."""

    def call_ended(self, operation: str, result: str, seconds: float) -> None:
        """`result`: as in apollo_common.calls. A call that found no client to be made with has ended, too."""
        ...

    def repeated(self, operation: str, times: int) -> None:
        """The library has asked again within a call, as far as it tells."""
        ...

    def resumed(self) -> None:
        """A body was cut off or slow, and is read on by another call."""
        ...

    def body_given_up(self, result: str) -> None:
        """It was cut off or slow too often. Its last call had ended well, with the headers. `result`: as above."""
        ...

    def received(self, size_bytes: int) -> None: ...

    def sent(self, size_bytes: int) -> None: ...


class Unobserved:
    def call_ended(self, operation: str, result: str, seconds: float) -> None: ...

    def repeated(self, operation: str, times: int) -> None: ...

    def resumed(self) -> None: ...

    def body_given_up(self, result: str) -> None: ...

    def received(self, size_bytes: int) -> None: ...

    def sent(self, size_bytes: int) -> None: ...


UNOBSERVED: Final = Unobserved()
