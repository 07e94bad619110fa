"""The pool from an operator's settings."""

import subprocess
import sys

import pytest
import yaml

from apollo_common.errors import InvalidSetting
from apollo_coordinator.pools.kubernetes import assembly
from apollo_coordinator.pools.kubernetes.assembly import ClusterAccess, open_cluster
from apollo_coordinator.pools.kubernetes.settings import KubernetesPoolSettings
from apollo_coordinator.pools.kubernetes.template import PodTemplate
from apollo_coordinator.settings import CoordinatorSettings
from support.kubernetes_pools import worker_manifest
from support.pools import connect

KUBECONFIG = {
    "current-context": "test",
    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    "clusters": [{"name": "test", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "test", "user": {"token": "t"}}],
}


async def open_with(
    tmp_path,
    *,
    kubeconfig: object = KUBECONFIG,
    namespace: str = "here",
    settings: KubernetesPoolSettings | None = None,
    stateful_set: str = "",
    shared_volume: bool = True,
) -> ClusterAccess:
    template, config = tmp_path / "worker-pod.yaml", tmp_path / "kubeconfig"
    template.write_text(yaml.safe_dump(worker_manifest()))
    if kubeconfig is not None:
        config.write_text(yaml.safe_dump(kubeconfig))
    return await open_cluster(
        settings or KubernetesPoolSettings(),
        connect,
        template=template,
        namespace=namespace,
        instance="apollo",
        stateful_set=stateful_set,
        kubeconfig=config,
        shared_volume=shared_volume,
    )


def test_other_pools_do_not_load_the_client_library():
    code = "import sys, apollo_coordinator.app; sys.exit('kubernetes_asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_a_cluster_is_opened_without_a_call(tmp_path):
    cluster = await open_with(tmp_path)
    assert cluster.api.namespace == "here"
    await cluster.api.close()


async def test_outside_a_pod_the_namespace_has_to_be_named(tmp_path):
    with pytest.raises(InvalidSetting, match="APOLLO_KUBERNETES_NAMESPACE"):
        await open_with(tmp_path, namespace="")


@pytest.mark.parametrize("kubeconfig", [None, {}, {"current-context": "missing", "contexts": []}])
async def test_a_kubeconfig_that_says_nothing_is_refused(tmp_path, kubeconfig):
    with pytest.raises(InvalidSetting, match="where the Kubernetes API is"):
        await open_with(tmp_path, kubeconfig=kubeconfig)


@pytest.mark.parametrize("instance", ["Apollo", "1st", "a" * 21, "ends-", ""])
def test_an_instance_that_cannot_name_objects_is_refused(instance):
    with pytest.raises(InvalidSetting, match="APOLLO_KUBERNETES_INSTANCE"):
        CoordinatorSettings.load({}, kubernetes_instance=instance)


@pytest.fixture
def beside(monkeypatch) -> list[object]:
    """Whose node the workers of each pool that is opened have to share."""
    loaded: list[object] = []
    monkeypatch.setattr(
        assembly.PodTemplate, "load", lambda *_, beside, **__: loaded.append(beside) or PodTemplate(worker_manifest())
    )
    return loaded


@pytest.mark.parametrize(("stateful_set", "component"), [("apollo-coordinator", "coordinator"), ("", "worker")])
async def test_on_one_node_workers_go_where_the_coordinator_is_or_keep_together(
    tmp_path, stateful_set, component, beside
):
    for single_node in (True, False):
        settings = KubernetesPoolSettings(single_node=single_node)
        cluster = await open_with(tmp_path, settings=settings, stateful_set=stateful_set)
        await cluster.api.close()
    labels = {"app.kubernetes.io/component": component, "app.kubernetes.io/instance": "apollo"}
    assert beside == [labels, None]


async def test_without_a_shared_volume_workers_go_to_any_node(tmp_path, beside):
    settings = KubernetesPoolSettings(single_node=True)
    cluster = await open_with(tmp_path, settings=settings, stateful_set="apollo-coordinator", shared_volume=False)
    await cluster.api.close()
    assert beside == [None]
