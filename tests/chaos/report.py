"""What a run has shown, as a table for people and a document for programs."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from chaos.checks import breaches
from chaos.evidence import Evidence
from chaos.run import Plan


@dataclass(frozen=True, slots=True)
class Result:
    plan: Plan
    evidence: Evidence
    undisturbed: Evidence | None  # the same jobs without faults

    @property
    def breaches(self) -> dict[str, list[str]]:
        quiet = {} if self.undisturbed is None else breaches(self.undisturbed)
        return breaches(self.evidence) | {f"{name}, without faults": lines for name, lines in quiet.items()}

    def rows(self) -> dict[str, str]:
        """The table's column of this pool."""
        found, seen = self.breaches, self.evidence
        shapes = Counter(order.shape.name for order in seen.orders)
        statuses = Counter(attempt["status"] for attempt in seen.attempts())
        rows = {f"fault: {kind}": str(count) for kind, count in sorted(seen.faults.items())}
        rows |= {f"jobs: {shape}": str(count) for shape, count in sorted(shapes.items())}
        rows |= {f"attempts: {status}": str(count) for status, count in sorted(statuses.items())}
        rows |= {
            "jobs": str(len(seen.orders)),
            "lost jobs": str(len(found.get("no_job_is_lost", ()))),
            "wrong outputs": str(len(found.get("outputs_are_right", ()))),
            "breaches of any check": str(sum(map(len, found.values()))),
            "attempts that met a kill and were accepted": str(seen.reattached),
            "attempts that met a kill and were lost": str(seen.lost),
            "seconds with faults": f"{seen.seconds:.0f}",
        }
        if self.undisturbed is not None:
            rows["seconds without faults"] = f"{self.undisturbed.seconds:.0f}"
            rows["slowdown"] = f"{seen.seconds / self.undisturbed.seconds:.2f}"
        return rows

    def document(self) -> dict[str, Any]:
        return {"pool": self.plan.pool, "seed": self.plan.seed, "rows": self.rows(), "breaches": self.breaches}


def markdown(results: list[Result]) -> str:
    """One column for each pool."""
    columns = [result.rows() for result in results]
    names = list(dict.fromkeys(name for column in columns for name in column))
    lines = [
        ["", *(result.plan.pool for result in results)],
        ["---", *("---:" for _ in results)],
        *([name, *(column.get(name, "0") for column in columns)] for name in names),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
