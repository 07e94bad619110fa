"""What uploads are taken for. Real programs come from this machine and from its compiler."""

import random
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from apollo_common.errors import ArtifactRejected
from apollo_coordinator.store.inspect import MARKER, Probe, check_executable, check_name

NATIVE = "x86_64" if Path(sys.executable).resolve().read_bytes()[18] == 62 else "aarch64"
OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}[NATIVE]
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def protocol(content: bytes, *, machine: str = NATIVE) -> str:
    probe = Probe()
    probe.feed(content)
    return probe.protocol(machine)


@pytest.fixture(scope="module")
def program():
    return Path(sys.executable).resolve().read_bytes()


def compiled(tmp_path, *options, source="int main(void) { return 0; }"):
    (tmp_path / "a.c").write_text(source)
    subprocess.run(["cc", *options, "-o", "a.out", "a.c"], cwd=tmp_path, check=True)
    return (tmp_path / "a.out").read_bytes()


def test_a_native_program_is_taken(program):
    assert protocol(program) == "text"


def test_a_program_for_another_machine_is_refused_by_name(program):
    with pytest.raises(ArtifactRejected, match=f"built for {NATIVE}") as caught:
        protocol(program, machine=OTHER)
    assert OTHER in caught.value.fix


def test_a_machine_that_is_not_known_is_not_judged(program):
    assert protocol(program, machine="riscv64") == "text"


def test_a_32_bit_program_is_refused(program):
    old = bytearray(program[:4096])
    old[4] = 1
    old[18:20] = (3).to_bytes(2, "little")
    with pytest.raises(ArtifactRejected, match="x86 "):
        protocol(bytes(old))


@needs_cc
@pytest.mark.parametrize("options", [[], ["-static"], ["-static-pie"], ["-no-pie"]])
def test_every_kind_of_linked_program_is_taken(tmp_path, options):
    assert protocol(compiled(tmp_path, *options)) == "text"


@needs_cc
@pytest.mark.parametrize(("options", "kind"), [(["-c"], "object file"), (["-shared", "-fPIC"], "shared library")])
def test_what_is_not_linked_to_a_program_is_refused(tmp_path, options, kind):
    with pytest.raises(ArtifactRejected, match=kind):
        protocol(compiled(tmp_path, *options))


@needs_cc
def test_a_compiled_program_with_the_marker_speaks_frames(tmp_path):
    source = f'const char *mark = "{MARKER.decode()}"; int main(void) {{ return mark[0] == 0; }}'
    assert protocol(compiled(tmp_path, source=source)) == "frames"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\x7fELF", "cut short"),
        (b"print(1)\n", "neither"),
        (b"\xef\xbb\xbf#!/bin/sh\n", "byte order mark"),
        (b"#!/bin/sh\r\ncat\r\n", "carriage return"),
        (b"#!python3\n", "absolute path"),
        (b"#!\n", "absolute path"),
        (b"#! \n", "absolute path"),
        (b"#!/usr/bin/env\n", "env"),
        (b"#!/" + b"x" * 300 + b"\n", "too long"),
        (b"PK\x03\x04", "ZIP"),
        (b"MZ\x90", "Windows"),
        (b"\xcf\xfa\xed\xfe", "macOS"),
    ],
)
def test_what_cannot_run_is_refused_with_what_it_is(content, message):
    with pytest.raises(ArtifactRejected, match=message) as caught:
        check_executable(content, NATIVE)
    assert caught.value.fix


@pytest.mark.parametrize(
    "content", [b"#!/bin/sh", b"#! /bin/sh\n", b"#!/usr/bin/env python3\n", b"#!/bin/awk -f\n{print}"]
)
def test_scripts_with_a_shebang_are_taken(content):
    assert protocol(content) == "text"


def test_a_zipapp_needs_its_shebang(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text("print(1)")
    zipapp.create_archive(tmp_path / "app", tmp_path / "with.pyz", "/usr/bin/env python3")
    zipapp.create_archive(tmp_path / "app", tmp_path / "without.pyz")
    assert protocol((tmp_path / "with.pyz").read_bytes()) == "text"
    with pytest.raises(ArtifactRejected, match="without a shebang"):
        protocol((tmp_path / "without.pyz").read_bytes())


PYTHON = "#!/usr/bin/env python3\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (PYTHON + "import apollo_sdk\n", "frames"),
        (PYTHON + "from apollo_sdk import mapper\n", "frames"),
        (PYTHON + "from apollo_sdk.testing import run\n", "frames"),
        (PYTHON + "import sys, apollo_sdk as sdk\n", "frames"),
        (PYTHON + "import os.path as path , apollo_sdk\n", "frames"),
        (PYTHON + "import sys; import apollo_sdk\n", "frames"),
        (PYTHON + "try: import apollo_sdk\nexcept ImportError: pass\n", "frames"),
        (PYTHON + "if True:\n\timport apollo_sdk\n", "frames"),
        (PYTHON + '"""About it."""\nimport apollo_sdk\n', "frames"),
        (PYTHON + "s = 'it''s'\nt = \"a\\\"b\"\nimport apollo_sdk\n", "frames"),
        (PYTHON + "# it's a comment\nimport apollo_sdk", "frames"),
        (PYTHON + "print 'Python 2'\nimport apollo_sdk\n", "frames"),
        (PYTHON + "import sys\r\nimport apollo_sdk\r\n", "frames"),
        (PYTHON + "#" * 70_000 + "\nimport apollo_sdk\n", "frames"),
        ("#!/opt/venv/bin/python3.12 -u\nimport apollo_sdk\n", "frames"),
        (PYTHON + "# import apollo_sdk\n", "text"),
        (PYTHON + '"""\nimport apollo_sdk\n"""\n', "text"),
        (PYTHON + "'''\nfrom apollo_sdk import x\n'''\n", "text"),
        (PYTHON + 'x = "import apollo_sdk"\n', "text"),
        (PYTHON + "import apollo_sdk2\n", "text"),
        (PYTHON + "import my.apollo_sdk\n", "text"),
        (PYTHON + "important = apollo_sdk\n", "text"),
        (PYTHON + '"""never closed\nimport apollo_sdk\n', "text"),
        ("#!/bin/sh\nimport apollo_sdk\n", "text"),
    ],
)
def test_python_source_that_imports_the_sdk_speaks_frames(source, expected):
    assert protocol(source.encode()) == expected


@pytest.mark.parametrize("filler", [b'"""\\"', b"'\\", b'"', b"\\\\'''", b"import a,", b"import a.b as c , "])
def test_hostile_source_is_read_in_linear_time(filler):
    content = PYTHON.encode() + filler * ((1 << 20) // len(filler))
    assert protocol(content) == "text"


def test_the_marker_is_found_wherever_the_chunks_are_cut():
    content = b"#!/bin/sh\n" + b"x" * 50 + MARKER + b"y" * 50
    for step in (1, 2, 7, len(MARKER) - 1, len(MARKER), len(MARKER) + 1):
        probe = Probe()
        for start in range(0, len(content), step):
            probe.feed(content[start : start + step])
        assert probe.has_marker, step
        assert probe.protocol(NATIVE) == "frames"
        assert probe.size_bytes == len(content)


def test_the_marker_is_found_at_random_cuts_and_never_invented():
    random_ = random.Random(7)
    for _ in range(300):
        whole = random_.random() < 0.5
        marker = MARKER if whole else MARKER[:-1]
        content = b"#!/bin/sh\n" + random_.randbytes(40) + marker + random_.randbytes(40)
        probe, rest = Probe(), content
        while rest:
            cut = random_.randint(1, 30)
            probe.feed(rest[:cut])
            rest = rest[cut:]
        assert probe.has_marker == (MARKER in content)


@pytest.mark.parametrize("name", ["map.py", "späße", "...", "-rf", "x" * 255])
def test_plain_names_are_taken(name):
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/", "x" * 256, "ä" * 128, "a\0b", "a\nb", "\udce9", "builtin:x", "shell:x"]
)
def test_other_names_are_refused(name):
    with pytest.raises(ArtifactRejected):
        check_name(name)
