"""The S3 library: how its client is made, and its errors as ours.

Imported only when a client is made, because the library takes more than a second to import.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import cache
from http import HTTPStatus
from typing import Any

import aioboto3
import aiohttp
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from apollo_common.errors import (
    ApolloError,
    BucketNotFound,
    InvalidLocation,
    ObjectNotFound,
    PermanentError,
    StorageAccessDenied,
    StorageUnavailable,
    UploadLost,
    VolumeFull,
)
from apollo_common.storage.port import StorageAccess

MAX_CONNECTIONS = 32
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 30  # of silence; S3 sends white space while it puts a large object together
MAX_REQUEST_ATTEMPTS = 5
DEFAULT_REGION = "us-east-1"

_EXPIRED = "ExpiredToken"
_SKEWED = "RequestTimeTooSkewed"
LIBRARY_ERRORS = (BotoCoreError, ClientError, aiohttp.ClientError, OSError)

_MEANINGS: dict[type[ApolloError], tuple[str, frozenset[str]]] = {
    BucketNotFound: ("is in no bucket that exists: create it or check its name", frozenset({"NoSuchBucket"})),
    ObjectNotFound: ("does not exist", frozenset({"NoSuchKey", "NotFound", "404"})),
    UploadLost: ("has lost its upload", frozenset({"NoSuchUpload", "InvalidPart", "InvalidPartOrder"})),
    StorageAccessDenied: (
        "refuses the credentials: check them and their rights on the bucket",
        frozenset(
            {
                "403",
                "AccessDenied",
                "AllAccessDisabled",
                _EXPIRED,
                "Forbidden",
                "InvalidAccessKeyId",
                "InvalidToken",
                "SignatureDoesNotMatch",
            }
        ),
    ),
    InvalidLocation: (
        "refuses the request: set AWS_REGION to the bucket's region and check the bucket's name",
        frozenset({"301", "400", "AuthorizationHeaderMalformed", "InvalidBucketName", "PermanentRedirect"}),
    ),
    VolumeFull: (
        "has no space or quota left: free some or enlarge it",
        frozenset(
            {
                "507",
                "InsufficientStorage",
                "QuotaExceeded",  # Ceph
                "XMinioAdminBucketQuotaExceeded",
                "XMinioStorageFull",
            }
        ),
    ),
    StorageUnavailable: (
        "cannot answer now",
        frozenset(
            {
                "429",
                "ConditionalRequestConflict",
                "IncompleteBody",
                "InternalError",
                "OperationAborted",
                "RequestTimeout",
                "ServiceUnavailable",
                "SlowDown",
            }
        ),
    ),
}


def endpoint_of(access: StorageAccess) -> str:
    """Where S3 lives; empty for AWS itself."""
    environment = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return access.endpoint_url or environment


def new_client(access: StorageAccess) -> AbstractAsyncContextManager[Any]:
    """A client, not opened yet. InvalidLocation for an endpoint that is no URL."""
    region = access.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    endpoint = endpoint_of(access)
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise InvalidLocation(f"the S3 endpoint {endpoint!r} is no URL: write https://host:port")
    client: AbstractAsyncContextManager[Any] = _session().client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=region,
        aws_access_key_id=access.access_key_id or None,
        aws_secret_access_key=access.secret_access_key or None,
        aws_session_token=access.session_token or None,
        config=_config(),
    )
    return client


@cache
def _session() -> aioboto3.Session:
    """One for all clients: it keeps the service description, which takes long to load, and no credentials of jobs."""
    return aioboto3.Session(region_name=os.environ.get("AWS_REGION") or None)


async def environment_credentials() -> tuple[str, str, str]:
    """Key id, secret and session token that the environment gives now; temporary ones are renewed in good time.

    StorageAccessDenied when there are none, or an identity is refused; StorageUnavailable.
    """
    try:
        found = await _session().get_credentials()
        now = None if found is None else await found.get_frozen_credentials()
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        words = f"the environment's identity for storage is refused ({code_of(error)})"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise StorageUnavailable(words) from error
        raise StorageAccessDenied(f"{words}: check AWS_ROLE_ARN and whom the role trusts") from error
    except (*LIBRARY_ERRORS, RuntimeError) as error:  # RuntimeError: what came was over already
        raise StorageUnavailable(
            f"the environment's credentials for storage cannot be had now ({type(error).__name__})"
        ) from error
    if now is None:
        raise StorageAccessDenied(
            "the environment holds no credentials for storage: give them in the job, or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a workload identity"
        )
    return now.access_key, now.secret_key, now.token or ""


def answer_of(error: Exception) -> Mapping[str, Any]:
    """The store's answer, with what the library knows about it; empty where there was none."""
    return error.response if isinstance(error, ClientError) else {}


def code_of(error: Exception) -> str:
    """The code in the store's answer, such as NoSuchKey, or the HTTP status where there is none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def as_ours(error: Exception, operation: str, url: str, access: StorageAccess) -> ApolloError:
    """The library's error as ours, in words that name the operation and the object and never a secret."""
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return StorageAccessDenied(
            f"{_where(url, access)} needs credentials: give them in the job, "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if not isinstance(error, ClientError):
        return StorageUnavailable(f"{_where(url, access)} cannot be reached ({operation}: {type(error).__name__})")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return refusal(code_of(error), operation, url, access, status)


def refusal(code: str, operation: str, url: str, access: StorageAccess, status: int = 0) -> ApolloError:
    """What a code in the store's answer means. Credentials that were given for a time may be followed by others."""
    if code == _EXPIRED and access.session_token:
        return StorageUnavailable(
            f"{_where(url, access)} needs fresh credentials: these have ended ({operation}: {code})"
        )
    if code == _SKEWED:  # another worker's clock may be right
        return StorageUnavailable(
            f"{_where(url, access)} refuses the request since its clock and this machine's differ by more than "
            f"15 minutes: set this machine's, as by NTP ({operation}: {code})"
        )
    for ours, (words, codes) in _MEANINGS.items():
        if code in codes:
            return ours(f"{_where(url, access)} {words} ({operation}: {code})")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
        return StorageUnavailable(f"{_where(url, access)} cannot answer now ({operation}: {code})")
    return PermanentError(f"{_where(url, access)} refuses the request ({operation}: {code})")


def _where(url: str, access: StorageAccess) -> str:
    endpoint = endpoint_of(access)
    return f"{url} at the S3 server {endpoint}" if endpoint else f"{url} at AWS"


def _config() -> Config:
    """Path style and signature 4 are what every S3-like store knows; newer checksums are not."""
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": MAX_REQUEST_ATTEMPTS},
    )
