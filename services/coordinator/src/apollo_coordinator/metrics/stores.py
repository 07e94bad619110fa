"""What the coordinator keeps on its volume."""

from typing import Final, Protocol

from prometheus_client import CollectorRegistry

from apollo_common.metrics.disks import DiskMetrics
from apollo_common.metrics.families import AnyFamily, ReadAtScrape, gauge

JOURNAL: Final = gauge("apollo_journal_size_bytes", "The journal's file and its write-ahead log.")
ARTIFACTS: Final = gauge("apollo_artifacts", "Names of uploaded artifacts.")
ARTIFACT_BYTES: Final = gauge("apollo_artifact_store_bytes", "Files of artifacts, also of those that lost their name.")

FAMILIES: Final[tuple[AnyFamily, ...]] = (JOURNAL, ARTIFACTS, ARTIFACT_BYTES)


class Sized(Protocol):
    def size_bytes(self) -> int:
        """On disk; blocking. OSError."""
        ...


class SizedArtifacts(Sized, Protocol):
    @property
    def count(self) -> int: ...


def serve_stores(registry: CollectorRegistry, disks: DiskMetrics, journal: Sized, artifacts: SizedArtifacts) -> None:
    """The sizes are sampled by `disks`."""
    ReadAtScrape([ARTIFACTS], lambda: [(ARTIFACTS, {(): artifacts.count})]).on(registry)
    disks.watch("the journal", journal.size_bytes, JOURNAL.on(registry).of().set)
    disks.watch("artifacts", artifacts.size_bytes, ARTIFACT_BYTES.on(registry).of().set)
