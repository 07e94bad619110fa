"""One small job, again and again: the coordinator dies once at each append of its journal, in each way that it can."""

from apollo_coordinator.engine import Engine
from simulation.engine_run import EngineRun, play, until_first
from simulation.journal import Death
from simulation.report import Report, digest_of

KINDS = {
    "failing_program": 0.2,
    "unreadable_segment": 0.2,
    "call_fails": 0.2,
    "lost_answer": 0.2,
    "killed_worker": 0.1,
    "late_report": 0.2,
    "stop": 0.05,
}
NO_APPEND = 0


class CrashRun(EngineRun):
    """A seed's job, with one death."""

    def __init__(self, seed: int, append: int, death: Death) -> None:
        super().__init__(seed, KINDS)
        del self.to_submit[1:], self.keys[1:]
        self.append = append
        self.death = death

    async def _lives(self) -> None:
        async with self._coordinator() as engine:
            self.site.journal.die_at(self.append, self.death)
            died = await until_first(self._whole_life(engine), self.site.journal.died.wait())
            self.site.seen[f"died with an append {self.death}"] += died

    async def _whole_life(self, engine: Engine) -> None:
        await self._troubled_life(engine)
        self.faults.over = True
        await self._calm_life(engine)


def run(seed: int) -> Report:
    """First without a death, to count the appends."""
    runs: list[CrashRun] = []

    def made(append: int, death: Death) -> CrashRun:
        runs.append(CrashRun(seed, append, death))
        return runs[-1]

    total = play(lambda: made(NO_APPEND, Death.BEFORE))
    digests = [total.digest]
    for append in range(1, runs[0].site.journal.appends + 1):
        for death in Death:
            told = play(lambda append=append, death=death: made(append, death))
            digests.append(told.digest)
            total.add(told)
    total.digest = digest_of(digests)
    return total
