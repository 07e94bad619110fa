"""One run: a cluster, its users, its faults, and what is known afterwards."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from apollo_common.lifecycle import TaskOwner
from chaos import customers, processes
from chaos.cluster import POOLS, Cluster
from chaos.evidence import Evidence
from chaos.faults import KINDS, Turmoil, torment
from chaos.journal import JournalWatch
from chaos.shapes import SHAPES, Shape
from chaos.site import Site
from support.s3_faults import FaultPlan
from support.s3_proxy import S3Proxy

DRAIN_SECONDS = 300  # for jobs to end once the faults have stopped
TIDY_SECONDS = 90  # for the rest to go: a worker that its coordinator has given up ends after 60 s
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    pool: str
    seed: str
    kills: int
    minutes: float = 60.0  # after which faults stop anyhow
    faults: Sequence[str] = KINDS
    pace: float = 1.0  # 0.5: other faults than kills of the coordinator come twice as often


async def tormented(site: Site, plan: Plan) -> Evidence:
    """Jobs one after the other while faults go on, and then until all have ended."""
    s3 = FaultPlan(seed=zlib.crc32(plan.seed.encode()))
    async with _cluster(site, plan.pool, plan.pool, s3) as cluster:
        evidence = Evidence(site)
        watch = JournalWatch(cluster.data, cluster.directory / "journals")
        turmoil = Turmoil(cluster, watch, evidence.faults, evidence.killed_at_ms, s3, plan.seed, plan.pace)
        async with TaskOwner() as owner:
            faults = owner.spawn(torment(turmoil, plan.faults, plan.kills, plan.minutes), name="faults")
            shapes = customers.in_turn(plan.seed)
            work = owner.spawn(_work(cluster, evidence, shapes, _enough(evidence, faults)), name="work")
            await asyncio.wait({faults, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                faults.result()
            async with asyncio.timeout(DRAIN_SECONDS):
                await work
        evidence.journal_problems = watch.problems
        await _end(cluster, evidence)
        return evidence


async def undisturbed(site: Site, plan: Plan, shapes: Sequence[Shape]) -> Evidence:
    """The same jobs on a cluster that nobody disturbs."""
    async with _cluster(site, plan.pool, f"{plan.pool}-quiet", FaultPlan()) as cluster:
        evidence = Evidence(site)
        await _work(cluster, evidence, iter(shapes), lambda: False)
        await _end(cluster, evidence)
        return evidence


@asynccontextmanager
async def _cluster(site: Site, pool: str, name: str, s3: FaultPlan) -> AsyncIterator[Cluster]:
    """A cluster that reaches the S3 server through a proxy, started but perhaps not ready yet."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(S3Proxy(site.server.endpoint_url, s3))
        cluster = await stack.enter_async_context(POOLS[pool](site.behind(proxy.endpoint_url), name))
        await cluster.start()
        yield cluster


async def _work(cluster: Cluster, evidence: Evidence, shapes: Iterator[Shape], enough: Callable[[], bool]) -> None:
    await cluster.ready()
    began = time.monotonic()
    prefix = f"out-{cluster.directory.name}"
    await customers.serve(cluster.site, cluster.url, prefix, shapes, enough, evidence.orders)
    evidence.seconds = time.monotonic() - began


def _enough(evidence: Evidence, faults: asyncio.Task[None]) -> Callable[[], bool]:
    """Faults are over, and every shape has had its turn."""
    return lambda: faults.done() and len(evidence.orders) >= len(SHAPES)


async def _end(cluster: Cluster, evidence: Evidence) -> None:
    """Hear the coordinator out, stop it as an operator would, and see what stays."""
    evidence.stories = await customers.tell(cluster.url)
    evidence.left += await _gone(lambda: _jobs_leave(cluster, evidence.site))
    await cluster.stop()
    evidence.left += await _gone(lambda: _processes_leave(cluster))


def _jobs_leave(cluster: Cluster, site: Site) -> list[str]:
    """What belongs to jobs, all of which have ended."""
    places = (cluster.data / "secrets", cluster.data / "intermediate")  # hidden: whose volume it is
    files = [f"a job's file: {path}" for place in places for path in place.glob("[!.]*")]
    staged = [f"an upload to a file: {path}" for path in site.staged()]
    return [*files, *staged, *(f"an upload to S3: {upload}" for upload in site.uploads())]


def _processes_leave(cluster: Cluster) -> list[str]:
    """Processes, and what only they need: sockets and directories of workers and attempts."""
    running = [f"a process: {each.pid} {each.command}" for each in processes.below(cluster.directory)]
    places = [cluster.directory / "tmp", cluster.data / "workers", *cluster.worker_directories]
    return [*running, *(f"a file: {path}" for place in places for path in _entries(place))]


def _entries(place: Path) -> list[Path]:
    return sorted(place.glob("*"))


async def _gone(look: Callable[[], list[str]]) -> list[str]:
    """Wait until nothing is left, for a bounded time; what is left then."""
    deadline = time.monotonic() + TIDY_SECONDS
    while (left := await asyncio.to_thread(look)) and time.monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS)
    return left
