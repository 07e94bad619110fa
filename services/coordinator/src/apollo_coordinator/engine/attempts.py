"""One attempt on one worker, from its order to the event that ends it."""

import asyncio
import base64
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import structlog

from apollo_common.errors import (
    ApolloError,
    ArtifactMissing,
    ObjectNotFound,
    WorkerBusy,
    WorkerDrained,
    WorkerUnreachable,
)
from apollo_common.ids import AttemptId, WorkerId, job_of
from apollo_common.key_samples import pack_keys
from apollo_common.lifecycle import cancel_and_wait
from apollo_common.logging import get_logger
from apollo_common.storage.port import AttemptAccess
from apollo_coordinator.core import events
from apollo_coordinator.core.model import Failure
from apollo_coordinator.core.state import task_of
from apollo_coordinator.engine.credentials import keep_renewed
from apollo_coordinator.engine.orders import OrderBook, output_path
from apollo_coordinator.engine.ports import EnginePorts, failure_from
from apollo_coordinator.engine.quarantine import Intake, Quarantine
from apollo_coordinator.engine.retry import retried
from apollo_coordinator.engine.settings import EngineSettings
from apollo_coordinator.order import (
    AttemptCancelled,
    AttemptDone,
    AttemptFailed,
    AttemptLog,
    AttemptOrder,
    AttemptProgress,
    AttemptReport,
    AttemptStarted,
    BadRecord,
)

_log = get_logger(__name__)

Post = Callable[[events.Event], None]
Speak = Callable[[AttemptId, WorkerId], Coroutine[Any, Any, events.AttemptEvent]]


class AttemptRunner:
    """Speaks with workers. Whatever happens to an attempt's stream, exactly one event ends it."""

    def __init__(
        self,
        ports: EnginePorts,
        orders: OrderBook,
        quarantine: Quarantine,
        post: Post,
        settings: EngineSettings,
        jitter: random.Random,
    ) -> None:
        self._ports = ports
        self._orders = orders
        self._quarantine = quarantine
        self._post = post
        self._settings = settings
        self._jitter = jitter
        self._installed: dict[WorkerId, set[str]] = {}

    def forget(self, worker: WorkerId) -> None:
        self._installed.pop(worker, None)

    async def run(self, attempt: AttemptId, worker: WorkerId) -> None:
        await self._to_its_end(attempt, worker, self._run)

    async def attach(self, attempt: AttemptId, worker: WorkerId) -> None:
        await self._to_its_end(attempt, worker, self._attach)

    async def _to_its_end(self, attempt: AttemptId, worker: WorkerId, speak: Speak) -> None:
        # Should this task be cancelled, its worker is gone or the coordinator closes.
        end: events.AttemptEvent = _lost(attempt, worker, WorkerUnreachable("the worker is gone"))
        with structlog.contextvars.bound_contextvars(
            job=job_of(attempt), task=task_of(attempt), attempt=attempt, worker=worker
        ):
            try:
                end = await speak(attempt, worker)
            except WorkerUnreachable as error:
                end = _lost(attempt, worker, error)
                await self._hear_of_its_end()
            except (WorkerBusy, WorkerDrained) as error:
                end = _lost(attempt, worker, error)
            except ApolloError as error:
                end = events.AttemptFailed(attempt, worker, failure_from(error))
            except Exception:  # noqa: BLE001 - a defect costs one attempt, not the job
                _log.exception("attempt lost by a defect of the coordinator")
                message = "the coordinator met an internal error; its log has the details"
                end = events.AttemptLost(attempt, worker, Failure(ApolloError.reason, message))
            finally:
                self._post(end)

    async def _hear_of_its_end(self) -> None:
        """A broken stream does not say whether what ran there is to blame. The pool may, and then this task is
        cancelled: the core knows how the attempt ended.
        """
        if self._ports.pool.tells_ends:
            await asyncio.sleep(self._settings.end_told_seconds)

    async def _run(self, attempt: AttemptId, worker: WorkerId) -> events.AttemptEvent:
        order = await retried(
            lambda: self._orders.order(attempt),
            self._settings.access_backoff,
            self._jitter,
            what=f"order of {attempt}",
            delayed=lambda error: self._post(events.AccessDelayed(job_of(attempt), str(error))),
        )
        if order is None:
            return events.AttemptLost(
                attempt, worker, Failure(WorkerUnreachable.reason, "overtaken before it began"), worker_usable=True
            )
        await self._install(order, worker)
        async with self._renewed(attempt, worker, order.access):
            return await self._follow(attempt, worker, self._ports.pool.link(worker).run(order))

    async def _attach(self, attempt: AttemptId, worker: WorkerId) -> events.AttemptEvent:
        try:
            async with self._renewed(attempt, worker, None):
                return await self._follow(attempt, worker, self._ports.pool.link(worker).attach(attempt))
        except ObjectNotFound as error:
            failure = Failure(WorkerUnreachable.reason, f"the worker does not know the attempt: {error}")
            return events.AttemptLost(attempt, worker, failure, worker_usable=True)

    @asynccontextmanager
    async def _renewed(self, attempt: AttemptId, worker: WorkerId, held: AttemptAccess | None) -> AsyncIterator[None]:
        """Meanwhile the attempt's lent credentials stay fresh."""
        if not self._ports.credentials.lends:
            yield
            return
        seconds = self._settings.renew_seconds
        renewal = asyncio.create_task(
            keep_renewed(attempt, worker, held=held, orders=self._orders, ports=self._ports, every_seconds=seconds)
        )
        try:
            yield
        finally:
            await cancel_and_wait(renewal)

    async def _install(self, order: AttemptOrder, worker: WorkerId) -> None:
        installed = self._installed.setdefault(worker, set())
        for digest in order.spec.artifact_digests:
            if digest not in installed:
                await self._ports.pool.link(worker).install(digest, self._ports.artifacts.path(digest))
                installed.add(digest)

    async def _follow(
        self, attempt: AttemptId, worker: WorkerId, reports: AsyncIterator[AttemptReport]
    ) -> events.AttemptEvent:
        intake = self._quarantine.intake(attempt)
        try:
            async with aclosing(cast(AsyncGenerator[AttemptReport, None], reports)) as stream:
                async for report in stream:
                    end = await self._hear(attempt, worker, report, intake)
                    if end is not None:
                        return end
        finally:
            await self._close_log(attempt)
        raise WorkerUnreachable("the worker stopped speaking of the attempt before its end")

    async def _hear(
        self, attempt: AttemptId, worker: WorkerId, report: AttemptReport, intake: Intake
    ) -> events.AttemptEvent | None:
        match report:
            case AttemptStarted():
                _log.debug("attempt runs", process=report.process_id)
            case AttemptProgress():
                self._post(
                    events.AttemptProgressed(
                        attempt,
                        worker,
                        report.input_bytes,
                        report.input_bytes_total,
                        report.counters,
                        report.status,
                        report.timings,
                    )
                )
            case AttemptLog():
                await self._keep_log(attempt, report)
            case BadRecord():
                await intake.keep(report)
            case AttemptDone():
                return _done(attempt, worker, report)
            case AttemptFailed():
                if report.reason == ArtifactMissing.reason:  # the worker's cache has made room for others
                    self.forget(worker)
                return _failed(attempt, worker, report)
            case AttemptCancelled():
                if report.handed_back:
                    return _lost(attempt, worker, WorkerDrained("the worker was told to end before the attempt had"))
                return events.AttemptCancelled(attempt, worker)
        return None

    async def _keep_log(self, attempt: AttemptId, log: AttemptLog) -> None:
        try:
            await self._ports.logs.append(attempt, log.content, log.offset)
        except ApolloError as error:  # a log is not worth an attempt
            _log.warning("part of the program's log is lost", reason=error.reason, error=str(error))

    async def _close_log(self, attempt: AttemptId) -> None:
        try:
            await self._ports.logs.close_attempt(attempt)
        except ApolloError as error:
            _log.warning("the program's log was not closed", reason=error.reason, error=str(error))


def _lost(attempt: AttemptId, worker: WorkerId, error: ApolloError) -> events.AttemptLost:
    return events.AttemptLost(attempt, worker, failure_from(error))


def _done(attempt: AttemptId, worker: WorkerId, report: AttemptDone) -> events.AttemptDone:
    return events.AttemptDone(
        attempt,
        worker,
        report.counters,
        output_path=output_path(attempt),
        parts=report.parts,
        size_bytes=report.output_bytes,
        records=report.output_records,
        sha256=report.output_sha256,
        sample=base64.b64encode(pack_keys(report.sample_keys)).decode() if report.sample_keys else "",
        timings=report.timings,
        largest_group=report.largest_group,
    )


def _failed(attempt: AttemptId, worker: WorkerId, report: AttemptFailed) -> events.AttemptEvent:
    failure = Failure(
        report.reason,
        report.message,
        retryable=report.retryable,
        exit_status=report.exit_status,
        signal=report.signal,
        stderr_tail=report.stderr_tail,
        bad_record=report.bad_record,
        full_volume=report.full_volume,
        needed_bytes=report.needed_bytes,
    )
    if report.lost_map_attempt is not None:
        return events.FetchFailed(attempt, worker, report.lost_map_attempt, failure)
    return events.AttemptFailed(attempt, worker, failure)
