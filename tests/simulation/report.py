"""What a seed's run tells when nothing broke: its trace's digest, and what happened, to see that faults do strike."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from apollo_common.ids import AttemptId, TaskId
from apollo_coordinator.core import facts
from simulation.journal_rules import ENDS, Story, task_of


@dataclass
class Report:
    """Counts: faults that were played, by kind; jobs, by how they ended; and what else is worth to be seen, by name."""

    digest: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Report") -> None:
        self.faults += other.faults
        self.ends += other.ends
        self.seen += other.seen


def digest_of(lines: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(map(str, lines)).encode()).hexdigest()


def tell(story: Story, digest: str, faults: Counter[str], seen: Counter[str]) -> Report:
    report = Report(digest, Counter(faults), seen=Counter(seen))
    running: dict[TaskId, list[AttemptId]] = {}
    for fact in story:
        name = _NAMES.get(type(fact))
        if name is not None:
            report.seen[name] += 1
        if isinstance(fact, facts.JobEnded):
            reason = f" ({fact.failure.reason})" if fact.failure else ""
            report.ends[f"{fact.status}{reason}"] += 1
        elif isinstance(fact, facts.AttemptStarted):
            runs = running.setdefault(task_of(fact.attempt), [])
            report.seen["backup started"] += bool(runs)
            runs.append(fact.attempt)
        elif isinstance(fact, ENDS):
            runs = running[task_of(fact.attempt)]
            if isinstance(fact, facts.AttemptAccepted):
                report.seen["backup won"] += runs[0] != fact.attempt
            runs.remove(fact.attempt)
    return report


_NAMES = {
    facts.AttemptAccepted: "attempt accepted",
    facts.AttemptFailed: "attempt failed",
    facts.AttemptLost: "attempt lost",
    facts.AttemptCancelled: "attempt cancelled by a rival",
    facts.MapOutputLost: "map run again for a reduce",
}
