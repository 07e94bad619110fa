"""Who owns what a job has in a cluster, when the API server answers badly at first."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from apollo_common.errors import CredentialsUnusable
from apollo_common.ids import JobId
from apollo_common.lifecycle import cancel_and_wait
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.pools.kubernetes.api import CONFIG_MAPS
from apollo_coordinator.pools.kubernetes.errors import KubernetesUnavailable, ObjectMissing
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.ownership import ClusterSecrets, JobOwnership
from apollo_coordinator.ports import JobSecrets
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


async def test_keys_of_a_config_map_that_is_gone_are_not_taken_for_the_next_ones():
    """The garbage collector is about to delete their Secret: pods could not mount it."""
    async with FakeKubernetes().serving() as fake:
        api, name = reach(fake), Names().job_object(JOB)
        try:
            ownership = JobOwnership(api, Names())
            before = await ownership.ensure(JOB)
            del fake.objects["configmaps"][name]
            ownership.doubt(JOB)
            with pytest.raises(KubernetesUnavailable, match="is of a ConfigMap that is gone"):
                await ownership.ensure(JOB)
            fake.remove("secrets", name)
            after = await ownership.ensure(JOB)
        finally:
            await api.close()
    assert after.owner.uid == fake.objects["configmaps"][name]["metadata"]["uid"] != before.owner.uid


async def test_keys_that_were_read_once_are_at_hand_while_another_jobs_are_made():
    async with FakeKubernetes().serving() as fake:
        api = reach(fake)
        try:
            await JobOwnership(api, Names()).ensure(JOB)
            ownership = JobOwnership(api, Names())
            read = await ownership.tls(JOB)
            fake.held = ("POST", "configmaps")
            making = asyncio.create_task(ownership.ensure(JobId("other")))
            try:
                async with asyncio.timeout(20):
                    while fake.count("POST", "configmaps") < 2:
                        await asyncio.sleep(0.01)
                    assert await ownership.tls(JOB) is read
            finally:
                await cancel_and_wait(making)
        finally:
            await api.close()


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


async def test_credentials_of_a_job_are_what_it_brought_or_refused():
    brought = JobSecrets(StorageAccess("", "", "in", "x"), StorageAccess("", "", "out", "y"))
    async with FakeKubernetes().serving() as fake:
        api, name = reach(fake), Names().storage_secret(JOB)
        try:
            secrets = ClusterSecrets(api, Names(), JobOwnership(api, Names()))
            await secrets.put(JOB, brought)
            assert await secrets.get(JOB) == brought
            fake.remove("secrets", name)
            assert await secrets.get(JOB) is None
            fake.put("secrets", {"metadata": {"name": name}, "data": {"access.json": "e30="}})
            with pytest.raises(CredentialsUnusable, match="somebody has replaced it"):
                await secrets.get(JOB)
        finally:
            await api.close()
