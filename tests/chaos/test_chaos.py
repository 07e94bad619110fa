"""A short run on each pool. `./dev chaos` makes long ones."""

import pytest

from chaos import site as sites
from chaos.checks import breaches
from chaos.cluster import POOLS
from chaos.faults import COORDINATOR_KILLED, COORDINATOR_KILLED_STARTING, KINDS
from chaos.report import Result, markdown
from chaos.run import Plan, tormented

SEED = "every change"
KILLS = 5

# Longer than the deadline of a worker: longer than this may take.
FAULTS = tuple(kind for kind in KINDS if kind != "worker stopped for longer than its deadline")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("pool", POOLS)
async def test_nothing_is_lost(pool, s3_server):
    with sites.made(s3_server, SEED) as site:
        plan = Plan(pool, SEED, KILLS, faults=FAULTS)
        evidence = await tormented(site, plan)
        table = markdown([Result(plan, evidence, undisturbed=None)])
        assert not breaches(evidence), f"{table}\nlogs and database: {site.directory}"
    assert evidence.faults[COORDINATOR_KILLED] + evidence.faults[COORDINATOR_KILLED_STARTING] == KILLS
