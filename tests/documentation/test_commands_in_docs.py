"""The commands that the README and the docs show do work, in the order in which a reader meets them.

Those for a cluster or docker-compose are run on one: test_deploy_page.py and test_develop_page.py in tests/e2e.
"""

import os
import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from support.apollo_cli import REPOSITORY
from support.compilers import need
from support.pages import Block, Shell, blocks, make_checkout
from support.ports import alone_on_port_4750

README = REPOSITORY / "README.md"
PAGES = [README, *sorted((REPOSITORY / "docs").glob("*.md"))]


@pytest.mark.timeout(300)  # many jobs in a row
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_work(page, tmp_path):
    steps = local_blocks(page)
    if page != README and steps:  # which comes first: the other pages take it that `apollo` is found
        steps = [*(block for block in local_blocks(README) if "ln -sf" in block.script), *steps]
    shell = Shell(make_checkout(tmp_path / "apollo"), home(tmp_path))
    with alone_on_port_4750() if any(block.in_background for block in steps) else nullcontext():
        try:
            for block in steps:
                need(*block.needs)
                shell.run(block)
        finally:
            shell.close()


def local_blocks(page: Path) -> list[Block]:
    """Those that need no more than a checkout."""
    return [block for block in blocks(page) if block.is_run and not block.place]


def home(folder: Path) -> dict[str, str]:
    """A home for links and settings; only what makes a compiler fast is this user's."""
    caches = {"GOCACHE": ".cache/go-build", "CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup"}
    kept = {name: os.environ.get(name, str(Path.home() / place)) for name, place in caches.items()}
    return {"HOME": str(folder / "home"), **kept}


def test_the_readme_leads_to_every_page():
    linked = set(
        re.findall(r"\]\((docs/\w[\w-]*\.md)\)", (REPOSITORY / "README.md").read_text().partition("## Further")[2])
    )
    assert linked == {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"}


@pytest.mark.parametrize("page", [*PAGES, REPOSITORY / "ARCHITECTURE.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
