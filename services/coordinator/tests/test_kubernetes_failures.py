"""What users are told of pods that do not start, or end. The pods are shaped as real API servers tell them."""

import pytest

from apollo_coordinator.pools.kubernetes.failures import end_reason, leaving_reason, volume_reason, waiting_reason
from apollo_coordinator.pools.kubernetes.pods import parse_pod


def a_pod(*, deleting: bool = False, **status) -> dict:
    metadata = {"name": "w"} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {})
    worker = {
        "name": "worker",
        "image": "apollo-worker:1",
        "resources": {"limits": {"memory": "512Mi"}},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
    }
    mesh = {"name": "mesh", "image": "mesh:1", "volumeMounts": [{"name": "mesh-data", "mountPath": "/data"}]}
    return {"metadata": metadata, "spec": {"nodeName": "node7", "containers": [mesh, worker]}, "status": status}


def condition(kind: str, status: str, reason: str, message: str = "") -> dict:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def worker_state(**state) -> list[dict]:
    return [{"name": "worker", "image": "apollo-worker:1", "state": state}]


def mesh_state(**state) -> list[dict]:
    return [{"name": "mesh", "image": "mesh:1", "state": state}]


OOM_KILLED = {"reason": "OOMKilled", "exitCode": 137}


def test_unschedulable_repeats_the_scheduler():
    message = "0/3 nodes are available: 3 Insufficient memory."
    pod = a_pod(phase="Pending", conditions=[condition("PodScheduled", "False", "Unschedulable", message)])
    assert waiting_reason(pod) == f"no node takes it: {message}"


def test_an_image_that_cannot_be_had_is_named():
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "apollo-worker:1"'}
    told = waiting_reason(a_pod(phase="Pending", containerStatuses=worker_state(waiting=waiting)))
    assert told.startswith("its image apollo-worker:1 cannot be had (ImagePullBackOff): Back-off")


def test_a_container_that_cannot_be_configured_says_why():
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}
    told = waiting_reason(a_pod(phase="Pending", containerStatuses=worker_state(waiting=waiting)))
    assert told == 'its container worker does not start (CreateContainerConfigError): secret "x" not found'


def test_a_pod_that_is_about_to_start_is_no_news():
    creating = worker_state(waiting={"reason": "ContainerCreating"})
    scheduled = [condition("PodScheduled", "True", "")]
    assert waiting_reason(a_pod(phase="Pending", conditions=scheduled, containerStatuses=creating)) == ""
    assert waiting_reason(a_pod()) == ""


def test_a_living_pod_has_no_end():
    assert end_reason(a_pod(phase="Running", containerStatuses=worker_state(running={}))) == ""


def test_out_of_memory_names_the_limit():
    ended = worker_state(terminated={"reason": "OOMKilled", "exitCode": 137})
    pod = a_pod(phase="Failed", containerStatuses=ended)
    assert end_reason(pod) == "its container worker was OOMKilled: limit 512.0 MiB"
    told = "its container worker was OOMKilled: limit 512.0 MiB, last seen peak 509.0 MiB"
    assert parse_pod(pod).end_with_peak(509 << 20) == told
    assert parse_pod(pod).end_with_peak(0) == end_reason(pod)
    assert parse_pod(pod).fault == "out_of_memory"


def test_a_pod_that_goes_before_its_phase_says_how_it_ended_has_the_fault_all_the_same():
    pod = parse_pod(a_pod(phase="Running", containerStatuses=worker_state(terminated=OOM_KILLED)))
    assert (pod.ended, pod.fault) == ("", "out_of_memory")
    assert pod.end_with_peak(509 << 20) == "its pod is gone, last seen peak 509.0 MiB"


def test_another_containers_want_of_memory_is_told_and_no_fault_of_the_program():
    pod = a_pod(
        phase="Failed",
        containerStatuses=mesh_state(terminated=OOM_KILLED) + worker_state(terminated={"exitCode": 143}),
    )
    assert end_reason(pod) == "its container mesh was OOMKilled: limit that of its node"
    assert parse_pod(pod).fault == ""


def test_a_pod_whose_worker_has_ended_is_over_though_a_container_beside_it_goes_on():
    pod = a_pod(
        phase="Running", podIP="10.0.0.1",
        containerStatuses=mesh_state(running={}) + worker_state(terminated=OOM_KILLED),
    )  # fmt: skip
    assert end_reason(pod) == "its container worker was OOMKilled: limit 512.0 MiB"
    assert (parse_pod(pod).runs, parse_pod(pod).fault) == (False, "out_of_memory")


def test_a_pod_whose_containers_have_all_ended_is_not_over_before_it_says_why():
    """As the kubelet tells it: first that the containers have ended, then the pod's phase with its reason."""
    killed = worker_state(terminated={"reason": "Error", "exitCode": 137})
    assert end_reason(a_pod(phase="Running", podIP="10.0.0.1", containerStatuses=killed)) == ""


def test_of_several_init_containers_the_one_that_failed_is_named():
    done = {"name": "prepare", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    failed = {"name": "fetch", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
    waiting = worker_state(waiting={"reason": "PodInitializing"})
    pod = a_pod(phase="Failed", initContainerStatuses=[done, failed], containerStatuses=waiting)
    assert end_reason(pod) == "its container fetch exited with status 3"


def test_a_pod_whose_worker_outlived_the_kill_of_a_program_did_not_end_of_it():
    """Containerd keeps the reason; the worker had gone on, and ended well."""
    ended = worker_state(terminated={"reason": "OOMKilled", "exitCode": 0})
    told = end_reason(a_pod(deleting=True, phase="Succeeded", containerStatuses=ended))
    assert told == "it was deleted"


def test_an_eviction_by_the_node_repeats_the_kubelet():
    told = end_reason(a_pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."))
    assert told == "it was evicted from its node node7: The node was low on resource: memory."


@pytest.mark.parametrize("message", [
    'Usage of EmptyDir volume "work" exceeds the limit "20Gi". ',
    'Container worker exceeded its local ephemeral storage limit "1Gi". ',
    "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ",
])  # fmt: skip
def test_an_eviction_for_what_the_program_wrote_is_its_failure(message):
    """The kubelet sets no condition for it: the pod is not disrupted, it broke a limit of its own."""
    killed = worker_state(terminated={"reason": "Error", "exitCode": 137})
    pod = a_pod(phase="Failed", reason="Evicted", message=message, containerStatuses=killed)
    assert parse_pod(pod).fault == "scratch_exceeded"
    assert end_reason(pod) == f"it was evicted from its node node7: {message.strip()}"
    assert leaving_reason(pod) == ""


LOW = "The node was low on resource: {0}. Threshold quantity: 1Gi, available: 900Mi. Container worker was using 5Gi, "


@pytest.mark.parametrize("message", [
    LOW.format("memory") + "request is 1Gi, has larger consumption of memory. ",
    LOW.format("ephemeral-storage") + "request is 0, has larger consumption of ephemeral-storage. ",
    "The node had condition: [DiskPressure]. ",
    'Usage of EmptyDir volume "mesh-data" exceeds the limit "1Gi". ',
    'Container mesh exceeded its local ephemeral storage limit "1Gi". ',
])  # fmt: skip
def test_an_eviction_for_what_others_use_is_no_failure_of_the_program(message):
    assert parse_pod(a_pod(phase="Failed", reason="Evicted", message=message)).fault == ""


def test_a_drain_shows_in_the_disruption_target():
    drained = [condition("DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting")]
    pod = a_pod(deleting=True, phase="Running", conditions=drained)
    assert end_reason(pod) == ""  # its worker has a grace to finish in
    told = "it was evicted, as when its node node7 is drained: Eviction API: evicting"
    assert leaving_reason(pod) == told
    assert end_reason(pod | {"status": pod["status"] | {"phase": "Succeeded"}}) == told


def test_a_lost_node_is_named():
    taint = [condition("DisruptionTarget", "True", "DeletionByTaintManager", "node.kubernetes.io/unreachable")]
    assert "its node node7 is lost" in leaving_reason(a_pod(deleting=True, phase="Running", conditions=taint))


def test_a_container_that_exits_shows_its_last_words():
    ended = worker_state(
        terminated={"exitCode": 2, "reason": "Error", "message": "apollo-worker: APOLLO_PORT: wrong\n"}
    )
    assert (
        end_reason(a_pod(phase="Failed", containerStatuses=ended))
        == "its container worker exited with status 2: apollo-worker: APOLLO_PORT: wrong"
    )


def test_a_pod_that_somebody_deletes_says_so():
    assert leaving_reason(a_pod(deleting=True, phase="Running")) == "it was deleted"
    assert end_reason(a_pod(deleting=True, phase="Failed")) == "it was deleted"
    assert leaving_reason(a_pod(phase="Running")) == ""


def test_events_tell_of_a_volume():
    events = [
        {"reason": "Scheduled", "message": "assigned"},
        {"reason": "FailedMount", "message": 'MountVolume.SetUp failed for volume "x"'},
        {"reason": "Pulled", "message": "ok"},
    ]
    assert volume_reason(events) == 'a volume is not mounted (FailedMount): MountVolume.SetUp failed for volume "x"'
    assert volume_reason(events[:1]) == ""


def test_of_several_telling_events_the_newest_is_told_whatever_their_order():
    """One that happened again keeps its place, and is the newest all the same."""
    again = {"reason": "FailedMount", "message": "again", "lastTimestamp": "2026-01-01T10:09:00Z"}
    early = {"reason": "FailedAttachVolume", "message": "early", "lastTimestamp": "2026-01-01T10:01:00Z"}
    series = {"lastObservedTime": "2026-01-01T10:05:00.000001Z"}
    network = {"reason": "FailedCreatePodSandBox", "message": "no IP", "eventTime": "2026-01-01T10:00:00.5Z"}
    assert volume_reason([again, early]) == "a volume is not mounted (FailedMount): again"
    assert volume_reason([early, again | {"lastTimestamp": None}]).endswith("early")
    assert volume_reason([network | {"series": series}, early]).startswith("its network is not made")
