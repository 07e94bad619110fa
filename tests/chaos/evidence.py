"""What is known when a run is over: what the checks look at, and nothing that they would have to ask for."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from apollo_client.rest import Document
from chaos.customers import Order, Story
from chaos.site import Site


@dataclass(slots=True)
class Evidence:
    site: Site
    orders: list[Order] = field(default_factory=list)
    stories: dict[str, Story] = field(default_factory=dict)
    journal_problems: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # what nobody needs any more
    faults: Counter[str] = field(default_factory=Counter)
    killed_at_ms: list[int] = field(default_factory=list)
    seconds: float = 0.0  # from the first submission to the last end

    def attempts(self) -> Iterator[Document]:
        for story in self.stories.values():
            for attempts in story.attempts.values():
                yield from attempts

    def met_a_kill(self, attempt: Document) -> bool:
        """Whether the coordinator was killed while the attempt ran."""
        end = attempt.get("endTime") or attempt["startTime"]
        return any(attempt["startTime"] < killed < end for killed in self.killed_at_ms)

    @property
    def reattached(self) -> int:
        """Attempts that ran when the coordinator was killed and whose result another one accepted."""
        return sum(attempt["status"] == "succeeded" and self.met_a_kill(attempt) for attempt in self.attempts())

    @property
    def lost(self) -> int:
        """Attempts that ran when the coordinator was killed and were lost, by the kill or by another fault."""
        return sum(attempt["status"] == "lost" and self.met_a_kill(attempt) for attempt in self.attempts())
