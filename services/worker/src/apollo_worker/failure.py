"""Turns whatever ended an attempt into the typed failure that the coordinator hears of."""

from apollo_common.errors import ApolloError, FetchFailed, ProgramError, ProgramExited, VolumeFull
from apollo_common.logging import get_logger
from apollo_common.storage.file_errors import NO_SPACE
from apollo_common.units import format_size
from apollo_common.volumes import Volume, shortage
from apollo_proto.apollo.v1 import Failed

STDERR_TAIL_BYTES = 4 << 10

_NO_EXIT_STATUS = -1
_log = get_logger(__name__)


def tell_of_memory(error: ProgramError, limit_bytes: int, peak_bytes: int) -> None:
    """Add to a program's failure that the kernel has killed something of the attempt for want of memory."""
    used = f", and {format_size(peak_bytes)} were used" if peak_bytes else ""
    words = f"Memory had run out: the worker and its programs may use {format_size(limit_bytes)} together{used}"
    error.args = (f"{error}. {words}; let them use less, lower memoryBudget, or give the workers more memory",)


def failed_event(error: Exception, stderr_tail: bytes = b"") -> Failed:
    """The event for `error`. An error that is not Apollo's own is logged whole and reported by its name only.

    `stderr_tail` is what the attempt's programs wrote last; an error of one of them has its own.
    """
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        error = VolumeFull(shortage(Volume.WORKER), volume=Volume.WORKER)
    if isinstance(error, ProgramError):
        stderr_tail = error.stderr_tail
    if not isinstance(error, ApolloError):
        _log.error("attempt met an unexpected error", exc_info=error)
        return Failed(
            reason=ApolloError.reason,
            message=f"the worker met an unexpected {type(error).__name__}; its log has the details",
            retryable=True,
            exit_status=_NO_EXIT_STATUS,
            stderr_tail=stderr_tail[-STDERR_TAIL_BYTES:],
        )
    return Failed(
        reason=error.reason,
        message=str(error),
        retryable=error.retryable,
        exit_status=error.exit_status if isinstance(error, ProgramExited) else _NO_EXIT_STATUS,
        signal=error.signal if isinstance(error, ProgramExited) else 0,
        stderr_tail=stderr_tail[-STDERR_TAIL_BYTES:],
        lost_map_task_id=error.task if isinstance(error, FetchFailed) else "",
        lost_map_attempt_id=error.attempt if isinstance(error, FetchFailed) else "",
        full_volume=error.volume if isinstance(error, VolumeFull) else "",
        needed_bytes=error.needed_bytes if isinstance(error, VolumeFull) else 0,
    )
