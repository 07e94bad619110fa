"""Every SDK's codec on frames that are almost right: each is understood, or refused, as the page says.

The reference writes what it makes of many such frames in the form of the test vectors, which SDKs' own tests read.
"""

import shutil
import sys
from pathlib import Path
from random import Random

import pytest

from support import hostile
from support.compilers import C_SANITIZERS, C_WARNINGS, CARGO, GO_OFFLINE, REPOSITORY, SDK, need, run
from support.frames_reference import HELLO, INPUT, NoFrame, worker_frame
from support.fuzz import SEED, examples
from support.vectors import FILE, vectors

FRAMES = 5000
HEX_BYTES_A_LINE = 32


def meaning_of(content: bytes) -> list[str] | None:
    """The lines of a vector; None for a frame that is refused."""
    kind, body = int.from_bytes(content[4:8], "little"), content[8:]
    if int.from_bytes(content[:4], "little") != len(body):
        return None
    try:
        return worker_frame(kind, body)
    except NoFrame:
        return None


def test_the_reference_reads_the_vectors():
    expected = {}
    for block in FILE.read_text().split("\n\n")[1:]:
        name, *lines = block.splitlines()
        about = ("from", "type", "hex", "first", "error", "why")
        told = [line for line in lines if line.split()[0] not in about]
        expected[name.removeprefix("vector ")] = None if any(line.startswith("error ") for line in lines) else told
    frames = [vector for vector in vectors("worker") if vector["name"] != "bad-worker-first"]  # bad by its place only
    assert len(frames) > 30
    for vector in frames:
        assert meaning_of(vector["bytes"]) == expected[vector["name"]], vector["name"]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Hostile frames and what they mean, as a file of vectors."""
    chance, path = Random(SEED), tmp_path_factory.mktemp("corpus") / "vectors.txt"
    frames = [hostile.worker_frame(chance) for _ in range(examples(FRAMES))]
    vectors = [vector for number, frame in enumerate(frames) if (vector := as_vector(f"hostile-{number}", frame))]
    refused = sum("\nerror " in vector for vector in vectors)
    assert len(vectors) > len(frames) * 3 // 4
    assert len(vectors) // 5 < refused < len(vectors) * 4 // 5
    path.write_text("\n".join(["# made\n", *vectors]))
    return path


def as_vector(name: str, frame: bytes) -> str:
    """Empty where the file's form cannot say what a setting or a URL is."""
    meaning = meaning_of(frame)
    lines = [f"vector {name}", "from worker"]
    lines += ["hex " + frame[at : at + HEX_BYTES_A_LINE].hex(" ") for at in range(0, len(frame), HEX_BYTES_A_LINE)]
    if meaning is None:
        lines.append("error worker_protocol_error")
    elif not can_be_said(frame[4], meaning):
        return ""
    else:
        lines += meaning
    return "\n".join(lines) + "\n"


def can_be_said(kind: int, meaning: list[str]) -> bool:
    if kind == HELLO and [line.split(" ")[1] for line in meaning[2:]] != ["role", "param.q"]:
        return False
    return kind not in (HELLO, INPUT) or all(line.isprintable() and line.isascii() for line in meaning)


def test_c(tmp_path, corpus):
    need("cc")
    run("cc", *C_WARNINGS, *C_SANITIZERS, "-O1", "-o", tmp_path / "vectors", SDK / "c/tests/vectors.c")
    assert ", 0 failed" in run(tmp_path / "vectors", corpus, APOLLO_FUZZ_TIMES="0")


def test_go(corpus):
    need("go")
    tests = ["-count=1", "-run", "TestWorkersFramesAreUnderstoodOrRefused", "."]
    run("go", "test", *tests, cwd=SDK / "go", APOLLO_VECTORS=str(corpus), **GO_OFFLINE)


def test_rust(corpus):
    need("cargo")
    test = "tests::workers_frames_are_understood_or_refused"
    out = run("cargo", "test", "--offline", test, cwd=SDK / "rust", APOLLO_VECTORS=str(corpus), **CARGO)
    assert "1 passed" in out


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("if (columns > size) return", "if (0) return"),  # reads behind the frame, which the sanitizer sees
        ("(head[1] & FLAG_CONTINUES) != 0", "0"),  # another meaning
    ],
)
def test_a_planted_defect_is_found(tmp_path, corpus, right, wrong):
    need("cc")
    shutil.copytree(SDK / "c", tmp_path / "c")
    source = tmp_path / "c/apollo.c"
    assert right in source.read_text()
    source.write_text(source.read_text().replace(right, wrong))
    run("cc", *C_WARNINGS, *C_SANITIZERS, "-o", tmp_path / "vectors", tmp_path / "c/tests/vectors.c")
    with pytest.raises(AssertionError, match=r"AddressSanitizer|hostile-\d+: has another meaning"):
        run(tmp_path / "vectors", corpus, APOLLO_FUZZ_TIMES="0")


def test_the_command_runs_a_part():
    need("cargo")
    run(sys.executable, "-m", "fuzzing", "--times", "1", "--only", "rust", cwd=REPOSITORY, PYTHONPATH="tests")
