"""Composition root: builds the worker's parts, serves until told to stop, and leaves nothing behind."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

from apollo_common.errors import DirectoryInUse, InvalidSetting
from apollo_common.grpc import GrpcServer
from apollo_common.lifecycle import TaskOwner, stop_signals
from apollo_common.logging import bind_log_context, configure_logging, get_logger
from apollo_common.owned_directory import OwnedDirectory, orphans
from apollo_common.storage.port import AttemptAccess
from apollo_common.threads import in_thread
from apollo_common.tls import worker_context
from apollo_proto.apollo.v1 import Done, Failed, TaskAssignment
from apollo_worker.artifact.socket_home import sweep_socket_homes
from apollo_worker.cache import ArtifactCache
from apollo_worker.core.budget import MemoryLimit
from apollo_worker.events import EventLog
from apollo_worker.lifetime import bind_to_parent, hide_memory, orphaned, parent_gone
from apollo_worker.memory import memory_limit, return_memory_early
from apollo_worker.observer import UNOBSERVED, Observers
from apollo_worker.rpc.health import HealthService
from apollo_worker.rpc.service import WorkerService
from apollo_worker.sandbox.sandbox import NO_SANDBOX, Sandbox, establish
from apollo_worker.sandbox.temporary import TemporaryPlace
from apollo_worker.settings import WorkerSettings
from apollo_worker.slot import AttemptRunner, AttemptSlot

_STREAM_GRACE_SECONDS: Final = 1.0
_HARD_EXIT_SECONDS: Final = 15.0

_log = get_logger(__name__)

LoadRunner = Callable[[WorkerSettings, ArtifactCache, Observers], AttemptRunner]


def main() -> int:
    """The `apollo-worker` command. Exit status 0 after an orderly stop, 2 for settings it cannot start with."""
    try:
        settings = WorkerSettings.load()
        settings.check_exposure()
        settings.check_places()
        sandbox = establish(
            settings.sandbox, settings.sandbox_readable, settings.sandbox_writable, settings.sandbox_temporary
        )
    except InvalidSetting as error:
        sys.stderr.write(f"apollo-worker: {error}\n")
        return 2
    configure_logging("worker", log_format=settings.log_format, level=settings.log_level)
    bind_log_context(worker=settings.worker_id)
    hide_memory()
    if settings.sandbox != "off" and not sandbox.abi:
        _log.warning("programs are not confined", sandbox=sandbox.description)
    return_memory_early()
    if settings.parent_pid and not bind_to_parent(settings.parent_pid):
        return 0
    try:
        asyncio.run(serve(settings, partial(load_runner, sandbox=sandbox), sandbox))
    except InvalidSetting as error:
        sys.stderr.write(f"apollo-worker: {error}\n")
        return 2
    except DirectoryInUse as error:
        sys.stderr.write(f"apollo-worker: {error}; give each worker another APOLLO_WORKER_ID\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"apollo-worker: cannot serve: {error}; see APOLLO_HOST, APOLLO_PORT, APOLLO_WORK_DIR\n")
        return 1
    return 0


async def serve(settings: WorkerSettings, load: LoadRunner, sandbox: Sandbox = NO_SANDBOX) -> None:
    """Serve until a signal, the parent's end, the orphan deadline or what an attempt leaves for good, then drain.

    InvalidSetting, DirectoryInUse, OSError.
    """
    await in_thread(_sweep, settings)
    tls = await in_thread(worker_context, settings.tls_dir) if settings.tls_dir is not None else None
    async with AsyncExitStack() as opened:
        work_dir = OwnedDirectory.claim(settings.work_dir / settings.worker_id)
        opened.push_async_callback(in_thread, work_dir.remove)
        places = [await _claim(directory, opened) for directory in sandbox.temporary]
        cache = ArtifactCache(work_dir.path / "artifacts", settings.artifact_cache_bytes)
        monitor = _Monitor() if settings.metrics_port >= 0 else None
        observers = monitor.observers if monitor is not None else UNOBSERVED
        slot = AttemptSlot(_PreparedRunner(lambda: load(settings, cache, observers)), observers.work, places)
        memory = memory_limit(settings.memory_sharers)
        service = WorkerService(settings.worker_id, slot, cache, memory, sandbox.description)
        if monitor is not None:
            await monitor.serve(settings, opened, slot, service, cache, memory)
        server = GrpcServer(
            [service, HealthService()],
            token=settings.token.get_secret_value(),
            tls=tls,
        )
        opened.push_async_callback(server.stop, _STREAM_GRACE_SECONDS)
        opened.push_async_callback(slot.close)
        with stop_signals() as stop:
            async with TaskOwner() as background:
                _announce(settings, await server.listen_on(settings.host, settings.port))
                for condition in _ends_of_life(settings, server, slot):
                    background.spawn(_stop_after(condition, stop), name="end of life")
                await stop.wait()
                await slot.drain(settings.drain_seconds)
                if not slot.running and not settings.has_pool:  # an attempt that is handed back tells
                    await service.until_known_to_drain()
                _log.info("worker stops")
                _exit_hard_after(_HARD_EXIT_SECONDS)


def _sweep(settings: WorkerSettings) -> None:
    """Remove what workers that were killed have left, also one of the same name; blocking."""
    for orphan in orphans(settings.work_dir):
        orphan.remove()
    sweep_socket_homes()


async def _claim(directory: str, opened: AsyncExitStack) -> TemporaryPlace:
    """InvalidSetting."""
    place = await in_thread(TemporaryPlace.claim, directory)
    opened.push_async_callback(in_thread, place.release)
    return place


class _PreparedRunner:
    """Loads the runner, with numpy and pyarrow, in the background: the worker serves half a second earlier."""

    def __init__(self, load: Callable[[], AttemptRunner]) -> None:
        self._loaded = asyncio.get_running_loop().run_in_executor(None, load)

    async def run(self, assignment: TaskAssignment, events: EventLog) -> Done | Failed:
        runner = await asyncio.shield(self._loaded)
        return await runner.run(assignment, events)

    async def renew(self, assignment: TaskAssignment, access: AttemptAccess) -> None:
        await (await asyncio.shield(self._loaded)).renew(assignment, access)

    async def close(self) -> None:
        await (await self._loaded).close()


class _Monitor:
    """Probes and metrics over HTTP. Loaded only where they are asked for: aiohttp's import takes 0.3 s."""

    def __init__(self) -> None:
        from apollo_worker.metrics import WorkerMetrics  # noqa: PLC0415 - see above

        self._metrics = WorkerMetrics()
        self.observers = self._metrics.observers

    async def serve(
        self,
        settings: WorkerSettings,
        opened: AsyncExitStack,
        slot: AttemptSlot,
        service: WorkerService,
        cache: ArtifactCache,
        memory: MemoryLimit,
    ) -> None:
        from apollo_common.probes import ProbeServer  # noqa: PLC0415 - see above
        from apollo_worker.metrics import Watched  # noqa: PLC0415

        tasks = await opened.enter_async_context(TaskOwner())
        volumes = {"work": settings.work_dir} | ({"intermediate": settings.volume} if settings.shared_volume else {})
        self._metrics.watch(tasks, Watched(slot, service, cache, memory.limit_bytes), volumes)
        probes = ProbeServer(self._metrics.registry, ready=lambda: True)
        opened.push_async_callback(probes.close)
        await probes.start(settings.host, settings.metrics_port)


def load_runner(
    settings: WorkerSettings, cache: ArtifactCache, observers: Observers, sandbox: Sandbox
) -> AttemptRunner:
    """Import and build the runner; blocking, half a second."""
    # Before numpy and pyarrow are loaded: an attempt's threads are few, and memory that is freed goes back.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from apollo_worker.runner import Runner  # noqa: PLC0415 - see _PreparedRunner

    return Runner(
        cache,
        work_dir=settings.work_dir / settings.worker_id,
        scratch_limit_bytes=settings.scratch_limit_bytes,
        volume=settings.volume,
        memory=memory_limit(settings.memory_sharers),
        sandbox=sandbox,
        observers=observers,
    )


def _ends_of_life(settings: WorkerSettings, server: GrpcServer, slot: AttemptSlot) -> list[Coroutine[Any, Any, None]]:
    """What ends this worker besides a signal: each returns when it is time."""
    conditions = [slot.until_spoilt()]
    if settings.parent_pid:
        conditions.append(parent_gone(settings.parent_pid))
    if settings.orphan_deadline_seconds:
        conditions.append(orphaned(lambda: server.last_call_seconds, settings.orphan_deadline_seconds))
    return conditions


async def _stop_after(condition: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    await condition
    stop.set()


def _announce(settings: WorkerSettings, port: int) -> None:
    """Say where the worker listens: one JSON line for the pool that started it."""
    _log.info("worker serves", host=settings.host, port=port, process=os.getpid())
    if settings.announce:
        line = json.dumps({"worker_id": settings.worker_id, "port": port, "pid": os.getpid()})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _exit_hard_after(seconds: float) -> None:
    """A stop is bounded, whatever a thread or a full disk does."""
    timer = threading.Timer(seconds, os._exit, args=(1,))
    timer.daemon = True
    timer.start()
