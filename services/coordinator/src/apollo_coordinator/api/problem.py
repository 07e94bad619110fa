"""Errors as RFC 9457 problem documents: what was wrong, which field, and what to do about it."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apollo_common import errors
from apollo_coordinator.callers import NotOwner
from apollo_coordinator.core.redrive import CannotRedrive, MustMapAgain

PROBLEM_JSON = "application/problem+json"
MAX_FIELD_ERRORS = 50
REASON = web.ResponseKey("reason", str)
"""On answers that are problem documents: their reason."""


class FieldError(BaseModel):
    field: str
    message: str
    fix: str


class Problem(BaseModel):
    """Some have members of their own beside these."""

    model_config = ConfigDict(extra="allow")

    type: str = Field("about:blank", description="urn:apollo:problem:REASON where Apollo has a reason code")
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = Field(None, exclude_if=lambda value: value is None)


class ApiProblem(Exception):
    """Raised by handlers; the error middleware makes the answer."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        fields: Sequence[FieldError] = (),
        reason: str = "",
        headers: Mapping[str, str] | None = None,
        close: bool = False,
        members: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = list(fields)[:MAX_FIELD_ERRORS]
        self.reason = reason
        self.headers = dict(headers or {})
        self.members = dict(members or {})  # of this problem's own (RFC 9457, section 3.2)
        self.close = close  # the connection is in no state for another request

    def response(self) -> web.Response:
        document = Problem(
            type=f"urn:apollo:problem:{self.reason}" if self.reason else "about:blank",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            errors=self.fields or None,
            **self.members,
        )
        answer = web.Response(status=self.status, body=document.model_dump_json(), headers=self.headers)
        answer.content_type = PROBLEM_JSON
        answer[REASON] = self.reason
        if self.close:
            answer.force_close()
        return answer


def invalid(first: FieldError, *more: FieldError) -> ApiProblem:
    """422 for fields that are wrong. The detail tells of the first, for clients that show no more than that."""
    detail = f"{first.field}: {first.message} {first.fix}"
    if more:
        detail += f" ({len(more)} more in errors.)"
    return ApiProblem(422, detail, fields=(first, *more), reason="invalid_request")


_STATUS: dict[type[errors.ApolloError], int] = {
    errors.ObjectNotFound: 404,
    errors.BucketNotFound: 404,
    errors.UnknownJob: 404,
    NotOwner: 403,
    errors.OutputExists: 409,
    errors.JobEnded: 409,
    CannotRedrive: 409,
    errors.MapOutputsGone: 409,
    errors.ArtifactTooLarge: 413,
    errors.LimitExceeded: 429,
    errors.StorageUnavailable: 502,
    errors.VolumeFull: 507,
}
_RETRY_AFTER = {"Retry-After": "10"}


def problem_of_error(error: errors.ApolloError) -> ApiProblem:
    """What an Apollo error means to an HTTP client."""
    fields: list[FieldError] = []
    if isinstance(error, errors.ArtifactRejected):
        fields = [FieldError(field="program", message=str(error), fix=error.fix)]
    elif isinstance(error, errors.InputNotFound):
        fields = [
            FieldError(field="inputPath", message=str(error), fix="Name an object, a folder or a pattern that exists.")
        ]
    elif isinstance(error, errors.CredentialsUnusable):
        fix = "Name a Secret that the operator keeps for jobs; docs/security.md says what it has to hold."
        fields = [FieldError(field="credentialsSecret", message=str(error), fix=fix)]
    elif isinstance(error, errors.OutputExists):
        fields = [FieldError(field="outputPath", message=str(error), fix=error.fix)]
    elif isinstance(error, errors.IdempotencyConflict):
        fields = [FieldError(field="Idempotency-Key", message=str(error), fix="Use a new key for another job.")]
    members: dict[str, int] = {}
    if isinstance(error, MustMapAgain):
        members = {
            "mapTasks": error.map_tasks,
            "inputBytes": error.input_bytes,
            "mapMilliseconds": error.map_milliseconds,
        }
    status = next(
        (status for kind, status in _STATUS.items() if isinstance(error, kind)), 503 if error.retryable else 422
    )
    headers = _RETRY_AFTER if status in (429, 503) else None
    return ApiProblem(status, str(error), fields=fields, reason=error.reason, headers=headers, members=members)


def problem_of_validation(error: ValidationError, model: type[BaseModel]) -> ApiProblem:
    """400 for a body that is not JSON, 422 with each field otherwise.

    Values may be secret: none is repeated, but by a validator that knows better.
    """
    found = error.errors(include_url=False, include_input=False)
    if any(item["type"] == "json_invalid" for item in found):
        return ApiProblem(400, "The request's body is not JSON. Send one JSON object.", reason="not_json")
    return invalid(*(_field_error(item, model) for item in found))


_MESSAGES = {
    "greater_than_equal": "This is too small",
    "less_than_equal": "This is too large",
    "string_too_long": "This is too long",
    "string_too_short": "This is too short",
    "literal_error": "There is no such value",
}
"""Where pydantic's own words would say the same as the fix."""
_FIXES = {
    "missing": "Add it.",
    "int_type": "Give a whole number, without quotes.",
    "int_from_float": "Give a whole number.",
    "string_type": "Give a string in double quotes.",
    "bool_type": "Give true or false, without quotes.",
    "list_type": "Give a list: [...].",
    "dict_type": 'Give an object: {{"name": "value"}}.',
    "model_type": "Give an object: {{...}}.",
    "model_attributes_type": "Give an object: {{...}}.",
    "greater_than_equal": "Give a number of {ge} or more.",
    "less_than_equal": "Give a number of {le} or less.",
    "string_too_long": "Shorten it to {max_length} characters.",
    "string_too_short": "Give at least {min_length} character.",
    "too_long": "Give at most {max_length} items.",
    "too_short": "Give at least {min_length} item.",
    "literal_error": "Use one of {expected}.",
}


def _field_error(item: Any, model: type[BaseModel]) -> FieldError:
    location = [str(part) for part in item["loc"] if part != "[key]"]
    kind, context = item["type"], item.get("ctx", {})
    if kind == "missing" and location[0] in model.model_fields:  # a default that is none goes by Python's name
        location[0] = model.model_fields[location[0]].alias or location[0]
    field = ".".join(location)[:200] or "body"
    if kind == "extra_forbidden":
        known = [info.alias or name for name, info in model.model_fields.items()] if len(location) == 1 else []
        near = get_close_matches(location[-1], known, 1)
        return FieldError(
            field=field, message="There is no such field.", fix=f"Did you mean {near[0]}?" if near else "Remove it."
        )
    message = _MESSAGES.get(kind) or item["msg"].removeprefix("Value error, ")
    default = _FIXES.get(kind, "Change it to what /docs describes.").format(**context)
    fix = str(context.get("fix", default))
    return FieldError(field=field, message=f"{message.rstrip('.')}.", fix=fix)
