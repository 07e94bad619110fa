"""When Python looks for cyclic garbage in the coordinator's process."""

import gc

# A state of 100,000 tasks is a million objects without a cycle among them. With Python's own thresholds, walking them
# again and again adds half to the cost of an event, and more as the state grows; with these, next to nothing.
THRESHOLDS = (50_000, 20, 100)


def collect_garbage_rarely() -> None:
    """For the whole process. What is in no cycle, which is nearly all, is still freed at once."""
    gc.set_threshold(*THRESHOLDS)
