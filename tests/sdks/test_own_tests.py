"""Each SDK's own tests, in its own language: its codec against the shared vectors, and against any bytes."""

from support.compilers import C_SANITIZERS, C_WARNINGS, SDK, need, run
from support.vectors import FILE


def test_c(tmp_path):
    need("cc")
    run("cc", *C_WARNINGS, *C_SANITIZERS, "-O1", "-o", tmp_path / "vectors", SDK / "c/tests/vectors.c")
    assert ", 0 failed" in run(tmp_path / "vectors", FILE)
