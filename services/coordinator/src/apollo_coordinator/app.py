"""Composition root: the only place that builds adapters and wires them to the engine."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from functools import partial

from apollo_common.addresses import is_loopback
from apollo_common.errors import ApolloError, CoordinatorBroken, InvalidSetting
from apollo_common.lifecycle import TaskOwner, cancel_and_wait, stop_signals
from apollo_common.logging import configure_logging, get_logger
from apollo_common.storage.file import FileStore
from apollo_common.storage.observer import StorageObserver
from apollo_common.storage.open import Stores
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import StorageAccess
from apollo_common.storage.s3 import S3Store
from apollo_common.threads import in_thread
from apollo_coordinator.abandoned import end_abandoned
from apollo_coordinator.api.application import make_api
from apollo_coordinator.api.server import ApiServer
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.auth.several import FirstThatKnows
from apollo_coordinator.auth.static_tokens import OperatorToken, TokensFile
from apollo_coordinator.callers import Authenticator
from apollo_coordinator.clock import SystemClock
from apollo_coordinator.core.limits import DAY_MS, Limits
from apollo_coordinator.engine import Engine, EnginePorts, EngineSettings
from apollo_coordinator.engine.ports import WorkersOwnCredentials
from apollo_coordinator.garbage import collect_garbage_rarely
from apollo_coordinator.metrics.service import CoordinatorMetrics
from apollo_coordinator.order import IntermediatePlace
from apollo_coordinator.pod_policy import PodPolicy, parse_most
from apollo_coordinator.pools.local_worker import SpawnedWorker
from apollo_coordinator.pools.process import ProcessPool
from apollo_coordinator.pools.static import StaticPool, StaticPoolSettings
from apollo_coordinator.pools.supervision import Connect
from apollo_coordinator.ports import (
    Clock,
    CredentialSource,
    IntermediateStore,
    MapOutputReader,
    SecretStore,
    WorkerPool,
)
from apollo_coordinator.process_workers import process_pool_settings
from apollo_coordinator.rpc.convert import to_document
from apollo_coordinator.rpc.link import GrpcWorkerLink
from apollo_coordinator.settings import CoordinatorSettings as Settings
from apollo_coordinator.store import data_directory
from apollo_coordinator.store.artifacts import ArtifactFiles
from apollo_coordinator.store.bad_records import BadRecordFiles
from apollo_coordinator.store.commit import StoredOutput
from apollo_coordinator.store.inputs import StoredInput
from apollo_coordinator.store.intermediate import IntermediateFiles
from apollo_coordinator.store.intermediate_objects import IntermediateObjects
from apollo_coordinator.store.journal import SqliteJournal
from apollo_coordinator.store.logs import LogFiles
from apollo_coordinator.store.map_outputs import MapOutputFiles
from apollo_coordinator.store.secrets import SecretFiles

__all__ = ["Coordinator", "Settings", "end_abandoned", "main"]

COLLECT_EVERY_SECONDS = 3600
LONGEST_PROBE_INTERVALS = 4  # a volume that stays full is tried ever more seldom, down to one in so many

_log = get_logger(__name__)


class Coordinator:
    """A whole coordinator. `start` it, then `close` it; one that fails to start leaves nothing open."""

    def __init__(self, settings: Settings, first_worker: SpawnedWorker | None = None) -> None:
        """`first_worker`: see process_workers; the data directory is new then."""
        self._settings = settings
        self._first_worker = first_worker
        self._opened = AsyncExitStack()
        self._engine: Engine | None = None
        self.port: int | None = None
        """The TCP port it listens on, once started."""

    @property
    def url(self) -> str:
        """Where clients reach it over TCP."""
        host = self._settings.host or ""
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Recover what the data directory holds, then take jobs and workers.

        InvalidSetting, DataDirectoryForeign, DataDirectoryInUse, JournalUnusable, VolumeFull; OSError when an address
        cannot be listened on.
        """
        _check_exposure(self._settings)
        collect_garbage_rarely()
        async with AsyncExitStack() as opened:
            await self._open(opened)
            self._opened = opened.pop_all()

    async def close(self) -> None:
        """Stop listening and working. Jobs that have not ended go on when the next one starts on the same data."""
        await self._opened.aclose()

    async def wait(self) -> None:
        """Once started, return only by an error: CoordinatorBroken when it cannot go on.

        InvalidSetting when no worker starts with the settings.
        """
        if self._engine is not None:
            await self._engine.wait_broken()
        raise CoordinatorBroken(
            "the coordinator met an internal error; its log says more. Start it again: no job is lost"
        )

    async def wind_up(self) -> None:
        """Stop all jobs, and return when nothing is left of them; a commit that has begun is finished.

        Bounded by the caller: storage that does not answer is waited for.
        """
        if self._engine is not None:
            await self._engine.wind_up()

    async def _open(self, opened: AsyncExitStack) -> None:
        settings, data = self._settings, self._settings.data_dir
        if self._first_worker is None:
            await in_thread(data_directory.take, data)
        if settings.volume is not None:
            settings.volume.mkdir(parents=True, exist_ok=True, mode=0o700)
        journal = await SqliteJournal.open(data)
        opened.push_async_callback(journal.close)
        metrics = CoordinatorMetrics()
        policy = _store_policy(settings)
        stores = Stores(policy, metrics.storage)
        opened.push_async_callback(stores.close)
        clock = SystemClock()
        artifacts = await ArtifactFiles.open(
            data / "artifacts", max_bytes=settings.max_artifact_bytes, now_ms=clock.now_ms
        )
        logs = LogFiles(data / "logs")
        connect = partial(GrpcWorkerLink, observer=metrics.links)
        pool, secrets, credentials = await _open_workers(settings, self._first_worker, policy, connect, opened)
        intermediate, place, map_outputs = await _open_intermediate(settings, journal.identity, metrics.storage, opened)
        limits = _limits(settings)
        engine = Engine(
            EnginePorts(
                journal=journal,
                pool=pool,
                planner=StoredInput(stores),
                committer=StoredOutput(stores),
                intermediate=intermediate,
                artifacts=artifacts,
                logs=logs,
                bad_records=BadRecordFiles(data / "bad-records"),
                secrets=secrets,
                clock=clock,
                credentials=credentials,
                intermediate_place=place,
            ),
            EngineSettings(limits=limits),
            observer=metrics.engine,
        )
        metrics.watch(
            await opened.enter_async_context(TaskOwner()),
            scheduling=engine,
            clock=clock,
            journal=journal,
            artifacts=artifacts,
            volumes={"data": data, "intermediate": settings.volume},
        )
        api_settings = ApiSettings(
            local_names_only=not settings.authenticates and settings.host is not None and is_loopback(settings.host),
            store_policy=policy,
            secret_references=settings.pool == "kubernetes",
            intermediate_url=settings.intermediate_url,
            allow_network=settings.allow_network,
            pod_policy=_pod_policy(settings) if settings.pool == "kubernetes" else None,
            max_upload_bytes=settings.max_artifact_bytes,
        )
        authenticator = await _open_authenticator(settings, opened) if settings.authenticates else None
        api = make_api(
            service=engine,
            artifacts=artifacts,
            logs=logs,
            settings=api_settings,
            registry=metrics.registry,
            map_outputs=map_outputs,
            encode=to_document,
            authenticator=authenticator,
        )
        server = ApiServer(api, api_settings)
        # Listening comes before working: an address that is taken must not start workers.
        opened.push_async_callback(engine.close)
        opened.push_async_callback(server.close)
        if settings.unix_socket is not None:
            await server.listen_unix(settings.unix_socket)
        if settings.host is not None and settings.port is not None:
            self.port = await server.listen(settings.host, settings.port)
        await engine.start()
        self._engine = engine
        chores = await opened.enter_async_context(TaskOwner())
        chores.spawn(_expire_artifacts(artifacts, engine, clock, limits.retention_ms), name="expire artifacts")


async def _open_authenticator(settings: Settings, opened: AsyncExitStack) -> Authenticator:
    """Whoever knows the tokens that the settings speak of. InvalidSetting."""
    known: list[Authenticator] = []
    if settings.token is not None:
        known.append(OperatorToken(settings.token.get_secret_value()))
    if settings.tokens_file is not None:
        known.append(await TokensFile.open(settings.tokens_file))
    if settings.token_review:
        # Loaded only where they are asked for: the client library takes 2 s.
        from apollo_coordinator.auth.token_review import (  # noqa: PLC0415
            ReviewSettings,
            RoleMap,
            TokenReviewer,
        )
        from apollo_coordinator.pools.kubernetes.api import KubernetesApi  # noqa: PLC0415

        roles = RoleMap.parse(settings.token_roles)
        api = await KubernetesApi.connect(settings.kubernetes_namespace, settings.kubeconfig)
        known.append(TokenReviewer(api, roles, ReviewSettings(audience=settings.token_audience)))
    authenticator = FirstThatKnows(known)
    opened.push_async_callback(authenticator.close)
    return authenticator


async def _open_workers(
    settings: Settings, first: SpawnedWorker | None, policy: StorePolicy, connect: Connect, opened: AsyncExitStack
) -> tuple[WorkerPool, SecretStore, CredentialSource]:
    """The pool that the settings name, where jobs' credentials are kept, and where others come from. InvalidSetting."""
    if settings.pool == "kubernetes":
        return await _open_cluster(settings, policy, connect, opened)
    pool = make_pool(settings, connect, first)
    opened.push_async_callback(pool.close)
    return pool, SecretFiles(settings.data_dir / "secrets"), WorkersOwnCredentials()


async def _open_cluster(
    settings: Settings, policy: StorePolicy, connect: Connect, opened: AsyncExitStack
) -> tuple[WorkerPool, SecretStore, CredentialSource]:
    # Loaded only where it is chosen: its client library takes 2 s.
    from apollo_coordinator.pools.kubernetes.assembly import open_cluster  # noqa: PLC0415
    from apollo_coordinator.pools.kubernetes.settings import KubernetesPoolSettings  # noqa: PLC0415

    cluster = await open_cluster(
        KubernetesPoolSettings(
            max_pods=settings.kubernetes_max_pods,
            single_node=settings.kubernetes_single_node,
        ),
        connect,
        policy=policy,
        template=settings.worker_template,
        image=settings.worker_image,
        priority_class=settings.worker_priority_class,
        annotations=settings.worker_annotations,
        environment=os.environ,
        namespace=settings.kubernetes_namespace,
        instance=settings.kubernetes_instance,
        stateful_set=settings.kubernetes_stateful_set,
        kubeconfig=settings.kubeconfig,
        shared_volume=settings.volume is not None,
    )
    opened.push_async_callback(cluster.api.close)
    opened.push_async_callback(cluster.pool.close)
    return cluster.pool, cluster.secrets, cluster.credentials


async def _open_intermediate(
    settings: Settings, coordinator: str, observer: StorageObserver, opened: AsyncExitStack
) -> tuple[IntermediateStore, IntermediatePlace | None, MapOutputReader]:
    """Where map outputs lie, what workers have to be told of it, and a reader. StorageUnavailable and other storage
    errors.
    """
    if settings.volume is not None:
        reader = MapOutputFiles(FileStore(), f"file://{settings.volume.absolute()}")
        return IntermediateFiles(settings.volume, coordinator=coordinator), None, reader
    place = IntermediatePlace(settings.intermediate_url, StorageAccess())
    store = S3Store(place.access, observer)
    opened.push_async_callback(store.close)
    objects = await IntermediateObjects.open(store, place.url, coordinator=coordinator)
    return objects, place, MapOutputFiles(store, place.url)


def make_pool(settings: Settings, connect: Connect, first: SpawnedWorker | None = None) -> WorkerPool:
    """The pool that the settings name, of those on this machine or at known addresses. InvalidSetting."""
    if settings.pool == "static":
        if not settings.worker_addresses:
            raise InvalidSetting(
                "APOLLO_POOL=static needs APOLLO_WORKER_ADDRESSES, such as worker-1:8090,worker-2:8090"
            )
        return StaticPool(
            StaticPoolSettings(addresses=settings.worker_addresses, token=settings.worker_token.get_secret_value()),
            connect,
        )
    return ProcessPool(process_pool_settings(settings), connect, first)


def main() -> None:
    """The `apollo-coordinator` command: settings from the environment, until SIGTERM or SIGINT."""
    try:
        settings = Settings.load()
        configure_logging("coordinator", log_format=settings.log_format, level=settings.log_level)
        asyncio.run(_serve(settings))
    except (ApolloError, OSError) as error:
        sys.exit(f"apollo-coordinator: {error}")


async def _serve(settings: Settings) -> None:
    coordinator = Coordinator(settings)
    with stop_signals() as stop:
        await coordinator.start()
        _log.info("coordinator is up", host=settings.host, port=coordinator.port, pool=settings.pool)
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(coordinator.wait())]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                end.result()
        finally:
            _log.info("coordinator stops")
            for end in ends:
                await cancel_and_wait(end)
            await coordinator.close()


async def _expire_artifacts(artifacts: ArtifactFiles, engine: Engine, clock: Clock, retention_ms: int) -> None:
    """Names that nobody has used for the retention go, and bytes that lost their last reference when a job ended."""
    while True:
        try:
            expired = await artifacts.expire(clock.now_ms() - retention_ms, engine.artifact_needed)
            collected = await artifacts.collect(engine.artifact_needed)
        except (ApolloError, OSError) as error:
            _log.warning("artifacts were not collected", error=str(error))
        else:
            if expired or collected:
                _log.info("artifacts expired", names=expired, files=collected)
        await asyncio.sleep(COLLECT_EVERY_SECONDS)


def _limits(settings: Settings) -> Limits:
    probe_ms = int(settings.full_volume_probe_seconds * 1000)
    return Limits(
        retention_ms=int(settings.retention_days * DAY_MS),
        volume_full_pause_ms=probe_ms,
        max_volume_full_pause_ms=LONGEST_PROBE_INTERVALS * probe_ms,
    )


def _store_policy(settings: Settings) -> StorePolicy:
    return StorePolicy(
        file_roots=settings.file_roots,
        own_directories=tuple(str(path) for path in (settings.data_dir, settings.volume) if path is not None),
        environment_endpoints=None if settings.storage_endpoints is None else frozenset(settings.storage_endpoints),
        own_prefix=settings.intermediate_url if settings.volume is None else "",
    )


def _pod_policy(settings: Settings) -> PodPolicy:
    return PodPolicy(
        most=parse_most(settings.kubernetes_max_resources),
        images=settings.kubernetes_allowed_images,
        node_labels=settings.kubernetes_allowed_node_labels,
        tolerations=settings.kubernetes_allowed_tolerations,
        priority_classes=settings.kubernetes_allowed_priority_classes,
        service_accounts=settings.kubernetes_allowed_service_accounts,
        labels=settings.kubernetes_allowed_labels,
    )


def _check_exposure(settings: Settings) -> None:
    """Whoever can reach the API can run programs: beyond loopback it asks for a token."""
    if settings.host is None or settings.port is None or settings.authenticates or is_loopback(settings.host):
        return
    raise InvalidSetting(
        f"the API would listen on {settings.host} and ask nobody for a token: set APOLLO_TOKENS_FILE, "
        "APOLLO_TOKEN_REVIEW=true or APOLLO_TOKEN, or APOLLO_HOST=127.0.0.1"
    )
