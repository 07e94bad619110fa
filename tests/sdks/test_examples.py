"""The examples in every language, through `apollo run`: byte for byte what coreutils compute."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.apollo_cli import Outcome, apollo
from support.compilers import REPOSITORY
from support.corpus import read_parts, sorted_lines

EXAMPLES = REPOSITORY / "examples"
TEXTS = sorted((EXAMPLES / "data").glob("*.txt"))
PATTERN = "liberty|Liberty"  # the same as a regular expression and as texts between bars
Run = Callable[..., Outcome]


@pytest.fixture(params=["c", "go", "rust"])
def programs(request, examples) -> Path:
    return examples(request.param)


@pytest.fixture
def run(tmp_path) -> Run:
    def run_job(*options: object, **environment: str) -> Outcome:
        data, out = EXAMPLES / "data" / "*.txt", tmp_path / "out"
        outcome = apollo("run", "--json", "--input", data, "--output", out, *options, **environment)
        assert outcome.status == 0, outcome
        return outcome

    return run_job


def expected(example: str, *arguments: str) -> bytes:
    command = ["/bin/sh", str(EXAMPLES / example / "expected.sh"), *arguments, *map(str, TEXTS)]
    return sorted_lines(subprocess.run(command, capture_output=True, check=True).stdout)


def test_word_count_confined_with_sums_in_memory_and_a_combiner(tmp_path, programs, run):
    program = programs / "word_count"
    roles = ["--mapper", program, "--combiner", program, "--reducer", program]
    run(*roles, "--reducers", 2, APOLLO_SANDBOX="require")
    assert sorted_lines(read_parts(tmp_path / "out")) == expected("word_count")


def test_grep_with_a_parameter_offsets_and_counters(tmp_path, programs, run):
    run("--mapper", programs / "grep", "--param", f"pattern={PATTERN}", "--reducers", 0)
    found = sorted_lines(read_parts(tmp_path / "out"))
    assert found == expected("grep", PATTERN)
    counters = json.loads((tmp_path / "out" / "_SUCCESS").read_bytes())["counters"]
    assert counters["grep"] == {"matching lines": len(found.splitlines())}
    assert sum(counters["matches by file"].values()) == len(found.splitlines())


def test_inverted_index_with_a_combiner_of_its_own(tmp_path, programs, run):
    program = programs / "inverted_index"
    run("--mapper", program, "--combiner", program, "--reducer", program, "--reducers", 2)
    assert sorted_lines(read_parts(tmp_path / "out")) == expected("inverted_index")


def test_programs_speak_frames_by_their_marker(programs):
    assert all(b"apollo-artifact:frames/1" in program.read_bytes() for program in programs.iterdir())


def test_a_program_that_gives_up_says_why(tmp_path, programs):
    data, out = EXAMPLES / "data" / "*.txt", tmp_path / "out"
    outcome = apollo(
        "run", "--mapper", programs / "grep", "--reducers", 0, "--max-attempts", 1, "--input", data, "--output", out
    )
    assert outcome.status == 1, outcome
    assert "give me --param pattern=" in outcome.stderr
