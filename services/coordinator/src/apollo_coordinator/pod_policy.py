"""What an operator lets jobs ask of their worker pods. Pure.

Resources are allowed up to a limit, all else where a pattern matches (`*` stands for any text, also with slashes).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Final, NamedTuple

from apollo_common.errors import InvalidSetting
from apollo_common.quantity import parse_quantity
from apollo_coordinator.core.pod_overrides import PodOverrides, Toleration

RESERVED_DOMAINS: Final = ("kubernetes.io", "k8s.io", "apollo.io")
"""Labels below these are Kubernetes' and Apollo's own: owners, selectors of Services and network policies."""


class Refusal(NamedTuple):
    """What is not allowed, for the user: a field of the job's body, what is wrong with it, what to do."""

    field: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class PodPolicy:
    """`most`: the greatest quantity of each resource that a pod may ask for; others are not to be had."""

    most: Mapping[str, str] = field(default_factory=dict)
    images: Sequence[str] = ()
    node_labels: Sequence[str] = ()  # key=value
    tolerations: Sequence[str] = ()  # key=value:effect, as `kubectl taint` writes taints
    priority_classes: Sequence[str] = ()
    service_accounts: Sequence[str] = ()
    labels: Sequence[str] = ()  # keys

    def refusals(self, asked: PodOverrides) -> Iterator[Refusal]:
        yield from self._resources(asked)
        for name, choice, patterns, setting in (
            ("image", asked.image, self.images, "IMAGES"),
            ("priorityClassName", asked.priority_class_name, self.priority_classes, "PRIORITY_CLASSES"),
            ("serviceAccountName", asked.service_account_name, self.service_accounts, "SERVICE_ACCOUNTS"),
        ):
            if choice:
                yield from _unless_allowed(name, choice, patterns, setting)
        for key, value in asked.node_selector.items():
            yield from _unless_allowed(f"nodeSelector.{key}", f"{key}={value}", self.node_labels, "NODE_LABELS")
        for index, toleration in enumerate(asked.tolerations):
            yield from _unless_allowed(f"tolerations.{index}", _as_taint(toleration), self.tolerations, "TOLERATIONS")
        for key in asked.labels:
            yield from self._label(key)

    def _resources(self, asked: PodOverrides) -> Iterator[Refusal]:
        for part, quantities in (("requests", asked.requests), ("limits", asked.limits)):
            for name, text in quantities.items():
                where = f"kubernetes.resources.{part}.{name}"
                if name not in self.most:
                    known = ", ".join(sorted(self.most)) or "none"
                    yield Refusal(where, f"Jobs may not ask for {name} here.", f"Leave it out. To be had: {known}.")
                elif _size(text) > _size(self.most[name]):
                    fix = f"Ask for {self.most[name]} at most."
                    yield Refusal(where, f"{text} is more than this coordinator allows.", fix)
        for name in sorted(asked.requests.keys() & asked.limits.keys()):
            if _size(asked.requests[name]) > _size(asked.limits[name]):
                fix = f"Raise kubernetes.resources.limits.{name}, or lower the request."
                yield Refusal(f"kubernetes.resources.requests.{name}", "A request is not above its limit.", fix)

    def _label(self, key: str) -> Iterator[Refusal]:
        domain = key.partition("/")[0] if "/" in key else ""
        if any(domain == reserved or domain.endswith(f".{reserved}") for reserved in RESERVED_DOMAINS):
            fix = "Use a prefix of your own, or none."
            yield Refusal(f"kubernetes.labels.{key}", f"Labels below {domain}/ are not a job's to set.", fix)
        else:
            yield from _unless_allowed(f"labels.{key}", key, self.labels, "LABELS")


def parse_most(entries: Sequence[str]) -> dict[str, str]:
    """`cpu=4` and the like. InvalidSetting."""
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, text = entry.partition("=")
        if not name or not equals or parse_quantity(text) is None:
            raise InvalidSetting(
                f"APOLLO_KUBERNETES_MAX_RESOURCES: {entry!r} is no resource with a quantity, such as memory=8Gi"
            )
        found[name] = text
    return found


def _unless_allowed(where: str, choice: str, patterns: Sequence[str], setting: str) -> Iterator[Refusal]:
    if any(fnmatchcase(choice, pattern) for pattern in patterns):
        return
    fix = f"Use one that matches {' or '.join(patterns)}." if patterns else "Leave it out."
    fix += f" The operator allows more with APOLLO_KUBERNETES_ALLOWED_{setting}."
    yield Refusal(f"kubernetes.{where}", f"{choice} is not among what jobs may use here.", fix)


def _as_taint(toleration: Toleration) -> str:
    """What it tolerates. Where it names no value or effect it tolerates each, and only a `*` allows that."""
    value = "*" if toleration.operator == "Exists" else toleration.value
    return f"{toleration.key or '*'}={value}:{toleration.effect or '*'}"


def _size(text: str) -> Fraction:
    size = parse_quantity(text)
    if size is None:
        raise ValueError(f"{text!r} is no quantity")
    return size
