"""The `kubernetes` field of a job: what it may hold, and whether the operator lets it be asked for."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator

from apollo_common.quantity import parse_quantity
from apollo_coordinator.api.problem import FieldError
from apollo_coordinator.api.strictness import STRICT, wrong
from apollo_coordinator.core.pod_overrides import PodOverrides, Toleration
from apollo_coordinator.pod_policy import PodPolicy

MAX_ENTRIES = 32
MAX_IMAGE_CHARACTERS = 1024

_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9]+([._/:@-]{1,2}[A-Za-z0-9_]+)*")


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise wrong("This is no key of Kubernetes", "Use letters, digits, -, _ and ., and a domain/ before it or none.")
    return text


def _label_value(text: str) -> str:
    if not _LABEL_VALUE.fullmatch(text):
        raise wrong("This is no value of a label", "Use at most 63 letters, digits, -, _ and .")
    return text


def _object_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise wrong("This is no name of a Kubernetes object", "Use lower-case letters, digits, - and .")
    return text


def _image(text: str) -> str:
    if not _IMAGE.fullmatch(text) or ".." in text:
        raise wrong("This is no image", "Write it as in a pod: registry.example.com/team/worker:1.0.")
    return text


def _quantity(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and parse_quantity(value) is None:
        raise wrong("This is no quantity", "Write it as in a pod: 2 or 500m of cpu, 512Mi or 2Gi of memory.")
    return value


Key = Annotated[str, AfterValidator(_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
Quantity = Annotated[
    str,
    BeforeValidator(_quantity),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": "^[0-9.]+[a-zA-Z]{0,2}$"}, {"type": "number", "minimum": 0}]}
    ),
]
Labels = Annotated[dict[Key, LabelValue], Field(max_length=MAX_ENTRIES)]
Quantities = Annotated[dict[Key, Quantity], Field(max_length=MAX_ENTRIES)]


class _Field(BaseModel):
    model_config = STRICT


class ResourcesField(_Field):
    """Of the worker's container, whose memory the worker and its programs share."""

    requests: Quantities = {}
    limits: Quantities = {}


class TolerationField(_Field):
    key: Annotated[Key | None, Field(description="None, with Exists: every taint")] = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: Annotated[int | None, Field(ge=0, le=31_536_000)] = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise wrong("With the operator Exists there is no value", "Leave the value out, or use Equal.")
        if self.operator == "Equal" and self.key is None:
            raise wrong("This toleration names no key", "Add a key, or use Exists for every taint.")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise wrong("tolerationSeconds needs the effect NoExecute", "Leave it out, or set the effect.")
        return self


class PodField(_Field):
    """What a job asks of its worker pods, as in a Pod's specification. The operator says what is allowed."""

    resources: ResourcesField = ResourcesField()
    image: Annotated[str | None, Field(max_length=MAX_IMAGE_CHARACTERS), AfterValidator(lambda v: v and _image(v))] = (
        None
    )
    node_selector: Labels = {}
    tolerations: Annotated[list[TolerationField], Field(max_length=MAX_ENTRIES)] = []
    priority_class_name: ObjectName | None = None
    service_account_name: ObjectName | None = None
    labels: Labels = {}


def to_overrides(asked: PodField | None) -> PodOverrides | None:
    """None when nothing is asked for."""
    if asked is None:
        return None
    overrides = PodOverrides(
        requests=dict(asked.resources.requests),
        limits=dict(asked.resources.limits),
        image=asked.image or "",
        node_selector=dict(asked.node_selector),
        tolerations=tuple(
            Toleration(entry.key or "", entry.operator, entry.value, entry.effect, entry.toleration_seconds)
            for entry in asked.tolerations
        ),
        priority_class_name=asked.priority_class_name or "",
        service_account_name=asked.service_account_name or "",
        labels=dict(asked.labels),
    )
    return overrides if overrides != PodOverrides() else None


def check_pods(asked: PodField | None, policy: PodPolicy | None) -> list[FieldError]:
    """`policy` is None where workers are no pods."""
    if asked is None:
        return []
    if policy is None:
        message = "The workers of this coordinator are no pods of Kubernetes."
        return [FieldError(field="kubernetes", message=message, fix="Leave it out.")]
    overrides = to_overrides(asked)
    if overrides is None:
        return []
    return [FieldError(field=field, message=message, fix=fix) for field, message, fix in policy.refusals(overrides)]
