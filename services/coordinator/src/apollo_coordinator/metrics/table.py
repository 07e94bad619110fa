"""All that the coordinator serves, in the order of its page."""

from typing import Final

from apollo_common.metrics import disks, process, storage
from apollo_common.metrics.families import AnyFamily
from apollo_coordinator.api import metrics as api
from apollo_coordinator.metrics import engine, links, present, stores

FAMILIES: Final[tuple[AnyFamily, ...]] = (
    *present.FAMILIES,
    *engine.FAMILIES,
    *links.FAMILIES,
    *api.FAMILIES,
    *stores.FAMILIES,
)

SHARED: Final[tuple[AnyFamily, ...]] = (*disks.FAMILIES, *storage.FAMILIES, *process.FAMILIES)
"""Served by a worker, too."""
