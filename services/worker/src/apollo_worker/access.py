"""Storage credentials off the wire."""

from apollo_common.storage.port import StorageAccess
from apollo_proto.apollo import v1


def storage_access(access: v1.StorageAccess | None) -> StorageAccess:
    if access is None:
        return StorageAccess()
    return StorageAccess(
        endpoint_url=access.endpoint_url,
        region=access.region,
        access_key_id=access.access_key_id,
        secret_access_key=access.secret_access_key,
        session_token=access.session_token,
    )
