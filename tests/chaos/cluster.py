"""A coordinator that is started again and again on one data directory, and its workers: `up`, or `static`."""

import asyncio
import json
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self

import aiohttp

from apollo_common.lifecycle import TaskOwner
from chaos.processes import is_alive
from chaos.site import Site
from support.apollo_cli import command, environment
from support.ports import free_port
from support.proxy import CuttingProxy
from support.services import COORDINATOR, WORKER

WORKERS = 5  # more than cores: programs rest most of the time
START_SECONDS = 60
STOP_SECONDS = 60
POLL_SECONDS = 0.05
WORKER_COMES_BACK_SECONDS = 0.5


class Cluster(ABC):
    """Use as an async context manager; leaving it kills what still runs."""

    clean_exits: tuple[int, ...] = (0,)  # after SIGTERM

    def __init__(self, site: Site, name: str) -> None:
        self.directory = site.directory / name
        self.data = self.directory / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.site = site
        self._coordinator: asyncio.subprocess.Process | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        (self.directory / "tmp").mkdir(parents=True)
        self._http = await self._open.enter_async_context(aiohttp.ClientSession())
        await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        await self._open.aclose()

    @abstractmethod
    def worker_pids(self) -> list[int]:
        """Of the workers that are up, sorted."""

    @property
    def proxies(self) -> Sequence[CuttingProxy]:
        """Between the coordinator and its workers, where there can be some."""
        return ()

    @property
    def worker_directories(self) -> Sequence[Path]:
        """Of workers that the coordinator has not started: empty when these have ended."""
        return ()

    async def start(self) -> None:
        """Start the coordinator's process; do not wait until it is ready."""
        with (self.directory / "coordinator.log").open("ab") as log:
            self._coordinator = await asyncio.create_subprocess_exec(
                *self._command(),
                env=self._environment(**self._settings()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )

    async def ready(self) -> None:
        """Wait until the coordinator takes jobs. AssertionError when it ends instead."""
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                ended = self._coordinator is None or self._coordinator.returncode is not None
                assert not ended, f"the coordinator ended by itself; see {self.directory}/coordinator.log"
                await asyncio.sleep(POLL_SECONDS)

    async def kill(self) -> None:
        """kill -9; AssertionError when it had ended by itself."""
        process, self._coordinator = self._coordinator, None
        if process is not None:
            ended = process.returncode is not None
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            assert not ended, f"the coordinator ended by itself; see {self.directory}/coordinator.log"

    async def stop(self) -> None:
        """End everything as an operator would. AssertionError for another exit status than 0."""
        process, self._coordinator = self._coordinator, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_SECONDS):
                status = await process.wait()
            assert status in self.clean_exits, f"the coordinator exited with {status} after SIGTERM"

    @abstractmethod
    async def _begin(self) -> None:
        """Start what lives beside the coordinator."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _settings(self) -> Mapping[str, str]: ...

    def _environment(self, **given: str) -> dict[str, str]:
        return environment(TMPDIR=str(self.directory / "tmp"), **given)

    async def _answers(self) -> bool:
        try:
            async with self._http.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False


class Up(Cluster):
    """`apollo up`: workers are processes that the coordinator starts, and that outlive its death."""

    clean_exits = (143,)

    def worker_pids(self) -> list[int]:
        pids = []
        for state in (self.data / "workers").glob("*/worker.json"):
            with suppress(OSError, ValueError):
                pids.append(int(json.loads(state.read_text())["pid"]))
        return sorted(filter(is_alive, pids))

    async def _begin(self) -> None:
        """Nothing does."""

    def _command(self) -> list[str]:
        return command("up", "--port", self.port, "--workers", WORKERS, "--data-dir", self.data)

    def _settings(self) -> Mapping[str, str]:
        return {**self.site.told.environment, "APOLLO_LOG_FORMAT": "json"}


class Static(Cluster):
    """`apollo-coordinator` and workers that somebody else starts, again when they die; proxies in between."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(site, name)
        self._token = os.urandom(16).hex()
        self._workers: dict[int, asyncio.subprocess.Process] = {}
        self._proxies: list[CuttingProxy] = []
        self._stopping = False

    @property
    def proxies(self) -> Sequence[CuttingProxy]:
        return self._proxies

    @property
    def worker_directories(self) -> Sequence[Path]:
        return [self.directory / f"worker-{number}" for number in range(WORKERS)]

    def worker_pids(self) -> list[int]:
        return sorted(process.pid for process in self._workers.values() if process.returncode is None)

    async def stop(self) -> None:
        await super().stop()
        self._stopping = True
        for process in self._workers.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            for process in self._workers.values():
                await process.wait()

    async def _begin(self) -> None:
        keepers = await self._open.enter_async_context(TaskOwner())
        for number in range(WORKERS):
            port = free_port()
            self._proxies.append(await self._open.enter_async_context(CuttingProxy(f"127.0.0.1:{port}")))
            keepers.spawn(self._keep(number, port), name=f"keep worker {number}")

    async def _keep(self, number: int, port: int) -> None:
        """What a service manager does for a worker."""
        settings = {
            "APOLLO_HOST": "127.0.0.1",
            "APOLLO_PORT": str(port),
            "APOLLO_METRICS_PORT": "-1",
            "APOLLO_TOKEN": self._token,
            "APOLLO_WORK_DIR": str(self.directory / f"worker-{number}"),
            "APOLLO_VOLUME": str(self.data / "intermediate"),
        }
        while not self._stopping:
            with (self.directory / f"worker-{number}.log").open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *WORKER,
                    env=self._environment(**settings, **self.site.told.environment),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.directory,
                )
            self._workers[number] = process
            try:
                await process.wait()
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            await asyncio.sleep(WORKER_COMES_BACK_SECONDS)

    def _command(self) -> list[str]:
        return COORDINATOR

    def _settings(self) -> Mapping[str, str]:
        return {
            **self.site.told.environment,
            "APOLLO_DATA_DIR": str(self.data),
            "APOLLO_PORT": str(self.port),
            "APOLLO_POOL": "static",
            "APOLLO_WORKER_ADDRESSES": ",".join(proxy.address for proxy in self._proxies),
            "APOLLO_WORKER_TOKEN": self._token,
            "APOLLO_FILE_ROOTS": str(self.site.directory),
            "APOLLO_STORAGE_ENDPOINTS": self.site.told.endpoint_url,
        }


POOLS: Mapping[str, type[Cluster]] = {"up": Up, "static": Static}
