"""Which input and output locations a job may name: no secrets inside a URL, files only below the operator's roots."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from apollo_common.errors import InvalidLocation
from apollo_common.storage.location import resolve_inputs, resolve_output
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.api.problem import FieldError

_GLOB = re.compile(r"[*?\[]")
_QUERY = re.compile(r"\?[^/]*=")
_FORMS = "Write s3://bucket/key, file:///path or http(s)://endpoint/bucket/key."
_CREDENTIALS_FIX = "Put the access key and its secret into the storage credentials fields."


def check_form(field: str, location: str) -> FieldError | None:
    """Whether this is a location at all. What may hold a secret is refused first, and never repeated."""
    scheme, _, rest = location.partition("://")
    if "@" in rest.partition("/")[0]:
        return FieldError(field=field, message="A location holds no credentials.", fix=_CREDENTIALS_FIX)
    if scheme in ("http", "https") and _QUERY.search(rest):
        fix = f"{_CREDENTIALS_FIX} A ? of the key itself is written %3F."
        return FieldError(field=field, message="A presigned URL is no location.", fix=fix)
    try:
        if field == "outputPath":
            resolve_output(location, StorageAccess())
        else:
            resolve_inputs([location], StorageAccess())
        endpoint_of(location)
    except (InvalidLocation, ValueError) as error:
        message = str(error) if isinstance(error, InvalidLocation) else "This is no URL."
        return FieldError(field=field, message=message, fix=_FORMS)
    return None


def endpoint_of(location: str) -> str:
    """The endpoint that an http(s) location names (`https://host:port`); empty for s3:// and file://. ValueError."""
    if not location.startswith(("http://", "https://")):
        return ""
    parts = urlsplit(location)
    if not parts.hostname or parts.port == 0:  # asking for the port checks it
        raise ValueError("no host")
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
