"""docker-compose.yml, up on the engine that ./dev e2e compose has started."""

from collections.abc import AsyncIterator, Iterator

import pytest

from apollo_client.rest import RestClient
from support.compose.machine import Machine
from support.compose.project import Project, make_compose_checkout
from support.rest_jobs import Site
from support.scenarios import *  # noqa: F403 - hooks
from support.slow_words import SlowWords


@pytest.fixture(scope="session")
def machine() -> Machine:
    machine = Machine()
    if not machine.is_up:
        pytest.fail("start the Docker Engine first: ./dev e2e compose up")
    return machine


@pytest.fixture(scope="session")
def project(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One for all: tests give their jobs' outputs names of their own."""
    project = Project(machine, make_compose_checkout(tmp_path_factory.mktemp("checkout")))
    project.make_secrets()
    project.up(worker=4)
    yield project
    project.down()


@pytest.fixture(scope="session")
def site(project: Project) -> Site:
    return project.site


@pytest.fixture
async def rest(project: Project, site: Site) -> AsyncIterator[RestClient]:
    async with RestClient(site.url, token=project.secrets["APOLLO_TOKEN"]) as client:
        yield client


@pytest.fixture(scope="session")
def slow_words(site: Site, tmp_path_factory: pytest.TempPathFactory) -> SlowWords:
    """A job that is long enough to be met in the middle."""
    return SlowWords.put(site, tmp_path_factory.mktemp("corpus"))
