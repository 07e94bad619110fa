"""Ends the jobs of a coordinator that nobody will start again: the one of an `apollo run` that was killed."""

from contextlib import AsyncExitStack
from pathlib import Path

from apollo_common.errors import ApolloError
from apollo_common.logging import get_logger
from apollo_common.storage.open import Stores
from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.orders import OrderBook
from apollo_coordinator.engine.recovery import fold
from apollo_coordinator.store.bad_records import BadRecordFiles
from apollo_coordinator.store.commit import StoredOutput
from apollo_coordinator.store.journal import JOURNAL_FILE, SqliteJournal
from apollo_coordinator.store.secrets import SecretFiles

_log = get_logger(__name__)


async def end_abandoned(data_dir: Path) -> None:
    """Finish the commits that had begun and abort the uploads of all other jobs. The directory itself stays.

    What a job's storage refuses is logged. Errors: those of opening the journal.
    """
    if not (data_dir / JOURNAL_FILE).exists():
        return
    async with AsyncExitStack() as opened:
        journal = await SqliteJournal.open(data_dir)
        opened.push_async_callback(journal.close)
        stores = Stores(StorePolicy(file_roots=None, environment_endpoints=None))
        opened.push_async_callback(stores.close)
        state = State(Limits())
        async for stored in journal.read_open():
            fold(state, stored)
        output = StoredOutput(stores)
        orders = OrderBook(state, SecretFiles(data_dir / "secrets"), BadRecordFiles(data_dir / "bad-records"))
        opened.push_async_callback(orders.close)
        for queue in state.queues.values():
            job = queue.job
            end = output.commit if job.status is JobStatus.COMMITTING else output.discard
            try:
                access = await orders.access(job.id)
                await end(job, access.output_access)
            except ApolloError as error:
                _log.warning("a job of before leaves something behind", job=job.id, error=str(error))
