"""Lends the credentials of this process's environment to a worker that has none of its own."""

import importlib
from dataclasses import replace

from apollo_common.errors import StorageAccessDenied
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import StorageAccess
from apollo_common.threads import in_thread


class EnvironmentLender:
    """Static keys, or what a workload identity stands for at the moment."""

    def __init__(self, policy: StorePolicy) -> None:
        self._policy = policy

    async def lend(self, access: StorageAccess) -> StorageAccess:
        """`access`, with the environment's keys if it has none. Good for some minutes at least: ask again.

        StorageAccessDenied when there are none, or when they may not go to its endpoint; StorageUnavailable.
        """
        if access.access_key_id:
            return access
        if access.endpoint_url and not self._policy.trusts(access.endpoint_url):
            raise StorageAccessDenied(
                f"the operator does not let the environment's credentials go to {access.endpoint_url}"
            )
        library = await in_thread(importlib.import_module, "apollo_common.storage.s3_client")
        key_id, secret, token = await library.environment_credentials()
        return replace(access, access_key_id=key_id, secret_access_key=secret, session_token=token)
