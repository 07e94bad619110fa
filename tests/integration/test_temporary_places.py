"""Where programs put temporary files: TMPDIR everywhere, and a private /tmp and /dev/shm where the worker has them."""

import hashlib
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from apollo_common.ids import map_task_id
from apollo_coordinator.core.spec import JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.pools.process import worker_command
from apollo_coordinator.ports import WorkerGone, WorkerUp
from apollo_coordinator.rpc.link import GrpcWorkerLink
from apollo_worker.sandbox.sandbox import establish
from apollo_worker.sandbox.temporary import MARK
from support.desk import JOB, Desk, done_of
from support.pools import process_pool, running

PRIVATE = "mount -t tmpfs -o mode=1777 none /tmp && mount -t tmpfs -o mode=1777 none /dev/shm"
IN_PRIVATE = ("unshare", "--mount", "sh", "-c", f'{PRIVATE} && exec "$@"', "sh")

pytestmark = [
    pytest.mark.skipif(
        establish("prefer").abi == 0
        or subprocess.run([*IN_PRIVATE, "true"], capture_output=True, check=False).returncode != 0,
        reason="needs a sandbox, and the right to mount a /tmp of a worker's own",
    ),
    pytest.mark.skipif(
        Path(__file__).is_relative_to("/tmp"), reason="a worker's own /tmp would hide the sources, also in CI"
    ),
]

TMPFILE = """
#include <stdio.h>
int main(void) {
    while (getchar() != EOF);
    FILE *file = tmpfile();
    if (!file) { puts("refused"); return 0; }
    fputs("kept for a moment\\n", file);
    rewind(file);
    for (int c; (c = getc(file)) != EOF;) putchar(c);
    return 0;
}
"""
PYTHON = f"#!{sys.executable}\nimport sys\nsys.stdin.read()\n"
TEMPFILE = PYTHON + "import tempfile\nfile = tempfile.NamedTemporaryFile()\nprint(file.write(b'abc'))\n"
LOCK = PYTHON + "import multiprocessing\nwith multiprocessing.Lock():\n    print('held')\n"
POOL = (
    PYTHON
    + "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool:\n"
    + "    print(sum(pool.map(abs, [-1, -2])))\n"
)
JAVA = """#!/usr/bin/env -S java --source 11
class Program {
    public static void main(String[] arguments) throws Exception {
        System.in.readAllBytes();
        System.out.println(java.io.File.createTempFile("word", null).getParent());
    }
}
"""
LEAVES = (
    "cat >/dev/null; mkdir /tmp/d; echo a >/tmp/d/f; chmod 0 /tmp/d; ln -s {kept} /tmp/l; echo a >/dev/shm/s; echo left"
)
LOOKS = "cat >/dev/null; ls -A /tmp /dev/shm"


@pytest.fixture
def directory() -> AsyncIterator[Path]:
    """Outside /tmp, over which the worker's own is mounted."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        yield Path(made)


@pytest.fixture(params=["require"])
async def desk(directory, request) -> AsyncIterator[Desk]:
    """At a worker with places of its own."""
    command = (*IN_PRIVATE, "env", "APOLLO_SANDBOX_TEMPORARY=/tmp,/dev/shm", *worker_command())
    async for made in desk_at(directory, command, request.param):
        yield made


async def desk_at(directory: Path, command: tuple[str, ...], sandbox: str = "require") -> AsyncIterator[Desk]:
    (directory / "out").mkdir()
    pool = process_pool(directory, connector=GrpcWorkerLink, command=command, sandbox=sandbox)
    async with running(pool) as heard:
        (up,) = await heard.until(WorkerUp)
        yield Desk(pool.link(up.worker), directory)


async def written_by(desk: Desk, program: str | Path, index: int = 0) -> str:
    """What a mapper writes, given a line."""
    if isinstance(program, Path):
        digest = hashlib.sha256(program.read_bytes()).hexdigest()
        await desk.link.install(digest, program)
        mapper = ProgramRef(ProgramSource.ARTIFACT, program.name, digest)
    else:
        mapper = ProgramRef(ProgramSource.SHELL, program)
    spec = JobSpec(("file:///in",), "file:///out", mapper, n_reducers=0)
    (desk.directory / "text").write_text("x\n")
    reports, _ = await desk.map(replace(spec, output_format="raw"), desk.directory / "text", index=index)
    return (await desk.publish(map_task_id(JOB, index), done_of(reports))).decode()


def script(directory: Path, content: str) -> Path:
    path = directory / "program.py"
    path.write_text(content)
    return path


def in_c(directory: Path) -> Path:
    source = directory / "program.c"
    source.write_text(TMPFILE)
    subprocess.run(["cc", "-o", directory / "program", source], check=True)
    return directory / "program"


async def test_pythons_tempfile(desk, directory):
    assert await written_by(desk, script(directory, TEMPFILE)) == "3\n"


async def test_cs_tmpfile(desk, directory):
    assert await written_by(desk, in_c(directory)) == "kept for a moment\n"


@pytest.mark.parametrize(("program", "expected"), [(LOCK, "held\n"), (POOL, "3\n")], ids=["a lock", "a pool"])
async def test_pythons_multiprocessing(desk, directory, program, expected):
    assert await written_by(desk, script(directory, program)) == expected


@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java here, also in CI perhaps")
async def test_javas_temporary_files(desk, directory):
    assert await written_by(desk, script(directory, JAVA)) == "/tmp\n"


@pytest.mark.parametrize("desk", ["require", "off"], indirect=True)
async def test_nothing_is_left_for_the_next_attempt(desk, directory):
    kept = directory / "kept"
    kept.mkdir(mode=0o750)
    (kept / "file").write_text("a")
    assert await written_by(desk, LEAVES.format(kept=kept)) == "left\n"
    assert (await written_by(desk, LOOKS, index=1)).split() == ["/dev/shm:", MARK, "/tmp:", MARK]
    assert (kept / "file").read_text() == "a"  # a link that is left is not followed
    assert stat.S_IMODE(kept.stat().st_mode) == 0o750


async def test_a_worker_whose_programs_leave_what_cannot_be_removed_ends(directory):
    (directory / "out").mkdir()
    (directory / "place").mkdir()
    command = ("env", f"APOLLO_SANDBOX_TEMPORARY={directory}/place", *worker_command())
    pool = process_pool(directory, connector=GrpcWorkerLink, command=command, sandbox="off")
    async with running(pool) as heard:
        (up,) = await heard.until(WorkerUp)
        moves = f"cat >/dev/null; mv {directory}/place {directory}/elsewhere; echo moved"
        assert await written_by(Desk(pool.link(up.worker), directory), moves) == "moved\n"
        (gone,) = await heard.until(WorkerGone)
        assert gone.worker == up.worker


async def test_where_a_worker_has_no_such_places_only_tmpdir_works(directory):
    async for desk in desk_at(directory, worker_command()):
        assert await written_by(desk, script(directory, TEMPFILE)) == "3\n"
        assert await written_by(desk, in_c(directory), index=1) == "refused\n"
