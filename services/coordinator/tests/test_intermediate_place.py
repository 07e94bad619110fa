"""Which attempts are told where map outputs lie, and how it reaches a worker."""

from dataclasses import replace

import pytest

from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.engine import Engine
from apollo_coordinator.order import AttemptOrder, IntermediatePlace
from apollo_coordinator.rpc.convert import to_assignment
from apollo_proto.apollo import v1
from support.engine import QUICK, Site, ended, submit, succeed
from support.orders import map_order

PLACE = IntermediatePlace("s3://bucket/map outputs", StorageAccess("http://s3", "r", "id", "secret", "token"))


@pytest.mark.parametrize(("n_reducers", "told"), [(2, PLACE), (0, None)], ids=["shuffles", "map-only"])
async def test_all_attempts_of_a_job_that_shuffles_are_told(n_reducers, told):
    orders: list[AttemptOrder] = []

    async def program(order: AttemptOrder):
        orders.append(order)
        async for report in succeed(order):
            yield report

    site = Site()
    site.make_engine = lambda ports, *given, **named: Engine(replace(ports, intermediate_place=PLACE), *given, **named)
    site.add_workers(2, program)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, n_reducers=n_reducers)
        assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
    await site.close()
    assert len(orders) == 3 + n_reducers
    assert [order.intermediate for order in orders] == [told] * len(orders)


def test_the_place_travels_with_its_access():
    assignment = v1.TaskAssignment.parse(bytes(to_assignment(replace(map_order(""), intermediate=PLACE))))
    assert assignment.intermediate == v1.Intermediate(
        url=PLACE.url,
        access=v1.StorageAccess(
            endpoint_url="http://s3", region="r", access_key_id="id", secret_access_key="secret", session_token="token"
        ),
    )
    assert v1.TaskAssignment.parse(bytes(to_assignment(map_order("")))).intermediate is None


def test_the_place_shows_no_secret():
    assert "secret" not in repr(PLACE)
