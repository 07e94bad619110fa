"""Why a pod does not start or has ended, in words for the user. Pure: works on a pod as the API server tells it.

Conditions, reasons and phases: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from apollo_common.errors import OutOfMemory, ScratchExceeded
from apollo_common.quantity import parse_quantity
from apollo_common.units import format_size
from apollo_coordinator.pools.kubernetes.names import WORKER_CONTAINER

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
# Messages of the reason Evicted where the pod itself went over a limit of its own (kubelet, eviction/helpers.go). One
# for want of space on the node says otherwise, and has the condition DisruptionTarget beside it.
_OWN_DISK: Final = re.compile(
    r'Usage of EmptyDir volume "(?P<volume>[^"]+)" exceeds the limit'
    r"|Container (?P<container>\S+) exceeded its local ephemeral storage limit"
    r"|Pod ephemeral local storage usage exceeds the total limit of containers"
)
_TELLING_EVENTS: Final = {
    "FailedMount": "a volume is not mounted",
    "FailedAttachVolume": "a volume is not mounted",
    "FailedCreatePodSandBox": "its network is not made",
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
    """Why a pod has ended, empty while its worker may run: containers beside it may go on for ever."""
    status = pod.get("status") or {}
    if status.get("phase") not in ("Failed", "Succeeded") and not _outlived(pod):
        return ""
    return (
        _out_of_memory_reason(pod)
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


def fault(pod: Object) -> str:
    """The reason (apollo_common.errors) by which what the worker ran has failed; empty if it has not.

    Which is when the worker went over a limit of its own. It is tried again, within the job's `maxAttempts`, though the
    worker's own word of the same reason is final: what the pod used is not this attempt's alone.
    """
    if _ran_out_of_memory(_worker_status(pod)):
        return OutOfMemory.reason
    return ScratchExceeded.reason if _ran_out_of_disk(pod) else ""


def volume_reason(events: Sequence[Object]) -> str:
    """What events of a pod say of a volume that cannot be mounted, or of a sandbox that cannot be made; the newest."""
    telling = [event for event in events if event.get("reason") in _TELLING_EVENTS]
    if not telling:
        return ""
    newest = max(telling, key=_last_seen)
    return _sentence(f"{_TELLING_EVENTS[newest['reason']]} ({newest['reason']})", newest.get("message"))


def _last_seen(event: Object) -> str:
    """When an event last happened, for comparison (RFC 3339 in UTC): which field says so depends on who wrote it."""
    times = [(event.get("series") or {}).get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime")]
    return max(time or "" for time in times)


def _out_of_memory_reason(pod: Object) -> str:
    """Which container of a pod has ended for want of memory, and what its limit was; empty if none has."""
    for status in _container_statuses(pod):
        if _ran_out_of_memory(status):
            name = str(status.get("name"))
            return f"its container {name} was OOMKilled: limit {_memory_limit(pod, name)}"
    return ""


def _ran_out_of_memory(status: Object) -> bool:
    # A container that outlived the kill of one of its processes keeps the reason, but ends well.
    ended = _terminated(status)
    return ended.get("reason") == "OOMKilled" and ended.get("exitCode") != 0


def _ran_out_of_disk(pod: Object) -> bool:
    """Whether its node evicted the pod for what its worker had written."""
    status = pod.get("status") or {}
    found = _OWN_DISK.match(str(status.get("message") or "")) if status.get("reason") == "Evicted" else None
    if found is None or found["container"] not in (None, WORKER_CONTAINER):
        return False
    mounts = _container(pod, WORKER_CONTAINER).get("volumeMounts") or ()
    return found["volume"] is None or any(mount.get("name") == found["volume"] for mount in mounts)


def _pod_reason(pod: Object) -> str:
    """Of a pod that failed as a whole."""
    status = pod.get("status") or {}
    words = _POD_REASONS.get(str(status.get("reason")), "")
    return _sentence(words.format(node=_node(pod)), status.get("message")) if words else ""


def _exit_reason(pod: Object) -> str:
    for status in _container_statuses(pod):
        ended = _terminated(status)
        if not ended or (not ended.get("exitCode") and status.get("name") != WORKER_CONTAINER):
            continue  # an init container that has done its work
        if ended.get("signal"):
            how = f"was killed by signal {ended['signal']}"
        else:
            how = f"exited with status {ended.get('exitCode')}"
        return _sentence(f"its container {status.get('name')} {how}", ended.get("message"))
    return ""


def _container_statuses(pod: Object) -> Iterator[Object]:
    """The worker's first."""
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    yield from sorted(statuses, key=lambda found: found.get("name") != WORKER_CONTAINER)


def _outlived(pod: Object) -> bool:
    """Whether containers run that the worker's has left behind. Where none does, the pod ends soon, and only then says
    why: its phase and reason follow the end of its last container.
    """
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return bool(_terminated(_worker_status(pod))) and any("running" in (other.get("state") or {}) for other in statuses)


def _worker_status(pod: Object) -> Object:
    return next((status for status in _container_statuses(pod) if status.get("name") == WORKER_CONTAINER), {})


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
    return str(_container(pod, status.get("name")).get("image") or status.get("image"))


def _memory_limit(pod: Object, container_name: str) -> str:
    resources = _container(pod, container_name).get("resources") or {}
    limit = str((resources.get("limits") or {}).get("memory") or "")
    if not limit:
        return "that of its node"
    size = parse_quantity(limit)
    return limit if size is None else format_size(int(size))


def _container(pod: Object, name: object) -> Object:
    """As the pod's spec describes it."""
    spec = pod.get("spec") or {}
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return next((container for container in containers if container.get("name") == name), {})


def _node(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "(none)")


def _sentence(words: str, detail: object) -> str:
    text = " ".join(str(detail or "").split())
    return f"{words}: {text[:MAX_MESSAGE_CHARS]}" if text else words
