"""Which input and output locations a job may name: no secrets inside a URL, files only where the policy allows."""

import re

from apollo_common.errors import InvalidLocation
from apollo_common.storage.location import resolve_inputs, resolve_output
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.api.problem import FieldError

_GLOB = re.compile(r"[*?\[]")
_QUERY = re.compile(r"\?[^/]*=")
_CREDENTIALS_FIX = (
    "Put the access key and its secret into {side}StorageCredentials, or into the coordinator's environment "
    "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)."
)


def check_form(field: str, location: str) -> FieldError | None:
    """Whether this is a location at all. What may hold a secret is refused first, and never repeated."""
    scheme, _, rest = location.partition("://")
    credentials_fix = _CREDENTIALS_FIX.format(side="output" if field == "outputPath" else "input")
    if "@" in rest.partition("/")[0]:
        return FieldError(field=field, message="A location holds no credentials.", fix=credentials_fix)
    if scheme in ("http", "https") and _QUERY.search(rest):
        fix = f"{credentials_fix} A ? of the key itself is written %3F."
        return FieldError(field=field, message="A presigned URL is no location.", fix=fix)
    try:
        if field == "outputPath":
            resolve_output(location, StorageAccess())
        else:
            resolve_inputs([location], StorageAccess())
    except InvalidLocation as error:
        wrong, _, fix = str(error).rpartition(": ")
        return FieldError(field=field, message=f"{wrong}.", fix=f"{fix[0].upper()}{fix[1:]}.")
    return None


def check_own(field: str, location: str, policy: StorePolicy) -> FieldError | None:
    """The coordinator's own credentials reach the map outputs of all jobs; with them, a job does not."""
    (url,), _ = resolve_inputs([location], StorageAccess())
    if not policy.owns(url):
        return None
    return FieldError(field=field, message="The operator keeps jobs' map outputs there.", fix="Use another location.")


def out_of_reach(location: str, policy: StorePolicy) -> bool:
    """Whether a file:// location leads to where the policy does not let jobs go. Reads the disk."""
    path = location.removeprefix("file://")
    if ".." in path.split("/"):
        return True
    fixed = _GLOB.split(path, maxsplit=1)[0]
    if fixed != path:
        fixed = fixed.rpartition("/")[0] or "/"
    return not policy.reaches(fixed)
