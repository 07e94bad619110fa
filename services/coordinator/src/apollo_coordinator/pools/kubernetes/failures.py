"""Why a pod does not start or has ended, in words for the user. Pure: works on a pod as the API server tells it.

Conditions, reasons and phases: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from apollo_common.quantity import parse_quantity
from apollo_common.units import format_size

Object = dict[str, Any]

MAX_MESSAGE_CHARS: Final = 600

_IMAGE_REASONS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_HARMLESS_WAITING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
_DISRUPTIONS: Final = {  # reasons of the condition DisruptionTarget
    "PreemptionByScheduler": "it had to make room for a pod of higher priority",
    "DeletionByTaintManager": "its node {node} is lost or was tainted",
    "EvictionByEvictionAPI": "it was evicted, as when its node {node} is drained",
    "DeletionByPodGC": "its node {node} is gone",
    "TerminationByKubelet": "its node {node} ended it",
}
_POD_REASONS: Final = {  # reasons of a failed pod as a whole
    "Evicted": "it was evicted from its node {node}",
    "NodeLost": "its node {node} is lost",
    "NodeShutdown": "its node {node} was shut down",
    "Terminated": "its node {node} was shut down",
    "DeadlineExceeded": "it reached its activeDeadlineSeconds",
}


def waiting_reason(pod: Object) -> str:
    """Why a pod that should run does not yet, empty while there is nothing to say."""
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return _sentence("no node takes it", scheduled.get("message"))
    for status in _container_statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason in _IMAGE_REASONS:
            return _sentence(f"its image {_image(pod, status)} cannot be had ({reason})", waiting.get("message"))
        if reason not in _HARMLESS_WAITING:
            return _sentence(f"its container {status.get('name')} does not start ({reason})", waiting.get("message"))
    return ""


def end_reason(pod: Object) -> str:
    """Why a pod has ended, empty while it may run."""
    status = pod.get("status") or {}
    if status.get("phase") not in ("Failed", "Succeeded"):
        return ""
    return (
        out_of_memory_reason(pod)
        or _pod_reason(pod)
        or leaving_reason(pod)
        or _exit_reason(pod)
        or _sentence(str(status.get("reason") or "it ended"), status.get("message"))
    )


def leaving_reason(pod: Object) -> str:
    """Why a pod is about to end or be deleted, empty unless it is. Its containers may have some time left."""
    disruption = _condition(pod, "DisruptionTarget")
    if disruption.get("status") == "True":
        words = _DISRUPTIONS.get(str(disruption.get("reason")), "it was disrupted")
        return _sentence(words.format(node=_node(pod)), disruption.get("message"))
    return "it was deleted" if pod["metadata"].get("deletionTimestamp") else ""


def out_of_memory_reason(pod: Object) -> str:
    """Which container of a pod has ended for want of memory, and what its limit was; empty if none has."""
    for status in _container_statuses(pod):
        ended = _terminated(status)
        # A container that outlived the kill of one of its processes keeps the reason, but ends well.
        if ended.get("reason") == "OOMKilled" and ended.get("exitCode") != 0:
            name = str(status.get("name"))
            return f"its container {name} was OOMKilled: limit {_memory_limit(pod, name)}"
    return ""


def volume_reason(events: Sequence[Object]) -> str:
    """What events of a pod say of a volume that cannot be mounted, or of a sandbox that cannot be made."""
    telling = {"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"}
    for event in reversed(events):
        if event.get("reason") in telling:
            what = (
                "its network is not made" if event["reason"] == "FailedCreatePodSandBox" else "a volume is not mounted"
            )
            return _sentence(f"{what} ({event['reason']})", event.get("message"))
    return ""


def _pod_reason(pod: Object) -> str:
    """Of a pod that failed as a whole."""
    status = pod.get("status") or {}
    words = _POD_REASONS.get(str(status.get("reason")), "")
    return _sentence(words.format(node=_node(pod)), status.get("message")) if words else ""


def _exit_reason(pod: Object) -> str:
    for status in _container_statuses(pod):
        ended = _terminated(status)
        if not ended:
            continue
        if ended.get("signal"):
            how = f"was killed by signal {ended['signal']}"
        else:
            how = f"exited with status {ended.get('exitCode')}"
        return _sentence(f"its container {status.get('name')} {how}", ended.get("message"))
    return ""


def _container_statuses(pod: Object) -> Iterator[Object]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _terminated(status: Object) -> Object:
    found: Object = (status.get("state") or {}).get("terminated") or {}
    return found


def _condition(pod: Object, kind: str) -> Object:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind:
            found: Object = condition
            return found
    return {}


def _image(pod: Object, status: Object) -> str:
    """As the pod asks for it: the status may hold a digest, or nothing."""
    spec = pod.get("spec") or {}
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        if container.get("name") == status.get("name"):
            return str(container.get("image"))
    return str(status.get("image"))


def _memory_limit(pod: Object, container_name: str) -> str:
    spec = pod.get("spec") or {}
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        limit = str(((container.get("resources") or {}).get("limits") or {}).get("memory") or "")
        if container.get("name") == container_name and limit:
            size = parse_quantity(limit)
            return limit if size is None else format_size(int(size))
    return "that of its node"


def _node(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "(none)")


def _sentence(words: str, detail: object) -> str:
    text = " ".join(str(detail or "").split())
    return f"{words}: {text[:MAX_MESSAGE_CHARS]}" if text else words
