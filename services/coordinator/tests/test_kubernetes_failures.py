"""What users are told of pods that do not start, or end. The pods are shaped as real API servers tell them."""

from apollo_coordinator.pools.kubernetes.failures import end_reason, volume_reason, waiting_reason


def a_pod(*, deleting: bool = False, **status) -> dict:
    metadata = {"name": "w"} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {})
    worker = {"name": "worker", "image": "apollo-worker:1", "resources": {"limits": {"memory": "512Mi"}}}
    return {"metadata": metadata, "spec": {"nodeName": "node7", "containers": [worker]}, "status": status}


def condition(kind: str, status: str, reason: str, message: str = "") -> dict:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def worker_state(**state) -> list[dict]:
    return [{"name": "worker", "image": "apollo-worker:1", "state": state}]


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
    assert "OOMKilled: it used all of its memory limit of 512Mi" in end_reason(
        a_pod(phase="Failed", containerStatuses=ended)
    )


def test_an_eviction_by_the_node_repeats_the_kubelet():
    told = end_reason(a_pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."))
    assert told == "it was evicted from its node node7: The node was low on resource: memory."


def test_a_drain_shows_in_the_disruption_target():
    drained = [condition("DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting")]
    told = end_reason(a_pod(deleting=True, phase="Running", conditions=drained))
    assert told == "it was evicted, as when its node node7 is drained: Eviction API: evicting"


def test_a_lost_node_is_named():
    taint = [condition("DisruptionTarget", "True", "DeletionByTaintManager", "node.kubernetes.io/unreachable")]
    assert "its node node7 is lost" in end_reason(a_pod(deleting=True, phase="Running", conditions=taint))


def test_a_container_that_exits_shows_its_last_words():
    ended = worker_state(
        terminated={"exitCode": 2, "reason": "Error", "message": "apollo-worker: APOLLO_PORT: wrong\n"}
    )
    assert (
        end_reason(a_pod(phase="Failed", containerStatuses=ended))
        == "its container worker exited with status 2: apollo-worker: APOLLO_PORT: wrong"
    )


def test_a_pod_that_somebody_deletes_says_so():
    assert end_reason(a_pod(deleting=True, phase="Running")) == "it was deleted"


def test_events_tell_of_a_volume():
    events = [
        {"reason": "Scheduled", "message": "assigned"},
        {"reason": "FailedMount", "message": 'MountVolume.SetUp failed for volume "x"'},
        {"reason": "Pulled", "message": "ok"},
    ]
    assert volume_reason(events) == 'a volume is not mounted (FailedMount): MountVolume.SetUp failed for volume "x"'
    assert volume_reason(events[:1]) == ""
