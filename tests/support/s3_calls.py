"""What an HTTP request to an S3 server asks for, by the names of the S3 API reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

_OF_OBJECT = {
    "PUT": "PutObject",
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "DELETE": "DeleteObject",
}
_OF_UPLOAD = {
    "PUT": "UploadPart",
    "GET": "ListParts",
    "POST": "CompleteMultipartUpload",
    "DELETE": "AbortMultipartUpload",
}
_OF_BUCKET = {"PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket", "GET": "ListObjects"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, path-style. `number` counts from 1 over the life of a proxy."""

    number: int
    operation: str
    bucket: str
    key: str


def parse_call(number: int, method: str, raw_path: str) -> Call:
    """`raw_path` is the request's target as it was sent: percent-encoded path and query."""
    target = urlsplit(raw_path)
    query = dict(parse_qsl(target.query, keep_blank_values=True))
    bucket, _, key = unquote(target.path).lstrip("/").partition("/")
    operation = _object_operation(method, query) if key else _bucket_operation(method, query)
    return Call(number, operation, bucket, key)


def _object_operation(method: str, query: Mapping[str, str]) -> str:
    if "uploads" in query:
        return "CreateMultipartUpload"
    return (_OF_UPLOAD if "uploadId" in query else _OF_OBJECT).get(method, method)


def _bucket_operation(method: str, query: Mapping[str, str]) -> str:
    if "delete" in query:
        return "DeleteObjects"
    if "uploads" in query:
        return "ListMultipartUploads"
    return "ListObjectsV2" if "list-type" in query else _OF_BUCKET.get(method, method)
