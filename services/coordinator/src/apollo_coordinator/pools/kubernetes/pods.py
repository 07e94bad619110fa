"""What the pool keeps of a worker pod: little, since there may be thousands."""

from dataclasses import dataclass

from apollo_common.ids import JobId
from apollo_coordinator.pools.kubernetes.api import Object
from apollo_coordinator.pools.kubernetes.failures import end_reason, waiting_reason
from apollo_coordinator.pools.kubernetes.names import JOB_LABEL


@dataclass(frozen=True, slots=True)
class Pod:
    """As last seen. `waiting` and `ended` are sentences about it, empty when there is nothing to say."""

    name: str
    job: JobId
    ip: str  # empty until its container runs
    waiting: str
    ended: str  # also while it is being deleted
    deleting: bool

    @property
    def runs(self) -> bool:
        """Whether there may be a worker to talk to."""
        return bool(self.ip) and not self.ended


def parse_pod(pod: Object) -> Pod:
    metadata, status = pod["metadata"], pod.get("status") or {}
    running = status.get("phase") == "Running"
    return Pod(
        name=metadata["name"],
        job=JobId((metadata.get("labels") or {}).get(JOB_LABEL, "")),
        ip=str(status.get("podIP") or "") if running else "",
        waiting="" if running else waiting_reason(pod),
        ended=end_reason(pod),
        deleting=bool(metadata.get("deletionTimestamp")),
    )
