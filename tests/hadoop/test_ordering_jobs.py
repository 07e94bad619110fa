"""The jobs of tests/ordering with the very arguments of Hadoop Streaming: its parts, by name and byte."""

from pathlib import Path

import pytest

from hadoop.running import streaming
from ordering.cases import CASES, EXPECTED, INPUT, Case


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gives_what_hadoop_gives(case: Case, tmp_path: Path) -> None:
    outcome = streaming(f"{case.hadoop} -input {INPUT / case.input} -output out", tmp_path)

    assert outcome.status == 0, outcome.stderr
    found = {part.name: part.read_bytes() for part in (tmp_path / "out").glob("part-*")}
    assert found == {part.name: part.read_bytes() for part in (EXPECTED / case.name).iterdir()}
