"""Each SDK's own tests, in its own language: its codec against the shared vectors, and against any bytes."""

import re
from pathlib import Path

from support.compilers import C_SANITIZERS, C_WARNINGS, CARGO, GO_OFFLINE, SDK, need, run
from support.vectors import FILE


def program_of(page: Path, language: str) -> str:
    """The program that an SDK's README shows."""
    (program,) = re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    return program


def test_c(tmp_path):
    need("cc")
    run("cc", *C_WARNINGS, *C_SANITIZERS, "-O1", "-o", tmp_path / "vectors", SDK / "c/tests/vectors.c")
    assert ", 0 failed" in run(tmp_path / "vectors", FILE)


def test_the_program_of_the_c_page_compiles(tmp_path):
    need("cc")
    (tmp_path / "program.c").write_text(program_of(SDK / "c/README.md", "c"))
    run("cc", *C_WARNINGS, f"-I{SDK}/c", "-o", tmp_path / "program", tmp_path / "program.c", SDK / "c/apollo.c")


def test_go():
    need("go", "gofmt")
    assert run("gofmt", "-l", SDK / "go") == ""
    run("go", "vet", "./...", cwd=SDK / "go", **GO_OFFLINE)
    assert "ok" in run("go", "test", "-count=1", "./...", cwd=SDK / "go", **GO_OFFLINE)


def test_the_program_of_the_go_page_compiles(tmp_path):
    need("go")
    (tmp_path / "program.go").write_text(program_of(SDK / "go/README.md", "go").replace("    ", "\t"))
    module = f"module program\n\ngo 1.19\n\nrequire apollo.io/apollo v0.1.0\n\nreplace apollo.io/apollo => {SDK}/go\n"
    (tmp_path / "go.mod").write_text(module)
    run("go", "vet", ".", cwd=tmp_path, **GO_OFFLINE)
    assert run("gofmt", "-l", tmp_path) == ""


def test_rust():
    """The page's program, too: it is the crate's documentation."""
    need("cargo")
    assert "test result: ok" in run("cargo", "test", "--offline", cwd=SDK / "rust", **CARGO)
