"""docs/develop.md leads from a checkout to a job's result, to a changed worker and into one: its commands are run."""

import subprocess

import pytest

from support.compose.project import Project, make_compose_checkout
from support.corpus import sorted_lines
from support.examples import EXAMPLES_FOLDER
from support.pages import Shell, blocks

pytestmark = [pytest.mark.before_all, pytest.mark.timeout(600)]

PLACE = "docker-compose"
STEP_SECONDS = 200
INPUTS = ("gettysburg_address.txt", "bill_of_rights.txt")  # that the page puts into the bucket
RESULT, RELOADED, LOGS = "part-r-", "what I have changed", "I was here"


def test_the_commands_of_the_page_work(machine, tmp_path):
    checkout = make_compose_checkout(tmp_path)
    shell = Shell(checkout, machine.variables, ready="worker serves")
    steps = [block for block in blocks(checkout / "docs/develop.md") if block.place == PLACE]
    try:
        shown = {block.script: shell.run(block, timeout_seconds=STEP_SECONDS) for block in steps}
    finally:
        shell.close()
        Project(machine, checkout).down()
    assert sorted_lines(_of(shown, RESULT)) == _counted()
    assert RELOADED.encode() in _of(shown, RELOADED)
    assert LOGS.encode() in _of(shown, LOGS)


def _of(shown: dict[str, str], words: str) -> bytes:
    """What the one step printed whose commands hold the words."""
    (printed,) = (text for script, text in shown.items() if words in script)
    return printed.encode()


def _counted() -> bytes:
    inputs = [EXAMPLES_FOLDER / "data" / name for name in INPUTS]
    command = ["sh", EXAMPLES_FOLDER / "word_count/expected.sh", *inputs]
    return sorted_lines(subprocess.run(command, check=True, capture_output=True).stdout)
