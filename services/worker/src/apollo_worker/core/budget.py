"""An attempt's memory budget, and the largest record that it allows: the same limit from input to output."""

from dataclasses import dataclass

from apollo_common.errors import MemoryBudgetTooLarge
from apollo_common.units import format_size

DEFAULT_BUDGET_BYTES = 256 << 20
MIN_BUDGET_BYTES = 64 << 10
DEFAULT_SHARE = 4  # of a worker's own memory limit; its program, Python and the libraries need some, too
LARGEST_SHARE = 2
RECORD_SHARE = 4  # a record may take up to a quarter of the budget
MAX_RECORD_BYTES = 256 << 20  # whatever the budget: a batch holds less than 2 GiB, also when it is escaped or joined


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """What one worker may use: its part of a cgroup's limit, or of the machine's memory, which others need, too."""

    limit_bytes: int
    of_cgroup: bool

    def budget_bytes(self, asked_bytes: int) -> int:
        """The budget of an attempt whose job asks for so much; 0 leaves it to the worker. MemoryBudgetTooLarge."""
        largest = max(self.limit_bytes // LARGEST_SHARE, MIN_BUDGET_BYTES)
        if asked_bytes > largest:
            raise MemoryBudgetTooLarge(
                f"memoryBudget is {format_size(asked_bytes)}, but this worker's memory limit of "
                f"{format_size(self.limit_bytes)} allows {largest >> 20}MiB at most: lower memoryBudget, or give the "
                "workers more memory"
            )
        share = self.limit_bytes // DEFAULT_SHARE
        default = share if self.of_cgroup else min(share, DEFAULT_BUDGET_BYTES)
        return max(asked_bytes or default, MIN_BUDGET_BYTES)


def record_limit_bytes(budget_bytes: int) -> int:
    """Key and value together."""
    return min(budget_bytes // RECORD_SHARE, MAX_RECORD_BYTES)


def record_limit_words(limit_bytes: int) -> str:
    """The limit for an error's sentence, with the setting that raises it."""
    if limit_bytes >= MAX_RECORD_BYTES:
        return f"the limit is {limit_bytes} bytes, the most that a record may have"
    return f"the limit is {limit_bytes} bytes, a quarter of the job's memoryBudget; raise memoryBudget"
