"""Who owns what a job has in a cluster, when the API server answers badly at first."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from apollo_common.ids import JobId
from apollo_coordinator.pools.kubernetes.api import CONFIG_MAPS
from apollo_coordinator.pools.kubernetes.errors import KubernetesUnavailable, ObjectMissing
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.ownership import JobOwnership
from support.fake_kubernetes import FakeKubernetes
from support.kubernetes_pools import reach

JOB = JobId("job1")


async def test_a_stateful_set_that_was_not_found_at_first_owns_what_is_made_later():
    async with FakeKubernetes().serving() as fake:
        api = reach(fake)
        try:
            ownership = JobOwnership(api, Names(), "apollo-coordinator")
            with pytest.raises(ObjectMissing):
                await ownership.ensure(JOB)
            root = fake.put("statefulsets", {"metadata": {"name": "apollo-coordinator"}})
            await ownership.ensure(JOB)
        finally:
            await api.close()
    (config_map,) = fake.objects["configmaps"].values()
    assert [owner["uid"] for owner in config_map["metadata"]["ownerReferences"]] == [root["metadata"]["uid"]]


async def test_an_answer_that_is_no_json_is_trouble_of_the_api_server():
    async def login_page(_request: web.Request) -> web.Response:
        return web.Response(text="<html>sign in</html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", login_page)
    async with TestServer(app) as server:
        fake = FakeKubernetes()
        fake.url = str(server.make_url("/")).rstrip("/")
        api = reach(fake)
        try:
            with pytest.raises(KubernetesUnavailable, match="what is no JSON"):
                await api.list(CONFIG_MAPS)
        finally:
            await api.close()
