"""What is done to a cluster while it works. Each kind is one task that draws its own moments and victims and counts."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from apollo_common.lifecycle import TaskOwner
from chaos import processes
from chaos.cluster import Cluster
from chaos.journal import JournalWatch
from support.s3_faults import TRANSIENT, Fault, FaultPlan, Rule, everywhere

START_UP_SHARE = 0.25
"""Of the kills that hit a coordinator while it starts."""

START_UP_SECONDS = (0.0, 1.5)
WORKING_SECONDS = (0.2, 4.0)
PAUSE_SECONDS = (0.3, 5.0)  # shorter than any deadline
FREEZE_SECONDS = (32.0, 36.0)  # longer than the heartbeat deadline of 30 s

AT_WORK_SECONDS = 30.0  # how long a fault waits for a program that runs, so that it cuts something off
POLL_SECONDS = 0.2

S3_CALLS = "S3 calls spoiled"
S3_FAULT_RATE = 0.01  # of all calls, for each way to spoil them
S3_RULES = (
    *everywhere(S3_FAULT_RATE, [fault for fault in TRANSIENT if fault is not Fault.ERROR_IN_200]),
    Rule(Fault.ERROR_IN_200, frozenset({"CompleteMultipartUpload"}), probability=10 * S3_FAULT_RATE),
)

COORDINATOR_KILLED = "coordinator killed"
COORDINATOR_KILLED_STARTING = "coordinator killed while it starts"


@dataclass(slots=True)
class Turmoil:
    """The faults of one run so far."""

    cluster: Cluster
    journal: JournalWatch
    counts: Counter[str]
    killed_at_ms: list[int]  # the coordinator; milliseconds since 1970
    s3: FaultPlan
    seed: str
    pace: float = 1.0  # 0.5: twice as often

    def draw(self, kind: str) -> random.Random:
        return random.Random(f"{self.seed}/{kind}")

    async def kill_coordinator(self, kills: int, until: float) -> None:
        """Kill it that often, or until the event loop's time says that it is late; each time it is started again."""
        draw = self.draw("coordinator")
        starting = False
        for _ in range(kills):
            if starting:
                await asyncio.sleep(draw.uniform(*START_UP_SECONDS))
            else:
                await self.cluster.ready()
                await asyncio.sleep(draw.uniform(*WORKING_SECONDS))
                await self._programs_run()
            await self.cluster.kill()
            self.killed_at_ms.append(time.time_ns() // 1_000_000)
            self.counts[COORDINATOR_KILLED_STARTING if starting else COORDINATOR_KILLED] += 1
            await asyncio.to_thread(self.journal.look)
            await self.cluster.start()
            starting = draw.random() < START_UP_SHARE
            if asyncio.get_running_loop().time() > until:
                break
        await self.cluster.ready()

    async def _programs_run(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(AT_WORK_SECONDS):
                while not await asyncio.to_thread(processes.programs, self.cluster.directory):
                    await asyncio.sleep(POLL_SECONDS)

    async def repeat(self, kind: str) -> None:
        """Inject faults of a kind, one after the other, until cancelled."""
        fault, every_seconds = FAULTS[kind]
        draw = self.draw(kind)
        while True:
            await asyncio.sleep(draw.uniform(0.2, 1.8) * every_seconds * self.pace)
            await self._programs_run()  # a slow machine is given the time to start what is killed
            self.counts[kind] += await fault(self, draw)


Injection = Callable[[Turmoil, random.Random], Awaitable[int]]
"""Injects one fault, if there is anything to hit; how many it was."""


async def kill_worker(turmoil: Turmoil, draw: random.Random) -> int:
    return _send_to_one(turmoil.cluster.worker_pids(), signal.SIGKILL, draw) > 0


async def kill_program(turmoil: Turmoil, draw: random.Random) -> int:
    found = await asyncio.to_thread(processes.programs, turmoil.cluster.directory)
    return _send_to_one(found, signal.SIGKILL, draw) > 0


async def pause_worker(turmoil: Turmoil, draw: random.Random) -> int:
    return await _stop_for(turmoil, draw, draw.uniform(*PAUSE_SECONDS))


async def freeze_worker(turmoil: Turmoil, draw: random.Random) -> int:
    return await _stop_for(turmoil, draw, draw.uniform(*FREEZE_SECONDS))


async def cut_connections(turmoil: Turmoil, draw: random.Random) -> int:
    """All between the coordinator and one worker."""
    return draw.choice(turmoil.cluster.proxies).cut() > 0 if turmoil.cluster.proxies else 0


FAULTS: Mapping[str, tuple[Injection, float]] = {
    "worker killed": (kill_worker, 10.0),
    "worker stopped for less than its deadline": (pause_worker, 8.0),
    "worker stopped for longer than its deadline": (freeze_worker, 40.0),
    "program killed": (kill_program, 6.0),
    "worker's connections cut": (cut_connections, 5.0),
}
"""Each kind and how many seconds pass between two on average."""


async def _stop_for(turmoil: Turmoil, draw: random.Random, seconds: float) -> int:
    victim = _send_to_one(turmoil.cluster.worker_pids(), signal.SIGSTOP, draw)
    if not victim:
        return 0
    try:
        await asyncio.sleep(seconds)
    finally:
        processes.send(victim, signal.SIGCONT)
    return 1


def _send_to_one(pids: Sequence[int], number: signal.Signals, draw: random.Random) -> int:
    """The process that got it, 0 if none did."""
    victim = draw.choice(pids) if pids else 0
    return victim if victim and processes.send(victim, number) else 0


KINDS = (*FAULTS, S3_CALLS)


async def torment(turmoil: Turmoil, kinds: Sequence[str], kills: int, minutes: float) -> None:
    """Faults of all the kinds until the coordinator was killed often enough, or it is late."""
    until = asyncio.get_running_loop().time() + 60 * minutes
    failures: list[BaseException] = []
    async with TaskOwner(lambda _, error: failures.append(error)) as others:
        for kind in FAULTS.keys() & set(kinds):
            others.spawn(turmoil.repeat(kind), name=kind)
        turmoil.s3.replace(S3_RULES if S3_CALLS in kinds else ())
        await turmoil.kill_coordinator(kills, until)
        turmoil.s3.replace(())
    turmoil.counts.update({f"S3 call: {fault}": count for fault, count in turmoil.s3.injected.items()})
    if failures:
        raise failures[0]
