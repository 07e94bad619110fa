"""Which input and output locations a job may name, and which store endpoint they imply.

Refused here are locations that are none, secrets inside a URL, `file://` outside the operator's roots, and endpoints
that would be handed the coordinator's own credentials though the operator never listed them.
"""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from apollo_coordinator.api.problem import FieldError

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_GLOB = re.compile(r"[*?\[]")
_FORMS = "Write s3://bucket/key, file:///path or http(s)://endpoint/bucket/key."


def check_form(field: str, location: str) -> FieldError | None:
    """Whether this is a location at all. The answer never repeats it: a URL may hold a password."""
    scheme, separator, rest = location.partition("://")
    if not separator or scheme not in ("s3", "file", "http", "https"):
        return FieldError(field=field, message="This is no location that Apollo knows.", fix=_FORMS)
    if scheme == "file":
        if not rest.startswith("/"):
            return FieldError(field=field, message="A file:// location is absolute.", fix="Write file:///path.")
        return None
    if scheme == "s3":
        if not _BUCKET.fullmatch(rest.partition("/")[0]):
            fix = "Write s3://bucket/key; credentials go into the storage credentials fields."
            return FieldError(field=field, message="This names no bucket.", fix=fix)
        return None
    return _check_http(field, location)


def _check_http(field: str, location: str) -> FieldError | None:
    try:
        parts = urlsplit(location)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return FieldError(field=field, message="This is no URL.", fix=_FORMS)
    if parts.username is not None or parts.password is not None:
        fix = "Put the access key and its secret into the storage credentials fields."
        return FieldError(field=field, message="A URL holds no credentials.", fix=fix)
    if parts.query or parts.fragment or location.endswith(("?", "#")):
        fix = "Percent-encode ? as %3F and # as %23; a presigned URL cannot be used."
        return FieldError(field=field, message="This URL has a query or a fragment.", fix=fix)
    if not host or not _BUCKET.fullmatch(unquote(parts.path.removeprefix("/").partition("/")[0])):
        fix = "Write http(s)://endpoint/bucket/key."
        return FieldError(field=field, message="This names no endpoint or no bucket.", fix=fix)
    return None


def endpoint_of(location: str) -> str:
    """The endpoint that an http(s) location names (`https://host:port`); empty for s3:// and file://."""
    if not location.startswith(("http://", "https://")):
        return ""
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def outside_roots(location: str, roots: tuple[Path, ...]) -> bool:
    """Whether a file:// location leaves the operator's roots, symbolic links included. Reads the disk."""
    path = location.removeprefix("file://")
    if ".." in path.split("/"):
        return True
    fixed = _GLOB.split(path, maxsplit=1)[0]
    if fixed != path:
        fixed = fixed.rpartition("/")[0] or "/"
    real = Path(os.path.realpath(fixed))
    return not any(real.is_relative_to(os.path.realpath(root)) for root in roots)
