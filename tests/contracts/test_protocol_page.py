"""The documentation's bytes are those of the test vectors, and its programs run."""

import re
from pathlib import Path

import pytest

from support.sessions import Bench
from support.vectors import vectors

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = dict(re.findall(r"```vector (\S+)\n(.*?)```", (DOCS / "artifact-protocol.md").read_text(), re.DOTALL))
PROGRAMS = re.findall(r"```python\n(.*?)```", (DOCS / "write-a-job.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_shows_the_bytes_of_the_vectors(name):
    known = {vector["name"]: vector["bytes"] for vector in vectors("worker") + vectors("program")}
    assert bytes.fromhex("".join(line.split("|")[0] for line in SHOWN[name].splitlines())) == known[name]


@pytest.mark.parametrize("source", [program for program in PROGRAMS if program.startswith("#!")])
async def test_the_programs_of_the_page_count_words(tmp_path, source):
    program = tmp_path / "words.py"
    program.write_text(source)
    mapper = Bench(tmp_path / "work", program, protocol="frames")
    await mapper.map_lines(b"to be or", b"not to be")
    reducer = Bench(tmp_path / "work", program, protocol="frames", role="reduce")
    await reducer.reduce(sorted(mapper.sink.emitted))
    assert reducer.sink.emitted == [(b"be", b"2"), (b"not", b"1"), (b"or", b"1"), (b"to", b"2")]


def test_the_test_of_the_page_passes():
    (source,) = [program for program in PROGRAMS if "run_job" in program]
    exec(compile(source, "write-a-job.md", "exec"), {})
