"""What attempts call object stores with when their job brought no credentials, and how it stays fresh."""

import asyncio

from apollo_common.errors import ApolloError
from apollo_common.ids import AttemptId, WorkerId, job_of
from apollo_common.logging import get_logger
from apollo_common.storage.port import AttemptAccess
from apollo_coordinator.engine.orders import OrderBook
from apollo_coordinator.engine.ports import EnginePorts

_log = get_logger(__name__)


async def keep_renewed(
    attempt: AttemptId,
    worker: WorkerId,
    *,
    held: AttemptAccess | None,
    orders: OrderBook,
    ports: EnginePorts,
    every_seconds: float,
) -> None:
    """Tell the worker of fresh credentials as they come, until it is cancelled or when nothing is lent to the attempt.

    `held`: what it has; None when that is not known, as after a restart. No error ends it: what the worker has is good
    for some minutes more, and an attempt whose credentials do end fails by its store's refusal, which is tried again.
    """
    job = job_of(attempt)
    while True:
        try:
            lent = await orders.lent_access(job)
            if lent == await orders.attempt_access(job):
                return
            if lent != held:
                await ports.pool.link(worker).renew(attempt, lent)
                held = lent
        except ApolloError as error:
            _log.warning(
                "storage credentials are not renewed yet",
                attempt=attempt,
                worker=worker,
                reason=error.reason,
                error=str(error),
            )
        except Exception:  # noqa: BLE001 - a defect in one look must not be the last
            _log.exception(
                "storage credentials are not renewed yet: a defect of the coordinator", attempt=attempt, worker=worker
            )
        await asyncio.sleep(every_seconds)
