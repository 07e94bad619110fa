"""Workers on this machine as the settings want them; the first can be started before the rest is imported.

A worker takes as long to import what it needs as a coordinator does. Side by side, the smallest job of `apollo run`
ends earlier, so this imports no more than what starts a process.
"""

from apollo_coordinator.pools.local_worker import SpawnedWorker, WorkerStartFailed
from apollo_coordinator.pools.process import ProcessPoolSettings, spawn_worker
from apollo_coordinator.settings import CoordinatorSettings


def process_pool_settings(settings: CoordinatorSettings) -> ProcessPoolSettings:
    die_with_parent = settings.worker_orphan_seconds == 0
    return ProcessPoolSettings(
        data_dir=settings.data_dir,
        volume=settings.volume,
        workers=settings.workers,
        # A coordinator of one job does not know yet whether it needs more.
        initial_workers=1 if die_with_parent else settings.workers,
        die_with_parent=die_with_parent,
        orphan_seconds=settings.worker_orphan_seconds,
        sandbox=settings.sandbox,
        log_level=settings.log_level,
    )


def spawn_first_worker(settings: CoordinatorSettings) -> SpawnedWorker | None:
    """For a Coordinator of the same settings, whose data directory is new. Its caller discards it in the end.

    None when it cannot be: the pool will try again, and tell.
    """
    try:
        return spawn_worker(process_pool_settings(settings))
    except WorkerStartFailed:
        return None
