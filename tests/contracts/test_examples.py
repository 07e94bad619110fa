"""The examples' programs, each against what its expected.sh computes: map, sort and reduce without a cluster."""

import os
import subprocess
from pathlib import Path

import pytest

from support.sessions import Bench, lines_block

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted((EXAMPLES / "data").glob("*.txt"))
PATTERN = "[Ll]iberty|[Pp]eople"


async def run_map(work_root: Path, program: Path, protocol: str, **settings) -> Bench:
    bench = Bench(work_root, program, protocol=protocol, **settings)
    await bench.map(*[lines_block(file.read_bytes().splitlines(), 0, file.as_uri()) for file in FILES])
    return bench


async def run_reduce(work_root: Path, program: Path, protocol: str, pairs: list, role: str = "reduce") -> list:
    pairs.sort(key=lambda pair: pair[0])
    bench = Bench(work_root, program, protocol=protocol, role=role)
    await bench.reduce(*[pairs[at : at + 100] for at in range(0, len(pairs), 100)])
    return bench.sink.emitted


def expected(example: str, *arguments: str | Path) -> list[bytes]:
    script = EXAMPLES / example / "expected.sh"
    return subprocess.run([script, *arguments], check=True, capture_output=True).stdout.splitlines()


def lines(pairs: list[tuple[bytes, bytes]]) -> list[bytes]:
    return sorted(key + b"\t" + value for key, value in pairs)


@pytest.mark.parametrize(
    ("mapper", "reducer", "protocol"),
    [
        ("word_count.py", "word_count.py", "frames"),
        ("mapper.awk", "reducer.awk", "text"),
    ],
)
@pytest.mark.parametrize("combine", [False, True])
async def test_word_count(tmp_path, mapper, reducer, protocol, combine):
    await count_words(
        tmp_path, EXAMPLES / "word_count" / mapper, EXAMPLES / "word_count" / reducer, protocol, combine=combine
    )


async def count_words(tmp_path: Path, mapper: Path, reducer: Path, protocol: str, *, combine: bool) -> None:
    mapped = (await run_map(tmp_path, mapper, protocol)).sink.emitted
    if combine:
        mapped = await run_reduce(tmp_path, reducer, protocol, mapped, "combine")
    reduced = await run_reduce(tmp_path, reducer, protocol, mapped)
    assert lines(reduced) == sorted(expected("word_count", *FILES))


async def test_grep_in_python(tmp_path):
    bench = await run_map(tmp_path, EXAMPLES / "grep/grep.py", "frames", params={"pattern": PATTERN})
    found = expected("grep", PATTERN, *FILES)
    assert lines(bench.sink.emitted) == found
    assert bench.observer.counters["grep", "matching lines"] == len(found)
    assert bench.observer.counters["matches by file", FILES[0].name] == sum(
        line.startswith(os.fsencode(FILES[0].name)) for line in found
    )


async def test_grep_in_shell(tmp_path):
    bench = await run_map(tmp_path, EXAMPLES / "grep/grep.sh", "text", params={"pattern": PATTERN})
    found = [line.partition(b"\t")[2] for line in expected("grep", PATTERN, *FILES)]
    assert sorted(key for key, _ in bench.sink.emitted) == sorted(found)
    assert bench.observer.counters == {("grep", "matching lines"): len(found)}
    nothing = await run_map(tmp_path, EXAMPLES / "grep/grep.sh", "text", params={"pattern": "nowhere"})
    assert nothing.sink.emitted == []


async def test_inverted_index(tmp_path):
    program = EXAMPLES / "inverted_index/inverted_index.py"
    mapped = (await run_map(tmp_path, program, "frames")).sink.emitted
    combined = await run_reduce(tmp_path, program, "frames", mapped, "combine")
    assert len(combined) < len(mapped)
    assert lines(await run_reduce(tmp_path, program, "frames", combined)) == expected("inverted_index", *FILES)


async def test_the_validator_of_terasort_finds_rows_out_of_order(tmp_path):
    """Within a block, and between two."""
    program = EXAMPLES / "terasort/validate.py"
    mapper = Bench(tmp_path, program, protocol="frames")
    await mapper.map(lines_block([b"b\t1", b"a\t2", b"c\t3"]), lines_block([b"b\t4", b"b\t5"]))
    assert lines(await run_reduce(tmp_path, program, "frames", mapper.sink.emitted))[1:] == [
        b"lines\t5",
        b"misplaced\t2",
    ]
