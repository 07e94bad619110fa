"""What an operator sets of this pool."""

from dataclasses import dataclass, field

from apollo_common.backoff import Backoff
from apollo_coordinator.pools.kubernetes.reflector import ReflectorSettings
from apollo_coordinator.pools.supervision import Supervision


@dataclass(frozen=True, slots=True)
class KubernetesPoolSettings:
    max_pods: int = 1_000  # of all jobs
    single_node: bool = False  # the intermediate volume can be mounted on one node only
    keep_idle_seconds: float = 30.0  # a pod that its job does not need now
    orphan_seconds: int = 600  # pods outlive a coordinator by this much, then end by themselves
    slow_start_seconds: float = 10.0  # a pod that still says nothing then: its events are looked at
    first_answer_seconds: float = 60.0  # of a worker whose container runs
    parallel_calls: int = 8  # to the API server
    create_backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=500, limit_ms=30_000))
    supervision: Supervision = field(default_factory=Supervision)
    reflector: ReflectorSettings = field(default_factory=ReflectorSettings)
