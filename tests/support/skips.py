"""A pytest plugin: in CI a test that is skipped fails, so that nothing goes untried there without anybody's notice.

A skip that is right even there says so: its reason contains `also in CI`.
"""

import os
from collections.abc import Generator

import pytest

ALSO_IN_CI = "also in CI"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI") and ALSO_IN_CI not in report.longreprtext:
        report.outcome = "failed"
        report.longrepr = f"skipped, in CI where everything has to be tried: {report.longreprtext}"
    return report
