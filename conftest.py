"""What every test session of the repository needs."""

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.fuzz import load_profile

pytest_plugins = ["support.skips"]

load_profile()


def pytest_sessionstart() -> None:
    # pytest-asyncio asks for the current event loop, which creates one if none was ever set, and never closes it; the
    # warning about that would fail whichever test runs when it is collected.
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _no_task_outlives_a_test(request: pytest.FixtureRequest) -> None:
    """Set up before all other fixtures, so torn down after them: what they opened is closed by then."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_all_tasks_have_ended")


@pytest_asyncio.fixture
async def _all_tasks_have_ended() -> AsyncIterator[None]:
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        pytest.fail(f"tasks that nobody has ended: {left}")
