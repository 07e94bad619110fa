"""Key fields, separators and orders give, part by part and byte by byte, what the real Hadoop Streaming gives."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ordering.cases import CASES, EXPECTED, INPUT, Case
from support.coordinator_process import CoordinatorProcess
from support.corpus import parts


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with the output of every case."""
    directory = tmp_path_factory.mktemp("ordering")
    with CoordinatorProcess(directory / "apollo", {}) as coordinator:
        jobs = [
            coordinator.submit(
                inputPath=(INPUT / case.input).as_uri(),
                outputPath=(directory / case.name).as_uri(),
                partPrefix="part-",
                **case.apollo,
            )
            for case in CASES
        ]
        for job in jobs:
            ended = coordinator.ended(job)
            assert ended["status"] == "succeeded", ended
        yield directory


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gives_what_hadoop_gives(case: Case, outputs: Path) -> None:
    found = {part.name: part.read_bytes() for part in parts(outputs / case.name)}
    assert found == {part.name: part.read_bytes() for part in (EXPECTED / case.name).iterdir()}
