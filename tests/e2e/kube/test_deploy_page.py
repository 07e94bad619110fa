"""docs/deploy.md leads from an empty cluster to a job's result: its very commands are run."""

import subprocess

import pytest

from support.apollo_cli import REPOSITORY
from support.corpus import sorted_lines
from support.pages import Shell, blocks, make_checkout

pytestmark = [pytest.mark.before_all, pytest.mark.timeout(900)]

STEP_SECONDS = 300
INPUTS = ("gettysburg_address.txt", "bill_of_rights.txt")  # that the page puts into the bucket
RESULT = "part-r-"  # in the command that shows it


def test_the_commands_of_the_page_work(cluster, tmp_path):
    checkout = make_checkout(tmp_path)
    shell = Shell(checkout, cluster.variables, ready="Forwarding from")
    steps = [block for block in blocks(checkout / "docs/deploy.md") if block.place == "a cluster"]
    try:
        shown = {block.script: shell.run(block, timeout_seconds=STEP_SECONDS) for block in steps}
    finally:
        shell.close()
    (result,) = (text for script, text in shown.items() if RESULT in script)
    inputs = [checkout / "examples/data" / name for name in INPUTS]
    command = ["sh", REPOSITORY / "examples/word_count/expected.sh", *inputs]
    assert sorted_lines(result.encode()) == subprocess.run(command, check=True, capture_output=True).stdout
