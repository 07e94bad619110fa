"""What a worker loads before it serves decides how soon a small job ends."""

import subprocess
import sys

import pytest

SLOW_TO_IMPORT = ("numpy", "pyarrow", "aiohttp", "aioboto3", "prometheus_client", "rich", "pydantic_settings")


@pytest.mark.parametrize("name", SLOW_TO_IMPORT)
def test_serving_does_not_wait_for(name):
    code = f"import sys, apollo_worker.app; sys.exit({name!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
