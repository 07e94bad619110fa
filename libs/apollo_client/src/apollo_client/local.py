"""Embedded mode: the real coordinator in this process, on a Unix socket in a private directory that goes with it."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any, Final

from apollo_client.errors import LocalModeFailed
from apollo_client.private_directory import abandoned_directories, new_private_directory
from apollo_client.rest import UNIX_SCHEME
from apollo_common.errors import ApolloError
from apollo_common.lifecycle import to_the_end
from apollo_common.logging import configure_logging
from apollo_common.settings import LogLevel, Settings

# For jobs to end and be cleaned up, and commits that have begun.
WIND_UP_SECONDS = 10
CLOSE_SECONDS = 10
PROBE_SECONDS = 3  # who sits before a job that waits for room sees soon that there is some
# Of jobs of a command that was killed, when their storage does not answer.
ABANDONED_SECONDS = 10
# What goes wrong is told by the job; the user of a command wants no log lines between.
QUIET: Final = "CRITICAL"


class _LogSettings(Settings):
    log_level: LogLevel = QUIET


def sandbox_of_own_programs() -> str:
    """What programs run in that their own user starts, who could run them without Apollo: nothing, unless asked for."""
    return os.environ.get("APOLLO_SANDBOX") or "off"


def quiet_logging(service: str) -> LogLevel:
    """Log what the user asks for, which is next to nothing unless APOLLO_LOG_LEVEL says more. InvalidSetting."""
    log_level = _LogSettings.load().log_level
    configure_logging(service, log_format="console", level=log_level)
    return log_level


@asynccontextmanager
async def embedded_coordinator(workers: int) -> AsyncIterator[str]:
    """A coordinator with at most so many worker processes; its address. Nothing of it or its jobs is left afterwards.

    Storage that does not answer leaves something to the next one, as does a command that is killed. Raises
    InvalidSetting, also when no worker starts with what the environment says, and the coordinator's error when that
    cannot go on.
    """
    log_level = quiet_logging("coordinator")
    directory = new_private_directory()
    first_worker = None
    all_ended = True
    try:
        socket = directory.path / "api.sock"
        settings = _coordinator_module("settings").CoordinatorSettings.load(
            {},
            data_dir=directory.path / "data",
            intermediate_dir=directory.path / "intermediate",
            host=None,
            port=None,
            unix_socket=socket,
            workers=workers,
            worker_orphan_seconds=0,
            full_volume_probe_seconds=PROBE_SECONDS,
            file_roots=None,
            storage_endpoints=None,
            allow_network=True,
            sandbox=sandbox_of_own_programs(),
            log_level=log_level,
        )
        first_worker = _coordinator_module("process_workers").spawn_first_worker(settings)
        app = coordinator_app()  # while the worker imports what it needs
        await _end_abandoned(app)
        coordinator = app.Coordinator(settings, first_worker)

        async def close() -> None:
            nonlocal all_ended
            all_ended = await _in_time(WIND_UP_SECONDS, coordinator.wind_up())
            # Workers end with this process in any case.
            await _in_time(CLOSE_SECONDS, coordinator.close())

        try:
            await coordinator.start()
            async with as_long_as(coordinator.wait()):
                yield f"{UNIX_SCHEME}{socket}"
        finally:
            await to_the_end(close())
    finally:
        if first_worker is not None:
            first_worker.discard()
        if all_ended:
            directory.remove()


async def _in_time(seconds: float, work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work was done in time."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return False
    return True


async def _end_abandoned(app: Any) -> None:
    """Their uploads are aborted, and outputs that they were about to publish are published, as after any restart."""
    for orphan in abandoned_directories():
        try:
            with suppress(ApolloError, OSError, TimeoutError):
                async with asyncio.timeout(ABANDONED_SECONDS):
                    await app.end_abandoned(orphan.path / "data")
        finally:
            orphan.remove()


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
    """The module apollo_coordinator.app. LocalModeFailed."""
    return _coordinator_module("app")


def _coordinator_module(name: str) -> Any:
    return service_module(f"apollo_coordinator.{name}")


def service_module(name: str) -> Any:
    """Imported by name, because a client may be installed without the services. LocalModeFailed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise LocalModeFailed(
            f"Programs run on this machine only where the services are installed ({error.name} is missing): "
            "install the wheels of apollo-coordinator, apollo-worker and apollo-sdk of the same release, or name a "
            "coordinator with --coordinator."
        ) from error


def default_workers() -> int:
    """As many as this process may use processors."""
    return len(os.sched_getaffinity(0))
