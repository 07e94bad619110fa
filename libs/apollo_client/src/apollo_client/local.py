"""Embedded mode: the real coordinator in this process, on a Unix socket in a private directory that goes with it."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any

from apollo_client.errors import LocalModeFailed
from apollo_client.private_directory import private_directory
from apollo_client.rest import UNIX_SCHEME
from apollo_common.logging import configure_logging

CLOSE_SECONDS = 10
# What goes wrong is told by the job; the user of a command wants no log lines between.
QUIET = "CRITICAL"


@asynccontextmanager
async def embedded_coordinator(workers: int) -> AsyncIterator[str]:
    """A coordinator with at most so many worker processes; its address. Nothing of it is left afterwards.

    Raises the coordinator's error when that cannot go on.
    """
    with private_directory() as directory:
        socket = directory / "api.sock"
        app = coordinator_app()
        settings = app.Settings(
            data_dir=directory / "data",
            intermediate_dir=directory / "intermediate",
            host=None,
            port=None,
            unix_socket=socket,
            workers=workers,
            worker_orphan_seconds=0,
            file_roots=None,
            storage_endpoints=None,
            log_level=os.environ.get("APOLLO_LOG_LEVEL") or QUIET,
        )
        configure_logging("coordinator", log_format="console", level=settings.log_level)
        coordinator = app.Coordinator(settings)
        try:
            await coordinator.start()
            async with as_long_as(coordinator.wait()):
                yield f"{UNIX_SCHEME}{socket}"
        finally:
            # Workers end with this process in any case.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await coordinator.close()


@asynccontextmanager
async def as_long_as(works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Watches `works` during the block: its error cancels the block, and takes the cancellation's place."""
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(works)
            yield
            watch.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def coordinator_app() -> Any:
    """The module apollo_coordinator.app; imported by name, because a client may be installed without the services."""
    try:
        return import_module("apollo_coordinator.app")
    except ModuleNotFoundError as error:
        raise LocalModeFailed(
            f"Jobs run on this machine only where the services are installed ({error.name} is missing): "
            "install the wheels of apollo-coordinator, apollo-worker and apollo-sdk of the same release, or name a "
            "coordinator with --coordinator."
        ) from error


def default_workers() -> int:
    """As many as this process may use processors."""
    return len(os.sched_getaffinity(0))
