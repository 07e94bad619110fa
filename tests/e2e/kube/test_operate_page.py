"""The commands of docs/operate.md, on the installation that the other tests use."""

import pytest

from support.apollo_cli import REPOSITORY
from support.pages import Shell, blocks, make_checkout
from support.rest_jobs import ended

pytestmark = pytest.mark.timeout(300)


async def test_what_a_backup_holds_is_there_after_a_restore(installation, slow_words, tmp_path):
    """One job has ended before the backup, so it is in it."""
    async with installation.client() as rest:
        job = await slow_words.submit(rest, "backed-up", seconds=0)
        before = await ended(rest, job)
        assert before["status"] == "succeeded"
        await installation.nothing_left(job)
    cluster = installation.namespace.cluster
    shell = Shell(make_checkout(tmp_path), cluster.variables, ready="Forwarding from")
    try:
        shown = [shell.run(block) for block in blocks(REPOSITORY / "docs/operate.md") if block.place]
    finally:
        shell.close()
    assert any(job in text for text in shown)  # as the page's way to the coordinator leads there
    async with installation.client() as rest:
        assert await rest.job(job) == before
        assert slow_words.counted("backed-up")
        again = await slow_words.submit(rest, "after-the-restore", seconds=0)
        assert (await ended(rest, again))["status"] == "succeeded"
