"""What dead jobs left behind while nobody could clean up after them. Runs beside the jobs once, after the start.

A job that the state knows is safe: it is there before anything of it is written anywhere.
"""

from collections.abc import Awaitable, Callable

from apollo_common.errors import ApolloError
from apollo_common.ids import JobId
from apollo_common.logging import get_logger
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.ports import EnginePorts

_log = get_logger(__name__)


async def sweep(ports: EnginePorts, state: State) -> None:
    """Each place by itself: one that cannot be swept is logged and waits for the next start."""
    await _swept("expired jobs", ports.journal.sweep)
    await _swept("logs", lambda: _logs(ports, state))
    await _swept("intermediate data", lambda: _intermediate(ports, state))


async def _logs(ports: EnginePorts, state: State) -> int:
    """Lines that came when their job was forgotten already."""
    count = 0
    for job in await ports.logs.jobs():
        if job not in state.jobs:
            await ports.logs.forget(job)
            count += 1
    return count


async def _intermediate(ports: EnginePorts, state: State) -> int:
    """Map outputs that a worker wrote after its job was cleaned up, and those of jobs that nobody knows any more."""
    found = await ports.intermediate.jobs()
    strangers = [job for job in found if job not in state.jobs]
    if strangers and await ports.intermediate.shared():
        _log.warning(
            "intermediate data of unknown jobs stays: another coordinator has used the volume",
            jobs=len(strangers),
        )
        strangers = []
    count = 0
    for job in (*strangers, *(job for job in found if _has_left(state, job))):
        await ports.intermediate.remove(job)
        count += 1
    return count


def _has_left(state: State, job: JobId) -> bool:
    known = state.jobs.get(job)
    return known is not None and job not in state.queues and not known.spec.keep_intermediate


async def _swept(what: str, work: Callable[[], Awaitable[int]]) -> None:
    try:
        count = await work()
    except ApolloError as error:
        _log.warning("not all was swept", what=what, reason=error.reason, error=str(error))
    else:
        if count:
            _log.info("swept what dead jobs had left", what=what, jobs=count)
