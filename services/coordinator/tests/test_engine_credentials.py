"""Credentials that an attempt is lent: with its order, again in time, and again after a restart."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from apollo_common.backoff import Backoff
from apollo_common.errors import CredentialsUnusable, StorageAccessDenied, StorageUnavailable
from apollo_common.ids import JobId
from apollo_common.storage.port import AttemptAccess, StorageAccess
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.engine import Engine
from apollo_coordinator.engine.orders import OrderBook
from apollo_coordinator.order import AttemptOrder, AttemptReport, IntermediatePlace
from apollo_coordinator.pools.kubernetes.errors import KubernetesUnavailable
from apollo_coordinator.ports import JobSecrets
from apollo_coordinator.store.memory import MemoryBadRecords, MemorySecretStore
from support.engine import QUICK, Site, ended, engine_ports, hang_on, until
from support.scheduling import a_spec, splits

RENEWING = replace(QUICK, renew_seconds=0.02, access_backoff=Backoff(first_ms=1, limit_ms=20))
ON_S3 = {"input_paths": ("s3://bucket/in",), "output_path": "s3://bucket/out"}
NOBODY_ANSWERS = StorageUnavailable("nobody answers")
NAMED = StorageAccess("", "", "named", "secret")
OWN = JobSecrets(StorageAccess("", "", "in", "x"), StorageAccess("", "", "out", "x"))


class Lender:
    """Lends `keys`, which change as a test says."""

    lends = True

    def __init__(self) -> None:
        self.keys = "first"
        self.error: Exception | None = None
        self.refused = 0
        self.named_for: list[tuple[str, frozenset[str]]] = []

    async def named(self, name: str, endpoints: frozenset[str]) -> StorageAccess:
        self.named_for.append((name, endpoints))
        if name != "known":
            raise CredentialsUnusable(f"there is no Secret {name}")
        return NAMED

    async def lend(self, access: StorageAccess) -> StorageAccess:
        if self.error is not None:
            self.refused += 1
            raise self.error
        return access if access.access_key_id else self.access

    @property
    def access(self) -> StorageAccess:
        return StorageAccess("", "", self.keys, f"secret of {self.keys}")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    site.input = type(site.input)({"s3://bucket/in": list(splits(1)), "file:///in": list(splits(1))})
    yield site
    await site.close()


@asynccontextmanager
async def coordinator(site: Site, lender: Lender, place: IntermediatePlace | None = None) -> AsyncIterator[Engine]:
    site.pool = site.make_pool()
    engine = Engine(replace(engine_ports(site), credentials=lender, intermediate_place=place), RENEWING)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()
        await site.pool.close()


class Orders:
    """Keeps the orders that a worker gets."""

    def __init__(self, *hanging: str) -> None:
        self.seen: list[AttemptOrder] = []
        self._program = hang_on(*hanging)

    async def __call__(self, order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        self.seen.append(order)
        async for report in self._program(order):
            yield report


async def test_attempts_are_lent_what_their_job_does_not_bring(site):
    lender, orders = Lender(), Orders()
    site.add_workers(1, orders)
    async with coordinator(site, lender) as engine:
        job = (await engine.submit(a_spec(**ON_S3), None)).job.id
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
    assert {(order.input_access, order.output_access) for order in orders.seen} == {(lender.access, lender.access)}


async def test_a_bucket_of_map_outputs_is_reached_with_what_is_lent(site):
    lender, orders = Lender(), Orders()
    site.add_workers(1, orders)
    place = IntermediatePlace("s3://scratch/apollo", StorageAccess())
    async with coordinator(site, lender, place) as engine:
        job = (await engine.submit(a_spec(), None)).job.id  # reads and writes on a disk
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
    assert {order.intermediate.access for order in orders.seen if order.intermediate} == {lender.access}
    assert {order.access.input for order in orders.seen} == {StorageAccess()}


async def test_what_lies_on_a_disk_needs_nothing_lent(site):
    lender, orders = Lender(), Orders()
    lender.error = NOBODY_ANSWERS
    site.add_workers(1, orders)
    async with coordinator(site, lender) as engine:
        job = (await engine.submit(a_spec(), None)).job.id
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
    assert {order.input_access for order in orders.seen} == {StorageAccess()}


async def test_fresh_credentials_reach_a_running_attempt_once(site):
    lender, orders = Lender(), Orders("m-00000-0")
    site.add_workers(1, orders)
    (worker,) = site.workers
    async with coordinator(site, lender) as engine:
        await engine.submit(a_spec(**ON_S3), None)
        await until(lambda: orders.seen)
        await asyncio.sleep(5 * RENEWING.renew_seconds)
        assert worker.renewals == [], "what it has is fresh"
        lender.keys = "second"
        await until(lambda: worker.renewals)
        await asyncio.sleep(5 * RENEWING.renew_seconds)
        assert worker.renewals == [AttemptAccess(lender.access, lender.access, StorageAccess())]


@pytest.mark.parametrize(("error", "told"), [
    (NOBODY_ANSWERS, "nobody answers"),
    (StorageAccessDenied("refused"), "refused"),
    (ValueError("meets a case that nobody thought of"), "a defect of the coordinator"),
])  # fmt: skip
async def test_an_error_is_told_and_the_lender_asked_again(site, error, told):
    lender, orders = Lender(), Orders("m-00000-0")
    site.add_workers(1, orders)
    (worker,) = site.workers
    async with coordinator(site, lender) as engine:
        await engine.submit(a_spec(**ON_S3), None)
        await until(lambda: orders.seen)
        lender.error, lender.keys = error, "second"
        with capture_logs() as logs:
            await until(lambda: lender.refused > 2)
        assert worker.renewals == []
        lender.error = None
        await until(lambda: worker.renewals)
    assert told in str(logs)


async def test_an_attempt_waits_for_credentials_that_cannot_be_had_now(site):
    lender, orders = Lender(), Orders()
    lender.error = NOBODY_ANSWERS
    site.add_workers(1, orders)
    async with coordinator(site, lender) as engine:
        job = (await engine.submit(a_spec(**ON_S3, max_attempts=1), None)).job.id
        await until(lambda: lender.refused > 1)
        lender.error = None
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED


class AwayKeeper(MemorySecretStore):
    """Its place does not answer for a while, as an API server that is being upgraded."""

    def __init__(self, times: int, known: dict[JobId, JobSecrets] | None = None) -> None:
        super().__init__()
        self.secrets = known or {}
        self.times = times

    async def get(self, job: JobId) -> JobSecrets | None:
        self.times -= 1
        if self.times >= 0:
            raise KubernetesUnavailable("the API server does not answer")
        return await super().get(job)


@pytest.mark.parametrize("n_reducers", [0, 1])
async def test_a_job_whose_credentials_nobody_hands_out_waits_and_loses_no_attempt(site, n_reducers):
    """Longer than a plan, an output or an order is tried for otherwise: QUICK gives up after three."""
    site.secrets = AwayKeeper(30)
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        job = (await engine.submit(a_spec(**ON_S3, max_attempts=1, n_reducers=n_reducers), OWN)).job.id
        await until(lambda: engine.job(job).trouble)
        assert engine.job(job).trouble == "the API server does not answer"
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        assert [len(task.attempts) for task in await engine.tasks(job)] == [1] * (1 + n_reducers)


async def test_after_a_restart_too_a_job_waits_for_its_credentials(site):
    async with site.coordinator(QUICK) as engine:
        job = (await engine.submit(a_spec(**ON_S3, max_attempts=1, n_reducers=0), OWN)).job.id
        await until(lambda: engine.job(job).planned)
    site.secrets = AwayKeeper(30, site.secrets.secrets)
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        await until(lambda: engine.job(job).trouble)
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
        assert [len(task.attempts) for task in await engine.tasks(job)] == [1]


async def test_an_attempt_that_is_over_waits_for_credentials_no_longer(site):
    async with site.coordinator(QUICK) as engine:
        job = (await engine.submit(a_spec(**ON_S3, n_reducers=0), OWN)).job.id
        await until(lambda: engine.job(job).planned)
    site.secrets = AwayKeeper(sys.maxsize, site.secrets.secrets)
    site.add_workers(1)
    async with site.coordinator(QUICK) as engine:
        await until(lambda: engine.job(job).trouble)
        assert opens_outputs()
        site.pool.remove(site.workers[0].id, "its pod was deleted")
        await until(lambda: not opens_outputs())


def opens_outputs() -> bool:
    return any(task.get_name() == "OpenOutput" for task in asyncio.all_tasks())


class SlowKeeper(MemorySecretStore):
    """Answers when it is let; counts who asks."""

    def __init__(self, known: dict[JobId, JobSecrets]) -> None:
        super().__init__()
        self.secrets = known
        self.asked = 0
        self.answers = asyncio.Event()
        self.errors: list[Exception] = []

    async def get(self, job: JobId) -> JobSecrets | None:
        self.asked += 1
        await self.answers.wait()
        if self.errors:
            raise self.errors.pop()
        return await super().get(job)


async def an_order_book(engine: Engine) -> tuple[OrderBook, SlowKeeper, JobId]:
    """Of an engine that has been told of one job with credentials of its own."""
    job = (await engine.submit(a_spec(**ON_S3), OWN)).job.id
    keeper = SlowKeeper({job: OWN})
    return OrderBook(engine.state, keeper, MemoryBadRecords()), keeper, job


async def test_all_who_want_a_jobs_credentials_at_once_share_one_question(site):
    async with site.coordinator(QUICK) as engine:
        orders, keeper, job = await an_order_book(engine)
        first, *others = [asyncio.create_task(orders.access(job)) for _ in range(50)]
        await until(lambda: keeper.asked)
        first.cancel()
        keeper.answers.set()
        assert await asyncio.gather(*others) == [OWN] * 49
        assert await orders.access(job) == OWN
        assert keeper.asked == 1
        await orders.close()


async def test_all_who_share_a_question_hear_that_it_went_wrong_and_may_ask_again(site):
    async with site.coordinator(QUICK) as engine:
        orders, keeper, job = await an_order_book(engine)
        keeper.errors.append(KubernetesUnavailable("the API server does not answer"))
        asking = [asyncio.create_task(orders.access(job)) for _ in range(3)]
        await until(lambda: keeper.asked)
        keeper.answers.set()
        told = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(error) for error in told] == [KubernetesUnavailable] * 3
        assert await orders.access(job) == OWN
        assert keeper.asked == 2
        await orders.close()


async def test_credentials_that_come_after_their_job_was_forgotten_are_not_kept(site):
    async with site.coordinator(QUICK) as engine:
        orders, keeper, job = await an_order_book(engine)
        late = asyncio.create_task(orders.access(job))
        await until(lambda: keeper.asked)
        orders.forget(job)
        keeper.answers.set()
        assert await late == OWN
        await orders.access(job)
        assert keeper.asked == 2
        await orders.close()


async def test_closing_ends_the_question_under_way(site):
    async with site.coordinator(QUICK) as engine:
        orders, keeper, job = await an_order_book(engine)
        asking = asyncio.create_task(orders.access(job))
        await until(lambda: keeper.asked)
        await orders.close()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_stopped_job_does_not_wait_for_its_credentials(site):
    lender = Lender()
    lender.error = NOBODY_ANSWERS
    site.add_workers(1)
    async with coordinator(site, lender) as engine:
        job = (await engine.submit(a_spec(**ON_S3), None)).job.id
        await until(lambda: engine.job(job).trouble)
        await engine.stop(job)
        await until(lambda: not engine.state.queues)


async def test_an_attempt_that_a_restart_finds_gets_credentials_again(site):
    lender, orders = Lender(), Orders("m-00000-0")
    site.add_workers(1, orders)
    (worker,) = site.workers
    async with coordinator(site, lender) as engine:
        await engine.submit(a_spec(**ON_S3), None)
        await until(lambda: worker.busy_with)
    async with coordinator(site, lender):
        await until(lambda: worker.renewals)
    assert len(orders.seen) == 1


async def test_a_job_with_credentials_of_its_own_is_lent_none(site):
    lender, orders = Lender(), Orders("m-00000-0")
    site.add_workers(1, orders)
    (worker,) = site.workers
    async with coordinator(site, lender) as engine:
        await engine.submit(a_spec(**ON_S3), OWN)
        await until(lambda: worker.busy_with)
        assert (orders.seen[0].input_access.access_key_id, orders.seen[0].output_access.access_key_id) == ("in", "out")
    async with coordinator(site, lender):
        await asyncio.sleep(5 * RENEWING.renew_seconds)
        assert worker.renewals == []


async def test_a_job_whose_own_credentials_were_deleted_fails_and_never_runs_with_others(site):
    lender, orders = Lender(), Orders()
    async with coordinator(site, lender) as engine:
        job = (await engine.submit(a_spec(**ON_S3), OWN)).job.id
    site.secrets.secrets.clear()
    site.add_workers(1, orders)
    async with coordinator(site, lender) as engine:
        failure = (await ended(engine, job)).failure
    assert failure is not None
    assert (failure.reason, failure.retryable) == ("credentials_unusable", False)
    assert "Submit the job again" in failure.message
    assert orders.seen == []


class LostAnswers(MemorySecretStore):
    """Keeps what it is given and cannot say so; removes things only when `works`."""

    works = True

    async def put(self, job: JobId, secrets: JobSecrets) -> None:
        await super().put(job, secrets)
        raise StorageUnavailable("no answer to put")

    async def delete(self, job: JobId) -> None:
        if not self.works:
            raise StorageUnavailable("no answer to delete")
        await super().delete(job)


async def test_credentials_whose_keeping_nobody_confirmed_are_forgotten(site):
    site.secrets = LostAnswers()
    async with coordinator(site, Lender()) as engine:
        with pytest.raises(StorageUnavailable, match="no answer to put"):
            await engine.submit(a_spec(**ON_S3), OWN)
        assert (engine.jobs(), site.secrets.secrets) == ([], {})
        site.secrets.works = False
        with pytest.raises(StorageUnavailable, match="no answer to put"):
            await engine.submit(a_spec(**ON_S3), OWN)
        assert len(site.secrets.secrets) == 1
    async with coordinator(site, Lender()):
        assert site.secrets.secrets == {}


async def test_a_named_secret_serves_both_sides_also_after_a_restart(site):
    lender, orders = Lender(), Orders("m-00000-0")
    spec = a_spec(**ON_S3, credentials_secret="known")
    async with coordinator(site, lender) as engine:
        await engine.submit(spec, None)
    site.add_workers(1, orders)
    async with coordinator(site, lender):
        await until(lambda: orders.seen)
    assert (orders.seen[0].input_access, orders.seen[0].output_access) == (NAMED, NAMED)


async def test_a_secret_is_asked_for_the_endpoints_that_the_job_names(site):
    lender = Lender()
    spec = a_spec(
        input_paths=("s3://bucket/in",), output_path="https://other:9000/bucket/out", credentials_secret="known"
    )
    async with coordinator(site, lender) as engine:
        await engine.submit(spec, None)
    assert lender.named_for[0] == ("known", frozenset({"https://other:9000"}))


async def test_a_job_that_names_an_unusable_secret_is_refused(site):
    async with coordinator(site, Lender()) as engine:
        with pytest.raises(CredentialsUnusable, match="there is no Secret other"):
            await engine.submit(a_spec(**ON_S3, credentials_secret="other"), None)
        assert not engine.jobs()
