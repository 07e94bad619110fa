"""What the pool keeps of a worker pod: little, since there may be thousands."""

from dataclasses import dataclass

from apollo_common.errors import OutOfMemory
from apollo_common.ids import JobId
from apollo_common.units import format_size
from apollo_coordinator.pools.kubernetes.api import Object
from apollo_coordinator.pools.kubernetes.failures import (
    end_reason,
    fault,
    leaving_reason,
    waiting_reason,
)
from apollo_coordinator.pools.kubernetes.names import JOB_LABEL, TEMPLATE_ANNOTATION


@dataclass(frozen=True, slots=True)
class Pod:
    """As last seen. `waiting`, `leaving` and `ended` are sentences about it, empty when there is nothing to say."""

    name: str
    job: JobId
    ip: str  # empty unless its containers run
    waiting: str
    leaving: str  # it is about to end, but its worker may have a grace to finish in
    ended: str
    deleting: bool = False  # somebody has asked for its deletion: a node ends pods without
    template: str = ""  # the version of what it was made from; empty: it does not say
    fault: str = ""  # by which what its worker ran has failed: a reason of apollo_common.errors

    @property
    def runs(self) -> bool:
        """Whether there may be a worker to talk to."""
        return bool(self.ip) and not self.ended

    def end_with_peak(self, peak_bytes: int) -> str:
        """How it ended, also with the memory that its worker was last heard to have used; 0: not known."""
        how = self.ended or self.leaving or "its pod is gone"
        if self.fault == OutOfMemory.reason and peak_bytes:
            return f"{how}, last seen peak {format_size(peak_bytes)}"
        return how


def parse_pod(pod: Object) -> Pod:
    metadata, status = pod["metadata"], pod.get("status") or {}
    running = status.get("phase") == "Running"
    return Pod(
        name=metadata["name"],
        job=JobId((metadata.get("labels") or {}).get(JOB_LABEL, "")),
        ip=str(status.get("podIP") or "") if running else "",
        waiting="" if running else waiting_reason(pod),
        leaving=leaving_reason(pod),
        ended=end_reason(pod),
        deleting=bool(metadata.get("deletionTimestamp")),
        template=(metadata.get("annotations") or {}).get(TEMPLATE_ANNOTATION, ""),
        fault=fault(pod),
    )
