"""Builds this pool, and the store of jobs' credentials that goes with it, from an operator's settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from apollo_common.errors import InvalidSetting
from apollo_common.storage.policy import NOTHING_ALLOWED, StorePolicy
from apollo_coordinator.pools.kubernetes.api import KubernetesApi
from apollo_coordinator.pools.kubernetes.credentials import ClusterCredentials
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.ownership import ClusterSecrets, JobOwnership
from apollo_coordinator.pools.kubernetes.pool import KubernetesPool
from apollo_coordinator.pools.kubernetes.settings import KubernetesPoolSettings
from apollo_coordinator.pools.kubernetes.template import PodTemplate
from apollo_coordinator.pools.supervision import Connect

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Close `api` last."""

    api: KubernetesApi
    pool: KubernetesPool
    secrets: ClusterSecrets
    credentials: ClusterCredentials


async def open_cluster(
    settings: KubernetesPoolSettings,
    connect: Connect,
    *,
    policy: StorePolicy = NOTHING_ALLOWED,
    template: Path,
    image: str = "",
    priority_class: str = "",
    annotations: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    namespace: str = "",
    instance: str,
    stateful_set: str = "",
    kubeconfig: Path | None = None,
    shared_volume: bool = True,
) -> ClusterAccess:
    """`namespace` is the pod's own unless it is given, `image` and `priority_class` the template's; `annotations`,
    NAME=VALUE each, are beside the template's. Workers learn from `environment` where `s3://` lives. `shared_volume`:
    whether map outputs lie on a volume that they mount. InvalidSetting. The API server is not called yet.
    """
    names = Names(instance)
    manifest = PodTemplate.load(
        template,
        image=image,
        priority_class=priority_class,
        annotations=annotations,
        environment=environment,
        shared_volume=shared_volume,
        beside=_node_mates(names, stateful_set) if settings.single_node and shared_volume else None,
    )
    api = await KubernetesApi.connect(namespace or _own_namespace(), kubeconfig)
    ownership = JobOwnership(api, names, stateful_set)
    pool = KubernetesPool(api, names, manifest, ownership, connect, settings)
    return ClusterAccess(api, pool, ClusterSecrets(api, names, ownership), ClusterCredentials(api, policy))


def _node_mates(names: Names, stateful_set: str) -> dict[str, str]:
    """Whose node workers have to share where one node alone can mount their volume: the coordinator's, which mounts it,
    too. One outside the cluster does not: then workers keep together.
    """
    return names.pods_of("coordinator" if stateful_set else "worker")


def _own_namespace() -> str:
    try:
        return _OWN_NAMESPACE.read_text().strip()
    except OSError:
        raise InvalidSetting("outside a pod, APOLLO_KUBERNETES_NAMESPACE says where worker pods are made") from None
