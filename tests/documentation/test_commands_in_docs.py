"""The commands that the README and the docs show do work, in the order in which a reader meets them.

Those for a cluster or docker-compose are run on one: test_deploy_page.py and test_develop_page.py in tests/e2e.
"""

import re

import pytest

from support.apollo_cli import REPOSITORY
from support.pages import Shell, blocks, make_checkout

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_work(page, tmp_path):
    shell = Shell(make_checkout(tmp_path))
    try:
        for block in blocks(page):
            if block.is_run and not block.place:
                shell.run(block)
    finally:
        shell.close()


@pytest.mark.parametrize("page", [*PAGES, REPOSITORY / "ARCHITECTURE.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
