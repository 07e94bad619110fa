"""The registry of a coordinator, with all observers that count into it."""

from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from apollo_common.lifecycle import TaskOwner
from apollo_common.metrics.disks import DiskMetrics
from apollo_common.metrics.process import ProcessMetrics
from apollo_common.metrics.storage import StorageMetrics
from apollo_coordinator import __version__
from apollo_coordinator.metrics.engine import EngineMetrics
from apollo_coordinator.metrics.links import LinkMetrics
from apollo_coordinator.metrics.present import Scheduling, serve_present
from apollo_coordinator.metrics.stores import Sized, SizedArtifacts, serve_stores
from apollo_coordinator.ports import Clock


class CoordinatorMetrics:
    """The observers count from the start; `watch` looks at what is built by then."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.engine = EngineMetrics(self.registry)
        self.links = LinkMetrics(self.registry)
        self.storage = StorageMetrics(self.registry)
        self._process = ProcessMetrics(self.registry, service="coordinator", version=__version__)

    def watch(
        self,
        tasks: TaskOwner,
        *,
        scheduling: Scheduling,
        clock: Clock,
        journal: Sized,
        artifacts: SizedArtifacts,
        volumes: Mapping[str, Path | None],
    ) -> None:
        """`volumes`: directories by what they hold; None where there is none."""
        serve_present(self.registry, scheduling, clock)
        disks = DiskMetrics(self.registry, tasks)
        serve_stores(self.registry, disks, journal, artifacts)
        for name, path in volumes.items():
            if path is not None:
                disks.watch_volume(name, path)
        tasks.spawn(self._process.measure_until_cancelled(), name="event loop lag")
