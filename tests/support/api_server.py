"""A real API server on a real socket, with real stores and a JobService that a test drives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from apollo_common.storage.file import FileStore
from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.api.application import make_api
from apollo_coordinator.api.server import ApiServer
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.callers import Authenticator
from apollo_coordinator.rpc.convert import to_document
from apollo_coordinator.store.artifacts import ArtifactFiles
from apollo_coordinator.store.logs import LogFiles
from apollo_coordinator.store.map_outputs import MapOutputFiles
from support.memory_jobs import MemoryJobs

SCRIPT = b"#!/bin/sh\ncat\n"


@dataclass
class RunningApi:
    port: int
    http: aiohttp.ClientSession
    jobs: MemoryJobs
    artifacts: ArtifactFiles
    logs: LogFiles
    registry: CollectorRegistry
    root: Path

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON of one call."""
        async with self.http.request(method, path, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    async def upload(
        self, name: str, content: bytes = SCRIPT, *, headers: dict[str, str] | None = None, **query: str
    ) -> tuple[int, Any]:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("program", content, filename=name, content_type="application/octet-stream")
        return await self.call("PUT", "/api/v1/artifacts", data=form, params=query, headers=headers)


@asynccontextmanager
async def running_api(
    root: Path, settings: ApiSettings | None = None, authenticator: Authenticator | None = None
) -> AsyncIterator[RunningApi]:
    """Calls bring no token of their own."""
    settings = settings or ApiSettings(store_policy=StorePolicy())
    jobs, registry = MemoryJobs(), CollectorRegistry()
    artifacts = await ArtifactFiles.open(root / "artifacts", machine="x86_64", max_bytes=settings.max_upload_bytes)
    logs = LogFiles(root / "logs")
    app = make_api(
        service=jobs,
        artifacts=artifacts,
        logs=logs,
        settings=settings,
        registry=registry,
        map_outputs=MapOutputFiles(FileStore(), f"file://{root}/intermediate"),
        encode=to_document,
        authenticator=authenticator,
    )
    server = ApiServer(app, settings)
    port = await server.listen("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            yield RunningApi(port, http, jobs, artifacts, logs, registry, root)
    finally:
        await server.close()
