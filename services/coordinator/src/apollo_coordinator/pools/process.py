"""Workers as processes on this machine: the pool of `apollo run` and `apollo up`."""

import asyncio
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apollo_common.errors import ApolloError, InvalidSetting
from apollo_common.ids import JobId, WorkerId
from apollo_common.lifecycle import TaskOwner, cancel_and_wait, to_the_end
from apollo_common.logging import get_logger
from apollo_common.settings import SandboxMode
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.pools.local_worker import Launch, LocalWorker, SpawnedWorker, WorkerStartFailed
from apollo_coordinator.pools.supervision import Connect, LiveWorkers, Supervision, watch_until_gone
from apollo_coordinator.ports import PoolBroken, PoolEvent, PoolTrouble, WorkerLink

_TROUBLE_AFTER_FAILURES = 3
_STABLE_SECONDS = 10.0
_KEPT_LOGS = 20
_SANDBOX_PLACES = ("APOLLO_SANDBOX_READABLE", "APOLLO_SANDBOX_WRITABLE")

_log = get_logger(__name__)


def worker_command() -> tuple[str, ...]:
    """The installed command beside this interpreter, else the module; either way `apollo-worker` shows in `ps`."""
    installed = Path(sys.executable).with_name("apollo-worker")
    return (str(installed),) if installed.exists() else (sys.executable, "-m", "apollo_worker", "apollo-worker")


@dataclass(frozen=True, slots=True)
class ProcessPoolSettings:
    data_dir: Path  # state, logs and work directories of workers lie below it
    volume: Path | None  # that the workers share; None: map outputs lie in a bucket
    workers: int  # at most
    initial_workers: int = 1  # started at once; more when jobs want them
    die_with_parent: bool = True  # `apollo run`; False: outlive a dead coordinator by `orphan_seconds`
    orphan_seconds: float = 60.0
    start_seconds: float = 30.0
    stop_seconds: float = 5.0  # between SIGTERM and SIGKILL
    command: tuple[str, ...] = field(default_factory=worker_command)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    sandbox: SandboxMode = "prefer"
    log_level: str = "INFO"
    supervision: Supervision = field(default_factory=Supervision)

    @property
    def workers_directory(self) -> Path:
        return self.data_dir.absolute() / "workers"

    @property
    def logs_directory(self) -> Path:
        return self.data_dir.absolute() / "worker-logs"


class ProcessPool:
    """See apollo_coordinator.ports.WorkerPool. One task per place keeps a worker alive in it, whatever kills it.

    A clean `close` ends every worker. A coordinator that is killed leaves them to their bond: they end with it, or
    wait `orphan_seconds` to be adopted by the next one on the same data directory.
    """

    tells_ends = False  # it knows no more of how they ended than their streams do
    adopts_at_start = True

    def __init__(self, settings: ProcessPoolSettings, connect: Connect, first: SpawnedWorker | None = None) -> None:
        """`first`: a worker of the same settings that was spawned before, to be the first that serves."""
        self._settings = settings
        self._connect = connect
        self._first = first
        self._directory = settings.workers_directory
        self._logs = settings.logs_directory
        self._live = LiveWorkers()
        self._wanted: dict[JobId | None, int] = {}
        self._places = 0
        self._undecided = settings.workers  # places that workers of before may take; all of them until we have looked
        self._tasks = TaskOwner()

    async def start(self, listener: Callable[[PoolEvent], None]) -> None:
        self._live.listen(listener)
        _make_directories(self._settings)
        spawned = {self._first.directory} if self._first is not None else set()
        directories = sorted({*self._directory.iterdir()} - spawned)
        self._undecided = len(directories)
        self._fill()
        async with asyncio.TaskGroup() as adoptions:  # at once: one that does not answer must not keep the others back
            for directory in directories:
                adoptions.create_task(self._adopt(directory))

    async def scale(
        self,
        job: JobId | None,
        workers: int,
        pods: PodOverrides | None = None,  # noqa: ARG002 - the port's signature
    ) -> None:
        self._wanted[job] = workers
        if not workers:
            del self._wanted[job]
        self._fill()

    async def release(self, worker: WorkerId, reason: str = "") -> None:
        """End the process; a new one takes its place."""
        self._live.dismiss(worker, reason)

    def link(self, worker: WorkerId) -> WorkerLink:
        return self._live.link(worker)

    async def close(self) -> None:
        self._live.listen(lambda _event: None)
        await self._tasks.close()

    def _fill(self) -> None:
        """Open as many places as jobs want; none is closed again, an idle worker costs little."""
        wanted = max(self._settings.initial_workers, sum(self._wanted.values()))
        while self._places + self._undecided < min(wanted, self._settings.workers):
            self._open_place(None)

    def _open_place(self, adopted: LocalWorker | None) -> None:
        self._places += 1
        self._tasks.spawn(self._keep_place(adopted), name=f"worker place {self._places}")

    async def _keep_place(self, worker: LocalWorker | None) -> None:
        """Keep one worker running, with backoff after a start that fails or a life that is short."""
        failures = 0
        while True:
            try:
                worker = worker or await self._start_worker()
                lived_seconds = await self._serve(worker)
                failures = 0 if lived_seconds > _STABLE_SECONDS else failures + 1
            except WorkerStartFailed as error:
                failures += 1
                _log.warning("worker does not start", failures=failures, error=str(error))
                if failures >= _TROUBLE_AFTER_FAILURES:  # again each time: for jobs that came since
                    self._live.tell(PoolTrouble(None, str(error)))
            except InvalidSetting as error:  # every other worker would refuse it, too
                self._live.tell(PoolBroken(str(error)))
                return
            except Exception:  # noqa: BLE001 - a defect costs one worker, not its place for ever
                failures += 1
                _log.exception("a defect of the coordinator ends a worker", failures=failures)
            finally:
                if worker is not None:
                    await to_the_end(worker.end(self._settings.stop_seconds))
            worker = None
            if failures:
                await asyncio.sleep(self._settings.supervision.backoff.pause_ms(failures) / 1000)

    async def _serve(self, worker: LocalWorker) -> float:
        """Announce a worker and look after it until it is gone; for how many seconds it was up."""
        clock = asyncio.get_running_loop().time
        came = clock()
        state = worker.state
        link = self._connect(state.address, state.token)
        worker_id = WorkerId(state.worker_id)
        dismissed = self._live.add(worker_id, state.address, link)
        _log.info("worker is up", worker=worker_id, address=state.address, process=state.pid)
        reason = "the coordinator stops"
        watch = asyncio.ensure_future(watch_until_gone(link, self._settings.supervision, state.worker_id, dismissed))
        try:
            await asyncio.wait({watch, worker.exited}, return_when=asyncio.FIRST_COMPLETED)
            reason = worker.exited.result() if worker.exited.done() else watch.result()
            _log.info("worker is gone", worker=worker_id, reason=reason)
            return clock() - came
        finally:
            await to_the_end(cancel_and_wait(watch))
            await to_the_end(self._live.remove(worker_id, reason))

    async def _start_worker(self) -> LocalWorker:
        spawned, self._first = self._first, None
        if spawned is None:
            self._prune_logs()
            spawned = spawn_worker(self._settings)
        return await LocalWorker.serving(spawned)

    async def _adopt(self, directory: Path) -> None:
        """Go on with the worker of a coordinator of before on this data directory, or end it if it does not answer."""
        worker = LocalWorker.adopt(directory)
        if worker is None:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        elif await self._answers(worker):
            self._open_place(worker)
            await asyncio.sleep(0)  # the place announces it at once
        else:
            await worker.end(self._settings.stop_seconds)
        self._undecided -= 1
        self._fill()

    async def _answers(self, worker: LocalWorker) -> bool:
        link = self._connect(worker.state.address, worker.state.token)
        try:
            return (await link.describe()).worker_id == worker.state.worker_id
        except ApolloError:
            return False
        finally:
            await link.close()

    def _prune_logs(self) -> None:
        logs = sorted(self._logs.glob("*.log"), key=lambda path: path.stat().st_mtime)
        for log in logs[: -(_KEPT_LOGS + self._settings.workers)]:
            log.unlink(missing_ok=True)


def spawn_worker(settings: ProcessPoolSettings) -> SpawnedWorker:
    """WorkerStartFailed."""
    _make_directories(settings)
    worker_id = f"local-{secrets.token_hex(4)}"
    launch = Launch(
        command=settings.command,
        environment=_worker_environment(settings),
        log=settings.logs_directory / f"{worker_id}.log",
        start_seconds=settings.start_seconds,
    )
    return SpawnedWorker.spawn(worker_id, settings.workers_directory / worker_id, launch)


def _make_directories(settings: ProcessPoolSettings) -> None:
    for directory in (settings.workers_directory, settings.logs_directory):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)


def _worker_environment(settings: ProcessPoolSettings) -> dict[str, str]:
    """The coordinator's environment, which may hold the stores' credentials, with the worker's own settings.

    What it says of the sandbox's places is for the workers, who check it.
    """
    inherited = {
        name: value
        for name, value in settings.environment.items()
        if not name.startswith("APOLLO_") or name in _SANDBOX_PLACES
    }
    volume = {"APOLLO_VOLUME": str(settings.volume.absolute())} if settings.volume is not None else {}
    return (
        inherited
        | volume
        | {
            "APOLLO_HOST": "127.0.0.1",
            "APOLLO_PORT": "0",
            "APOLLO_METRICS_PORT": "-1",
            "APOLLO_WORK_DIR": str(settings.workers_directory),
            "APOLLO_PARENT_PID": str(os.getpid()) if settings.die_with_parent else "0",
            "APOLLO_ORPHAN_DEADLINE_SECONDS": "0" if settings.die_with_parent else str(settings.orphan_seconds),
            "APOLLO_MEMORY_SHARERS": str(settings.workers),
            "APOLLO_SANDBOX": settings.sandbox,
            "APOLLO_LOG_LEVEL": settings.log_level,
        }
    )
