"""What a job asks of its worker pods, in the words of Kubernetes."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Toleration:
    key: str = ""  # empty, with `Exists`: every taint
    operator: str = "Equal"  # Equal | Exists
    value: str = ""
    effect: str = ""  # empty: every effect
    toleration_seconds: int | None = None

    def to_json(self) -> dict[str, Any]:
        named = {"key": self.key, "operator": self.operator, "value": self.value, "effect": self.effect}
        found: dict[str, Any] = {name: text for name, text in named.items() if text}
        return found if self.toleration_seconds is None else found | {"tolerationSeconds": self.toleration_seconds}


@dataclass(frozen=True, slots=True)
class PodOverrides:
    """What is empty is as the operator's template says. The policy (`pod_policy`) has allowed the rest."""

    requests: dict[str, str] = field(default_factory=dict)  # of resources: cpu, memory, ... -> a quantity
    limits: dict[str, str] = field(default_factory=dict)
    image: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    priority_class_name: str = ""
    service_account_name: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a job's body has it, without what is empty."""
        resources = {
            name: dict(sizes) for name, sizes in (("requests", self.requests), ("limits", self.limits)) if sizes
        }
        whole = {
            "resources": resources,
            "image": self.image,
            "nodeSelector": dict(self.node_selector),
            "tolerations": [toleration.to_json() for toleration in self.tolerations],
            "priorityClassName": self.priority_class_name,
            "serviceAccountName": self.service_account_name,
            "labels": dict(self.labels),
        }
        return {name: value for name, value in whole.items() if value}
