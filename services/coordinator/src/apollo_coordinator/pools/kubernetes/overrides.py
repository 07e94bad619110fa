"""What a job asks of its pods, put into the pod that the operator's template describes. Pure."""

from apollo_common.quantity import parse_quantity
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.pools.kubernetes.api import Object


def override(pod: Object, container: Object, asked: PodOverrides) -> None:
    """Change a pod's manifest and its worker container in place. Labels of the pool's own come after this."""
    spec, metadata = pod["spec"], pod["metadata"]
    metadata["labels"] = (metadata.get("labels") or {}) | asked.labels
    if asked.image:
        container["image"] = asked.image
    if asked.node_selector:
        spec["nodeSelector"] = (spec.get("nodeSelector") or {}) | asked.node_selector
    if asked.tolerations:
        spec["tolerations"] = [*(spec.get("tolerations") or ()), *(entry.to_json() for entry in asked.tolerations)]
    if asked.priority_class_name:
        spec["priorityClassName"] = asked.priority_class_name
        spec.pop("priority", None)  # which the class decides
    if asked.service_account_name:
        spec["serviceAccountName"] = asked.service_account_name
    if asked.requests or asked.limits:
        container["resources"] = _resources(container.get("resources") or {}, asked)


def _resources(template: Object, asked: PodOverrides) -> Object:
    """The template's, with those of the job in their place. Of each, the request stays within the limit."""
    requests = (template.get("requests") or {}) | asked.requests
    limits = (template.get("limits") or {}) | asked.limits
    for name in requests.keys() & limits.keys():
        if _is_more(requests[name], limits[name]):
            if name in asked.limits:
                requests[name] = limits[name]
            else:
                limits[name] = requests[name]
    return template | {"requests": requests, "limits": limits}


def _is_more(one: object, other: object) -> bool:
    first, second = parse_quantity(str(one)), parse_quantity(str(other))
    return first is not None and second is not None and first > second
