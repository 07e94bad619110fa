"""Whole jobs on the engine, the real commit code and memory adapters, on virtual time.

Lives full of faults, each ended by a crash or an orderly close; then calm, until every job has ended.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from apollo_common.backoff import Backoff
from apollo_common.errors import ApolloError
from apollo_common.ids import JobId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.engine import Engine, EngineSettings
from apollo_coordinator.ports import JobSecrets
from simulation import checks, journal_rules
from simulation.faults import KINDS, Faults
from simulation.fleet import PoolKind
from simulation.journal import Death
from simulation.report import Report, digest_of, tell
from simulation.rules import defects_of_the_log
from simulation.site import SimulatedSite
from simulation.workers import SimulatedWorker
from support.scheduling import a_spec, splits
from support.virtual_time import run_virtually

CALM_SECONDS = 3_600.0
MAX_APPENDS_OF_A_LIFE = 15
SUBMIT_SECONDS = 5.0
SWEEP_SECONDS = 10.0
SECRETS = JobSecrets(StorageAccess(access_key_id="key"), StorageAccess(access_key_id="key"))
OLD_OUTPUT = {f"part-r-{index:05d}": f"old {index}\n".encode() for index in range(6)}


class EngineRun:
    """One seed."""

    def __init__(self, seed: int, kinds: Mapping[str, float] = KINDS) -> None:
        self.random = random.Random(f"run {seed}")
        self.bad_records = random.Random(f"bad records {seed}")
        self.faults = Faults(seed, kinds)
        inputs = {f"file:///in{n}": list(splits(n)) for n in range(8)}
        kind = self.random.choice(list(PoolKind))
        self.site = SimulatedSite(self.faults, inputs, kind, self.random.randrange(1, 7), seed)
        self.settings = self._settings()
        self.before: dict[str, dict[str, bytes]] = {}
        self.to_submit = [self._spec(number) for number in range(self.random.randrange(1, 5))]
        self.keys = [spec.idempotency_key for spec in self.to_submit]
        self.stops: set[JobId] = set()
        self.made_ids = 0

    async def run(self) -> Report:
        await self._lives()
        await self._make_peace()
        async with self._coordinator() as engine:
            await self._calm_life(engine)
        await self.site.fleet.rest()
        async with self._coordinator() as engine:  # sweeps what its forerunners could not know of
            await asyncio.sleep(SWEEP_SECONDS)
            jobs = list(engine.jobs())
            the_engine = engine
        await self.site.close()
        return self._judge(jobs, the_engine)

    # What is run

    def _settings(self) -> EngineSettings:
        patience = Backoff(first_ms=200, limit_ms=5_000, tries=self.random.choice((4, 50)))
        return EngineSettings(
            limits=Limits(
                max_running_jobs=self.random.choice((1, 2, 100)),
                max_lost_attempts=self.random.choice((4, 100)),
                quarantine_after_tasks=self.random.choice((2, 3)),
                max_ended_tasks_at_hand=self.random.choice((5, 200_000)),
                reattach_grace_ms=self.random.choice((2_000, 10_000)),
                backup_after_ms=self.random.choice((500, 3_000)),
                straggler_search_ms=500,
            ),
            tick_ms=500,
            close_seconds=1.0,
            plan_backoff=patience,
            open_backoff=patience,
            cleanup_backoff=Backoff(first_ms=200, limit_ms=5_000, tries=50),
        )

    def _spec(self, number: int) -> JobSpec:
        shared = number > 0 and self.random.random() < 0.2  # with the job before
        output = f"s3://bucket/out{number - shared}"
        overwrite = shared or self.random.random() < 0.3
        if overwrite and not shared:
            self.site.store.seed(output, OLD_OUTPUT)
            self.before[output] = self.site.store.objects(output)
        skipping = self.bad_records.random() < 0.3
        return a_spec(
            input_paths=(f"file:///in{self.random.randrange(8)}",),
            output_path=output,
            overwrite=overwrite,
            n_reducers=self.random.choice((0, 1, 2, 4)),
            partitioner=self.random.choice(("hash", "hash", "range")),
            max_workers=self.random.choice((0, 0, 2)),
            max_attempts=max(self.random.choice((1, 2, 4)), 4 * skipping),
            max_bad_records=100 * skipping,
            priority=self.random.choice((0, 0, 1)),
            job_timeout_seconds=self.random.choice((0, 0, 0, 60)),
            speculation=self.random.random() < 0.7,
            keep_intermediate=self.random.random() < 0.1,
            idempotency_key=f"key{number}",
        )

    def _coordinator(self):
        self.site.journal.begin_life()
        return self.site.coordinator(self.settings, make_job_id=self._make_id)

    def _make_id(self) -> JobId:
        self.made_ids += 1
        return JobId(f"job{self.made_ids}")

    # Trouble

    async def _lives(self) -> None:
        for _ in range(self.random.randrange(1, 4)):
            await self._life()

    async def _life(self) -> None:
        async with self._coordinator() as engine:
            if self.faults.meets("crash"):
                death = self.random.choice(list(Death))
                append = self.site.journal.appends + self.random.randrange(1, MAX_APPENDS_OF_A_LIFE)
                self.site.journal.die_at(append, death)
            died = await until_first(self._troubled_life(engine), self.site.journal.died.wait())
            self.site.seen["coordinator died in mid-append"] += died
            if not died and self.faults.meets("crash"):
                self.site.journal.died.set()

    async def _troubled_life(self, engine: Engine) -> None:
        for _ in range(self.random.randrange(3, 25)):
            await asyncio.sleep(self.random.expovariate(1.0))
            await self._submit(engine)
            await self._trouble(engine)

    async def _submit(self, engine: Engine) -> None:
        """With the same key until there is an answer, as a careful user does."""
        if self.to_submit:
            secrets = SECRETS if self.random.random() < 0.5 else None
            with suppress(ApolloError):
                await engine.submit(self.to_submit[0], secrets)
                if not self.faults.meets("lost_submission_answer"):
                    self.to_submit.pop(0)

    async def _trouble(self, engine: Engine) -> None:
        self.site.journal.full = self.faults.meets("full_journal")
        self.site.cluster.volume_full = self.faults.meets("full_volume")
        self.site.store.down = self.faults.meets("store_down")
        for worker in self.site.fleet.live():
            await self._trouble_worker(worker)
        jobs = list(engine.jobs())
        if jobs and self.faults.meets("stop"):
            with suppress(ApolloError):
                job = self.random.choice(jobs).id
                self.stops.add(job)
                await engine.stop(job)

    async def _trouble_worker(self, worker: SimulatedWorker) -> None:
        if self.faults.meets("slow_worker"):
            worker.habits.slow = True
        if self.faults.meets("bad_worker"):
            worker.habits.bad = True
        if self.faults.meets("hung_worker"):
            worker.hung = True
            if self.random.random() < 0.5:
                asyncio.get_running_loop().call_later(self.random.uniform(1, 60), worker.wake)
        if self.faults.meets("drained_worker"):
            self.site.pool.drain(worker, seconds=self.random.uniform(0, 30))
        if self.faults.meets("killed_worker"):
            await worker.kill()
        elif self.faults.meets("cut_off_worker"):
            await worker.cut_off()
        elif self.faults.meets("flapping_worker") and not worker.draining:
            await worker.cut_off()
            self.site.pool.remove(worker.id, "the pool lost the worker")
            self.site.fleet.adrift.append(worker)
        if not worker.reachable and self.random.random() < 0.5:  # else only its stream breaks
            self.site.pool.remove(worker.id, "the pool lost the worker")

    # Calm

    async def _make_peace(self) -> None:
        self.faults.over = True
        self.site.journal.full = False
        self.site.cluster.volume_full = False
        self.site.store.down = False
        for worker in self.site.fleet.workers:
            worker.habits.slow = worker.habits.bad = worker.hung = False
            if not worker.reachable and not worker.renamed and worker not in self.site.fleet.adrift:
                await worker.kill()  # nobody hears of it again

    async def _calm_life(self, engine: Engine) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CALM_SECONDS):
                while self.to_submit:
                    await asyncio.sleep(SUBMIT_SECONDS)
                    await self._submit(engine)
                while engine.state.queues and not self.site.defects:
                    await asyncio.sleep(1)

    def _judge(self, jobs: list[Job], engine: Engine) -> Report:
        site, story = self.site, self.site.journal.story
        if site.defects:
            raise site.defects[0]
        journal_rules.check_all(story, self.settings.limits)
        checks.every_job_ended(jobs)
        checks.every_job_is_cleaned_up(engine.state)
        checks.every_submission_is_one_job(jobs, self.keys, self.to_submit)
        checks.output_is_exact(jobs, story, site.input.inputs, site.store)
        checks.counters_are_exact(jobs, site.input.inputs)
        checks.bad_records_are_kept_once(jobs, site.input.inputs, site.bad_records.records)
        checks.old_output_is_untouched(jobs, story, self.before, site.store)
        checks.success_marks_a_whole_output(site.store)
        checks.failures_have_a_cause(jobs, site.cluster)
        checks.stops_were_asked_for(jobs, self.stops)
        checks.only_the_named_maps_run_again(story, site.cluster.unreadable)
        checks.workers_are_treated_well(site.cluster)
        checks.nothing_is_left(jobs, site.cluster, site.secrets.secrets)
        checks.no_task_is_left()
        engine.check()
        return tell(story, digest_of(site.journal.facts), self.faults.fired, site.seen)


async def until_first(work: Any, end: Awaitable[object]) -> bool:
    """Work until `end`; whether that came first. Then the work is cut off, wherever it is."""
    working, ending = asyncio.ensure_future(work), asyncio.ensure_future(end)
    await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
    ended = ending.done() and not working.done()
    for task in (working, ending):
        task.cancel()
    await asyncio.wait({working, ending})
    if not working.cancelled():
        working.result()
    return ended


def play(make: Callable[[], EngineRun]) -> Report:
    async def main() -> Report:
        engine_run = make()
        defects = engine_run.site.defects
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: defects.append(context.get("exception") or RuntimeError(context["message"]))
        )
        with defects_of_the_log(defects):
            return await engine_run.run()

    return run_virtually(main())


def run(seed: int) -> Report:
    return play(lambda: EngineRun(seed))
