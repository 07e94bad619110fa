"""docs/metrics.md is what the code declares."""

import subprocess
import sys

from support.apollo_cli import REPOSITORY, environment


def test_the_page_is_as_generated():
    written = subprocess.run(
        [sys.executable, REPOSITORY / "scripts/metrics_page.py"], env=environment(), capture_output=True, check=True
    )
    assert (REPOSITORY / "docs/metrics.md").read_bytes() == written.stdout, "write it again with ./dev gen"
