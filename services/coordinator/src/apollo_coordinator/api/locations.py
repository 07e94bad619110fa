"""Which input and output locations a job may name: no secrets inside a URL, files only where the policy allows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from apollo_common.errors import InvalidLocation
from apollo_common.storage.location import endpoint_of, resolve_inputs, resolve_output
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.api.problem import FieldError
from apollo_coordinator.api.settings import ApiSettings

_GLOB = re.compile(r"[*?\[]")
_QUERY = re.compile(r"\?[^/]*=")
_CREDENTIALS_FIX = (
    "Put the access key and its secret into {side}StorageCredentials, or into the coordinator's environment "
    "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)."
)


@dataclass(frozen=True, slots=True)
class Side:
    """Locations that a job reaches with the same credentials. The fields are where a request has them."""

    field: str
    credentials_field: str
    locations: Sequence[tuple[str, str]]  # each with its own field
    has_credentials: bool


def check_sides(
    sides: Sequence[Side], settings: ApiSettings, *, use_ssl: bool | None, names_secret: bool
) -> list[FieldError]:
    """What the operator does not let a job reach so. Locations are of the right form. Reads the disk."""
    policy = settings.store_policy
    wrong: list[FieldError] = []
    for side in sides:
        locations = [location for _, location in side.locations]
        for endpoint in dict.fromkeys(filter(None, map(endpoint_of, locations))):
            if use_ssl is not None and use_ssl != endpoint.startswith("https:"):
                fix = f"Make {side.field} and useSSL agree, or leave useSSL out."
                wrong.append(FieldError(field="useSSL", message=f"useSSL contradicts {side.field}.", fix=fix))
            if not side.has_credentials and not names_secret and not policy.trusts(endpoint):
                message = "The coordinator's own credentials are not sent to this endpoint."
                fix = (
                    f"Name a Secret with credentialsSecret, give {side.credentials_field}, or have the operator list "
                    "the endpoint in APOLLO_STORAGE_ENDPOINTS."
                )
                wrong.append(FieldError(field=side.credentials_field, message=message, fix=fix))
        if policy.own_prefix and not side.has_credentials and not names_secret:
            wrong += [error for location in locations if (error := check_own(side.field, location, policy))]
    if not wrong and policy.file_roots is not None:
        return _check_roots([located for side in sides for located in side.locations], policy)
    return wrong


def _check_roots(located: Sequence[tuple[str, str]], policy: StorePolicy) -> list[FieldError]:
    fix = "Use a location below a root that the operator lists, or s3://."
    return [
        FieldError(field=field, message="This file:// location is outside what the operator allows.", fix=fix)
        for field, location in located
        if location.startswith("file://") and out_of_reach(location, policy)
    ]


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
