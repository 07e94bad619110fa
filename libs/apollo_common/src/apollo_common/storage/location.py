"""Locations: what a user may write for an input or an output, and the store URL that it means.

A store URL is `s3://bucket/key` or `file:///path`, literal UTF-8: `%` is `%`, `#` is `#`. The original API's
`http(s)://endpoint/bucket/key` is percent-encoded and is turned into `s3://` plus an endpoint here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes, urlsplit

from apollo_common.errors import InvalidLocation
from apollo_common.storage import glob
from apollo_common.storage.port import StorageAccess

MAX_LOCATION_BYTES = 4096
MAX_S3_KEY_BYTES = 1024

_WAYS = "write s3://bucket/key, file:///path or https://endpoint/bucket/key"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed store URL. `key` of a file is its absolute path; of an S3 object, its key without a leading slash."""

    scheme: str  # file | s3
    bucket: str  # empty for files
    key: str

    @property
    def url(self) -> str:
        return f"file://{self.key}" if self.scheme == "file" else f"s3://{self.bucket}/{self.key}"


def parse(url: str) -> Location:
    """Parse a store URL. InvalidLocation names what is wrong and how to write it."""
    _check_text(url)
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise InvalidLocation(f"{url!r} is not a URL: {_WAYS}")
    if scheme == "file":
        if not rest.startswith("/"):
            raise InvalidLocation(f"{url!r} names a host: write file:///{rest.partition('/')[2]} for a local path")
        return Location("file", "", rest)
    if scheme == "s3":
        bucket, _, key = rest.partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise InvalidLocation(f"{url!r} has no valid bucket name: write s3://bucket/key")
        if len(key.encode()) > MAX_S3_KEY_BYTES:
            raise InvalidLocation(f"the key of s3://{bucket} is longer than {MAX_S3_KEY_BYTES} bytes: shorten it")
        return Location("s3", bucket, key)
    raise InvalidLocation(f"{scheme}:// is not a kind of storage that Apollo knows: {_WAYS}")


def resolve_inputs(paths: Iterable[str], access: StorageAccess) -> tuple[list[str], StorageAccess]:
    """Input locations as a user writes them -> store URLs (may hold wildcards) and the access that reaches them.

    InvalidLocation when two of them name different endpoints: a job reads from one.
    """
    urls = []
    endpoints = set()
    for path in paths:
        url, endpoint = _resolve(path, as_pattern=True)
        urls.append(url)
        if endpoint:
            endpoints.add(endpoint)
    if len(endpoints) > 1:
        named = " and ".join(sorted(endpoints))
        raise InvalidLocation(f"the inputs name different endpoints ({named}): run one job for each")
    return urls, replace(access, endpoint_url=endpoints.pop()) if endpoints else access


def resolve_output(path: str, access: StorageAccess) -> tuple[str, StorageAccess]:
    """An output location as a user writes it -> its store URL, without a trailing slash, and the access to it."""
    url, endpoint = _resolve(path, as_pattern=False)
    return url.rstrip("/"), replace(access, endpoint_url=endpoint) if endpoint else access


def endpoint_of(path: str) -> str:
    """The endpoint that a location names, such as `https://host:9000`; empty for s3:// and file://. InvalidLocation."""
    scheme, _, rest = path.partition("://")
    if scheme not in ("http", "https"):
        return ""
    _check_text(path)
    endpoint = rest.partition("/")[0].lower()
    if "@" in endpoint:
        raise InvalidLocation("a location holds a user name or password: give credentials in the job's own fields")
    try:
        parts = urlsplit(f"{scheme}://{endpoint}")
        named = bool(parts.hostname) and parts.port != 0  # asking for the port checks it
    except ValueError:
        named = False
    if not named or parts.netloc != endpoint:
        raise InvalidLocation(f"{path!r} names no endpoint: write {scheme}://endpoint/bucket/key")
    return f"{scheme}://{endpoint}"


def _resolve(path: str, *, as_pattern: bool) -> tuple[str, str]:
    """The store URL and, for http(s), the endpoint."""
    endpoint = endpoint_of(path)
    if not endpoint:
        parse(path)
        return path, ""
    encoded = path.partition("://")[2].partition("/")[2]
    if "#" in encoded:
        raise InvalidLocation(f"{path!r} holds a '#': write it as %23")
    if _BAD_ESCAPE.search(encoded):
        raise InvalidLocation(f"{path!r} holds a '%' that starts no escape: write it as %25")
    url = f"s3://{_decode(path, encoded, as_pattern=as_pattern)}"
    parse(url)
    return url, endpoint


def _decode(path: str, encoded: str, *, as_pattern: bool) -> str:
    """Percent-decode. In a pattern, an encoded wildcard stands for itself; a plain one keeps its meaning."""
    try:
        parts = re.split(r"((?:%[0-9A-Fa-f]{2})+)", encoded)
        parts[1::2] = [unquote_to_bytes(part).decode() for part in parts[1::2]]
    except UnicodeDecodeError:
        raise InvalidLocation(f"{path!r} is not UTF-8 when decoded: percent-encode the key's UTF-8 bytes") from None
    if as_pattern:
        parts[1::2] = [glob.escape(part) for part in parts[1::2]]
    return "".join(parts)


def _check_text(url: str) -> None:
    try:
        size_bytes = len(url.encode())
    except UnicodeEncodeError:
        raise InvalidLocation(f"{url!r} is not valid UTF-8: rename the file or object") from None
    if size_bytes > MAX_LOCATION_BYTES:
        raise InvalidLocation(f"a location is longer than {MAX_LOCATION_BYTES} bytes: shorten it")
    if "\0" in url:
        raise InvalidLocation(f"{url!r} holds a NUL character: remove it")
