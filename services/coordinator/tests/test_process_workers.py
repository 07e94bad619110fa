"""What is imported before the first worker is spawned decides how soon a small job ends."""

import subprocess
import sys

import pytest

SLOW_TO_IMPORT = ("aiohttp", "aiosqlite", "betterproto2", "grpclib", "prometheus_client", "apollo_coordinator.engine")


@pytest.mark.parametrize("name", SLOW_TO_IMPORT)
def test_spawning_does_not_wait_for(name):
    code = f"import sys, apollo_coordinator.process_workers; sys.exit({name!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
