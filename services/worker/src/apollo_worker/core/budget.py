"""An attempt's memory budget, and the largest record that it allows: the same limit from input to output."""

DEFAULT_BUDGET_BYTES = 256 << 20
MIN_BUDGET_BYTES = 64 << 10
RECORD_SHARE = 4  # a record may take up to a quarter of the budget
MAX_RECORD_BYTES = 256 << 20  # whatever the budget: a batch holds less than 2 GiB, also when it is escaped or joined


def effective_budget_bytes(asked_bytes: int) -> int:
    """The budget of an attempt whose assignment asks for so much; 0 leaves it to the worker."""
    return max(asked_bytes or DEFAULT_BUDGET_BYTES, MIN_BUDGET_BYTES)


def record_limit_bytes(budget_bytes: int) -> int:
    """Key and value together."""
    return min(budget_bytes // RECORD_SHARE, MAX_RECORD_BYTES)


def record_limit_words(limit_bytes: int) -> str:
    """The limit for an error's sentence, with the setting that raises it."""
    if limit_bytes >= MAX_RECORD_BYTES:
        return f"the limit is {limit_bytes} bytes, the most that a record may have"
    return f"the limit is {limit_bytes} bytes, a quarter of the job's memoryBudget; raise memoryBudget"
