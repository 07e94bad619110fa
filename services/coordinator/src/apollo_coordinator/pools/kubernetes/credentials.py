"""Storage credentials of a cluster: Secrets that an operator lets jobs name, and the coordinator's own identity.

Worker pods have no identity of their own: what a job does not bring is lent to its attempts.
"""

from typing import Final

from apollo_common.errors import CredentialsUnusable
from apollo_common.storage.lending import EnvironmentLender
from apollo_common.storage.policy import StorePolicy, same_endpoint
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.pools.kubernetes.api import SECRETS, KubernetesApi, Object
from apollo_coordinator.pools.kubernetes.errors import ObjectMissing
from apollo_coordinator.pools.kubernetes.ownership import secret_value

LABEL: Final = "apollo.io/storage-credentials"
"""Without it a Secret is none of Apollo's business, whoever names it."""

_KEY_ID: Final = "accessKeyId"
_SECRET: Final = "secretAccessKey"  # noqa: S105 - the name of a key
_TOKEN: Final = "sessionToken"  # noqa: S105 - the same
_ENDPOINT: Final = "endpoint"
_REGION: Final = "region"


class ClusterCredentials:
    """See apollo_coordinator.ports.CredentialSource."""

    lends = True

    def __init__(self, api: KubernetesApi, policy: StorePolicy) -> None:
        self._api = api
        self._policy = policy
        self._lender = EnvironmentLender(policy)

    async def named(self, name: str, endpoints: frozenset[str]) -> StorageAccess:
        access = _access(name, await self._labelled(name))
        for endpoint in endpoints:
            if not self._may_go(access, endpoint):
                raise CredentialsUnusable(
                    f"the credentials in Secret {name} are not for {endpoint}: "
                    f"name it there as {_ENDPOINT!r}, or have the operator list the endpoint"
                )
        return access

    async def lend(self, access: StorageAccess) -> StorageAccess:
        return await self._lender.lend(access)

    def _may_go(self, access: StorageAccess, endpoint: str) -> bool:
        """Who wrote the Secret says where its keys go, not who names it in a job."""
        if access.endpoint_url:
            return same_endpoint(access.endpoint_url, endpoint)
        return self._policy.trusts(endpoint)

    async def _labelled(self, name: str) -> Object:
        try:
            secret = await self._api.get(SECRETS, name)
        except ObjectMissing:
            secret = {}
        if LABEL not in ((secret.get("metadata") or {}).get("labels") or {}):
            raise CredentialsUnusable(
                f"there is no Secret {name} with the label {LABEL} in the coordinator's namespace"
            )
        return secret


def _access(name: str, secret: Object) -> StorageAccess:
    try:
        values = {key: secret_value(secret, key) for key in (_ENDPOINT, _REGION, _KEY_ID, _SECRET, _TOKEN)}
    except ValueError:
        raise CredentialsUnusable(f"Secret {name} holds something that is no text") from None
    if not values[_KEY_ID] or not values[_SECRET]:
        raise CredentialsUnusable(f"Secret {name} needs the keys {_KEY_ID} and {_SECRET}")
    return StorageAccess(*values.values())
