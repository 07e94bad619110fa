"""The process's own storage credentials, as far as they can be handed on."""

from collections.abc import Mapping

from apollo_common.storage.port import StorageAccess


def environment_access(environment: Mapping[str, str]) -> StorageAccess:
    """Keys in the usual AWS_* variables, and where S3 lives for them. Without keys an empty access: a process that gets
    it uses what it finds itself, such as its workload identity.
    """
    key_id, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    if not (key_id and secret):
        return StorageAccess()
    return StorageAccess(
        endpoint_url=environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or "",
        region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "",
        access_key_id=key_id,
        secret_access_key=secret,
        session_token=environment.get("AWS_SESSION_TOKEN", ""),
    )
