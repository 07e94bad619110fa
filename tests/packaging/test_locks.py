"""The locks hold what the packages ask for, with hashes, and name no index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

REPOSITORY = Path(__file__).parents[2]
LOCKS = sorted((REPOSITORY / "requirements").glob("*.txt"))
PROJECTS = sorted(REPOSITORY.glob("*/*/pyproject.toml"))
OWN = {tomllib.loads(path.read_text())["project"]["name"] for path in PROJECTS}


def locked(lock: Path) -> list[tuple[Requirement, str]]:
    """Every requirement of a lock with the text of its hashes."""
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    return [(Requirement(head.strip(" \\")), rest) for head, _, rest in (entry.partition("\n") for entry in entries)]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(lock):
    for requirement, hashes in locked(lock):
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert "--hash=sha256:" in hashes, requirement


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_index_is_named(lock):
    assert not re.search(r"://|--(extra-)?index-url|--find-links", lock.read_text())


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_a_package_gets_what_it_asks_for(path):
    """If this fails, a dependency changed: `./dev lock`."""
    pins = {requirement.name: requirement for requirement, _ in locked(REPOSITORY / "requirements/runtime.txt")}
    for text in tomllib.loads(path.read_text())["project"]["dependencies"]:
        wanted = Requirement(text)
        if wanted.name in OWN:
            continue
        version = Version(str(pins[wanted.name].specifier).removeprefix("=="))
        assert version in wanted.specifier, wanted
