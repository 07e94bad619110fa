"""One browser and one coordinator for all tests of a process."""

import pytest

from browser.jobs import Desk
from support.chromium import chromium
from support.coordinator_process import CoordinatorProcess


@pytest.fixture(scope="session")
def tab():
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(tab):
    """As it came, and without complaints at the end: errors of scripts, breaches of the page's policy."""
    tab.open("about:blank")
    tab.look()
    tab.complaints()
    yield tab
    said = tab.complaints()
    tab.open("about:blank")
    assert said == []


@pytest.fixture(scope="session")
def coordinator(tmp_path_factory):
    with CoordinatorProcess(tmp_path_factory.mktemp("page") / "site", {}) as running:
        yield running


@pytest.fixture
def desk(coordinator, tmp_path):
    desk = Desk(coordinator, tmp_path)
    yield desk
    desk.clear()
