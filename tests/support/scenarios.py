"""What end-to-end tests have in common: which run first or last, and a table of what every scenario came to.

Import its hooks into a `conftest.py`: `from support.scenarios import *  # noqa: F403`.
"""

import os
from pathlib import Path

import pytest

__all__ = ["pytest_collection_modifyitems", "pytest_configure", "pytest_terminal_summary"]

RESULTS_VARIABLE = "APOLLO_E2E_RESULTS"  # a file for the table, besides standard output
BEFORE_ALL = "before_all"
AFTER_ALL = "after_all"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{BEFORE_ALL}: installs Apollo itself, so it runs before the others' is there")
    config.addinivalue_line("markers", f"{AFTER_ALL}: looks at what all the others did, so it runs behind them")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (AFTER_ALL in item.keywords) - (BEFORE_ALL in item.keywords))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Scenario, result, seconds; below it what tests have recorded as properties."""
    ran = [
        report
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.stats.get(outcome, ())
        if isinstance(report, pytest.TestReport) and (report.when == "call" or outcome in ("error", "skipped"))
    ]
    if not ran:
        return
    rows = [f"| {_scenario(report.nodeid)} | {report.outcome} | {report.duration:.1f} |" for report in ran]
    table = ["| scenario | result | seconds |", "| --- | --- | --- |", *rows]
    told = [f"\n{name}: {value}" for report in ran for name, value in report.user_properties]
    text = "\n".join([*table, *told])
    terminalreporter.section("scenarios")
    terminalreporter.write_line(text)
    if RESULTS_VARIABLE in os.environ:
        results = Path(os.environ[RESULTS_VARIABLE])
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(f"{text}\n")


def _scenario(nodeid: str) -> str:
    return nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
