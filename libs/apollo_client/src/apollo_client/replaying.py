"""A replay in this process: the worker's own code runs one attempt, with what the coordinator hands out for it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from apollo_client.errors import CannotReplay, CoordinatorUnreachable, NotACoordinator, RequestRefused
from apollo_client.local import quiet_logging, sandbox_of_own_programs, service_module
from apollo_client.private_directory import REPLAY_PREFIX, abandoned_directories, new_private_directory
from apollo_client.rest import Document, RestClient
from apollo_common import errors
from apollo_common.fingerprints import fingerprint

_NO_TERMINAL: Final = -1
_ELSEWHERE: Final = (
    errors.ArtifactCorrupt,
    errors.BucketNotFound,
    errors.FetchFailed,
    errors.InputChanged,
    errors.MemoryBudgetTooLarge,
    errors.ObjectNotFound,
    errors.StorageAccessDenied,
    errors.StorageUnavailable,
    errors.VolumeFull,
    CoordinatorUnreachable,
    NotACoordinator,
    RequestRefused,
)
"""What says nothing of the program: the attempt cannot be run here as it was there."""
_OF_BAD_RECORDS: Final = frozenset((errors.TooManyBadRecords.reason, errors.QuarantineFull.reason))


@dataclass(frozen=True, slots=True)
class Replayed:
    """How it went here. `failure` has reason, message, exitStatus, signal and stderrTail, as in the API; None: it
    succeeded.
    """

    counters: dict[str, dict[str, int]]
    failure: Document | None

    def fails_like(self, other: Document) -> bool:
        """Whether it has the same cause as a failure of the API, as far as their fingerprints tell.

        A search for bad records that ended for their number or size has no cause but that; the coordinator words it.
        """
        if self.failure is None or self.failure["reason"] != other.get("reason"):
            return False
        return other["reason"] in _OF_BAD_RECORDS or _fingerprint(self.failure) == _fingerprint(other)


class CoordinatorSource:
    """See apollo_worker.replay.source.Source."""

    def __init__(self, client: RestClient) -> None:
        self._client = client

    def artifact(self, digest: str) -> AsyncGenerator[bytes, None]:
        return self._client.artifact_bytes(digest)

    async def map_output(self, attempt: str, file: str, offset: int, length_bytes: int) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(self._client.map_output(attempt, file, offset, length_bytes)) as content:
                async for chunk in content:
                    yield chunk
        except RequestRefused as error:
            if error.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            what = f"map output {attempt}, which the attempt read, is damaged: its file is shorter than it was"
            raise errors.FetchFailed(what, task="", attempt=attempt) from None


async def replay(
    client: RestClient,
    document: Document,
    *,
    words: Sequence[str],
    output: Path | None,
    keep: Path | None,
    stderr: Callable[[bytes], None],
) -> Replayed:
    """Run again what `RestClient.replay` has told of. CannotReplay; errors of the client, OSError.

    `words` run the programs; `output` is a file, `keep` an empty directory, both absolute; `stderr` hears what programs
    write there.
    """
    quiet_logging("worker")
    worker = service_module("apollo_worker.replay.attempt")
    for orphan in abandoned_directories(REPLAY_PREFIX):
        orphan.remove()
    directory = new_private_directory(REPLAY_PREFIX)
    try:
        with _terminal(document, words) as terminal:
            options = worker.Options(words, terminal, output, keep, sandbox_of_own_programs())
            attempt = worker.Replay(document, CoordinatorSource(client), directory.path, options, stderr=stderr)
            try:
                return _replayed(await attempt.run())
            finally:
                await attempt.close()
    except _ELSEWHERE as error:
        raise _cannot(str(error)) from error
    finally:
        directory.remove()


@contextmanager
def _terminal(document: Document, words: Sequence[str]) -> Iterator[int]:
    """A descriptor of the terminal for a debugger, whose Ctrl-C is then its own; -1 where there is none to give."""
    program = document["assignment"].get("program", {})
    if not words or program.get("protocol") != "PROTOCOL_FRAMES" or not sys.stdin.isatty():
        yield _NO_TERMINAL
        return
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR)
    except OSError:  # what it reads from is a terminal, but not its own
        yield _NO_TERMINAL
        return
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _replayed(end: Any) -> Replayed:
    """From what the worker's code answers, a ReplayEnd."""
    failed = end.failure
    if failed is None:
        return Replayed(end.counters, None)
    if failed.reason in {error.reason for error in _ELSEWHERE}:
        raise _cannot(failed.message)
    failure: Document = {"reason": failed.reason, "message": failed.message}
    if failed.exit_status >= 0:
        failure["exitStatus"] = failed.exit_status
    if failed.signal:
        failure["signal"] = failed.signal
    if failed.stderr_tail:
        failure["stderrTail"] = failed.stderr_tail.decode(errors="replace")
    return Replayed(end.counters, failure)


def _fingerprint(failure: Document) -> str:
    """Of one by a program that both failures have in common."""
    return fingerprint(
        reason=failure["reason"],
        program="",
        message=failure["message"],
        exit_status=failure.get("exitStatus"),
        signal=failure.get("signal"),
        stderr=failure.get("stderrTail", ""),
    )


def _cannot(why: str) -> CannotReplay:
    return CannotReplay(f"The attempt cannot be run again here: {why}")
