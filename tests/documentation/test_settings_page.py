"""docs/settings.md lists every setting of both services, with its default."""

import re
import sys

import pytest

from apollo_common.settings import ENVIRONMENT_PREFIX, Settings
from apollo_coordinator.settings import CoordinatorSettings
from apollo_worker.settings import WorkerSettings
from support.apollo_cli import REPOSITORY

PAGE = (REPOSITORY / "docs/settings.md").read_text()
SECTIONS = {"The coordinator": CoordinatorSettings, "A worker": WorkerSettings}
NOTHING = (None, (), "", sys.maxsize)  # in the page: words, such as `none`


def rows(section: str) -> dict[str, str]:
    """Variables and their defaults; a row may hold several of both."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            variables, _, default = line.strip("| ").split(" | ")
            names = re.findall(r"`((?:APOLLO|XDG)_\w+)`", variables)
            defaults = default.split(", ") if len(names) > 1 else [default]
            found |= dict(zip(names, defaults, strict=True))
    return found


@pytest.mark.parametrize(("section", "service"), SECTIONS.items(), ids=SECTIONS)
def test_every_setting_is_there(section: str, service: type[Settings]) -> None:
    variables = {ENVIRONMENT_PREFIX + name.upper() for name in service.model_fields}
    assert rows(section).keys() == variables


def test_every_variable_that_the_command_reads_is_there() -> None:
    client = REPOSITORY / "libs/apollo_client/src/apollo_client"
    programs = client / "hadoop/programs"  # these are told by a worker
    modules = [path for path in client.rglob("*.py") if programs not in path.parents]
    sources = [*modules, REPOSITORY / "scripts/environment.sh"]
    read = {name for source in sources for name in re.findall(r'["{]((?:APOLLO|XDG)_[A-Z_]+)[":]', source.read_text())}
    assert {"APOLLO_COORDINATOR", "APOLLO_PYTHON"} <= read
    assert read <= rows("The command").keys() | {"APOLLO_TOKENS_FILE"}  # the coordinator's, for `up`


@pytest.mark.parametrize(("section", "service"), SECTIONS.items(), ids=SECTIONS)
def test_every_default_is_the_services(section: str, service: type[Settings]) -> None:
    for variable, told in rows(section).items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        field = service.model_fields[name]
        if told.startswith("`"):
            assert getattr(service.load({variable: told.strip("`")}), name) == field.default, variable
        elif field.default_factory is None:
            unset = field.default.get_secret_value() if hasattr(field.default, "get_secret_value") else field.default
            assert unset in NOTHING, variable
