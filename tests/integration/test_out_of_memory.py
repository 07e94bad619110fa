"""A program that the kernel kills for want of memory, in a memory cgroup of its worker's own."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from apollo_coordinator.core.spec import MIB, JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.order import AttemptFailed, AttemptProgress
from apollo_coordinator.pools.process import worker_command
from apollo_coordinator.ports import WorkerUp
from apollo_coordinator.rpc.link import GrpcWorkerLink
from support.desk import Desk, done_of
from support.pools import process_pool, running

LIMIT_BYTES = 384 * MIB
EATS = "cat >/dev/null; exec python3 -S -c 'b = bytearray(1 << 30); b[::4096] = bytes(1 << 18)'"


@dataclass(frozen=True)
class Group:
    """A memory cgroup with a limit, of version 2 or 1."""

    directory: Path
    limit: str  # the file's name

    def make(self) -> None:
        self.directory.mkdir()
        (self.directory / self.limit).write_text(str(LIMIT_BYTES))

    def joined(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command, run inside."""
        return ("/bin/sh", "-c", f'echo $$ > {self.directory}/cgroup.procs; exec "$@"', "sh", *command)


@pytest.fixture
def group() -> Iterator[Group]:
    mount, name = Path("/sys/fs/cgroup"), f"apollo-test-{uuid.uuid4().hex[:8]}"
    if (mount / "cgroup.controllers").exists():
        made = Group(mount / name, "memory.max")
    else:
        made = Group(mount / "memory" / name, "memory.limit_in_bytes")
    try:
        made.make()
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    yield made
    made.directory.rmdir()


@pytest.fixture
async def desk(tmp_path, group) -> AsyncIterator[Desk]:
    pool = process_pool(tmp_path, connector=GrpcWorkerLink, command=group.joined(worker_command()))
    async with running(pool) as heard:
        (up,) = await heard.until(WorkerUp)
        yield Desk(pool.link(up.worker), tmp_path)


def spec(command: str) -> JobSpec:
    reducer = ProgramRef(ProgramSource.BUILTIN, "builtin:count")
    mapper = ProgramRef(ProgramSource.SHELL, command, stdio="pipe")
    return JobSpec(("file:///in",), "file:///out", mapper, reducer, memory_budget_bytes=16 * MIB)


async def test_the_failure_names_the_limit_and_the_peak_and_the_worker_goes_on(desk):
    text = desk.directory / "text"
    text.write_bytes(b"a\n" * 1000)
    reports, _ = await desk.map(spec(EATS), text)
    failed = reports[-1]
    assert isinstance(failed, AttemptFailed)
    assert (failed.reason, failed.signal) == ("program_exited", 9)
    assert "Memory had run out: the worker and its programs may use 384.0 MiB together, and 384.0 MiB were used" in (
        failed.message
    )
    reports, _ = await desk.map(replace(spec("cat; sleep 1"), memory_budget_bytes=8 * MIB), text, index=1)
    assert done_of(reports).counters["apollo"]["map_output_records"] == 1000
    peaks = [report.memory_peak_bytes for report in reports if isinstance(report, AttemptProgress)]
    assert LIMIT_BYTES - MIB < max(peaks) <= LIMIT_BYTES


async def test_a_program_that_is_killed_by_somebody_else_is_no_want_of_memory(desk):
    text = desk.directory / "text"
    text.write_bytes(b"a\n")
    reports, _ = await desk.map(spec("kill -9 $$"), text)
    assert isinstance(reports[-1], AttemptFailed)
    assert "Memory had run out" not in reports[-1].message
