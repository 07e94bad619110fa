"""Whether workers on several nodes can share the volume that the template mounts."""

from apollo_common.errors import InvalidSetting
from apollo_coordinator.pools.kubernetes.api import CLAIMS, KubernetesApi
from apollo_coordinator.pools.kubernetes.errors import ObjectMissing
from apollo_coordinator.pools.kubernetes.template import PodTemplate

_SHARED = "ReadWriteMany"


async def check_volumes(api: KubernetesApi, template: PodTemplate, *, single_node: bool) -> None:
    """InvalidSetting for a claim that is not there, or whose volume one node alone can mount."""
    for name in template.claims:
        try:
            claim = await api.get(CLAIMS, name)
        except ObjectMissing:
            raise InvalidSetting(
                f"the worker pod's template mounts the claim {name}, which is not in namespace {api.namespace}"
            ) from None
        modes = claim["spec"].get("accessModes") or []
        if _SHARED not in modes and not single_node:
            raise InvalidSetting(
                f"the claim {name} is {', '.join(modes)}: workers on several nodes cannot share it. Use a storage "
                f"class that offers {_SHARED} (NFS, EFS, CephFS), or set APOLLO_KUBERNETES_SINGLE_NODE=true"
            )
