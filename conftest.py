"""What every test session of the repository needs."""

import asyncio

from hypothesis import settings

settings.register_profile("apollo", deadline=None)  # a loaded machine is no failure
settings.load_profile("apollo")


def pytest_sessionstart() -> None:
    # pytest-asyncio asks for the current event loop, which creates one if none was ever set, and never closes it; the
    # warning about that would fail whichever test runs when it is collected.
    asyncio.set_event_loop(None)
