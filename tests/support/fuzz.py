"""How long random tests look for what breaks: shortly, and always at the same places, unless `./dev fuzz` says more.

`./dev fuzz` sets both variables; the tests of the Rust and C SDKs read them, too.
"""

import os

from hypothesis import settings

TIMES = int(os.environ.get("APOLLO_FUZZ_TIMES", "1"))
SEED = int(os.environ.get("APOLLO_FUZZ_SEED", "1"))
EXAMPLES = 100


def load_profile() -> None:
    """hypothesis's defaults for the whole session. No deadline: a loaded machine is no failure."""
    is_long = TIMES > 1
    settings.register_profile(
        "apollo", deadline=None, derandomize=not is_long, print_blob=is_long, max_examples=EXAMPLES * TIMES
    )
    settings.load_profile("apollo")


def examples(count: int) -> int:
    """For a test that needs another number than most, in a quick run."""
    return count * TIMES


def seeds(count: int) -> range:
    """For tests that take a seed."""
    return range(SEED * 1_000_000, SEED * 1_000_000 + examples(count))
