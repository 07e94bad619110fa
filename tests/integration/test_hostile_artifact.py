"""A hostile mapper on a real worker: what it gets in the sandbox, and what it gets without one."""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from apollo_common.ids import map_task_id
from apollo_common.lifecycle import cancel_and_wait
from apollo_coordinator.core.spec import JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.pools.process import worker_command
from apollo_coordinator.ports import WorkerUp
from apollo_coordinator.rpc.link import GrpcWorkerLink
from apollo_worker.sandbox.sandbox import establish
from support.apollo_cli import REPOSITORY
from support.desk import JOB, Desk, done_of
from support.pools import process_pool, running, scripted_environment

pytestmark = pytest.mark.skipif(
    establish("prefer").abi == 0, reason=f"no sandbox on this machine: {establish('prefer').description}"
)

HOSTILE = REPOSITORY / "tests/support/programs/hostile.py"
ABSTRACT = f"apollo-test-{os.getpid()}"

REFUSED = {
    "credentials in its own environment": "nothing",
    "environment of its launcher": "EACCES",
    "environment of the worker": "EACCES",
    "memory of the worker, by /proc": "EACCES",
    "memory of the worker, by ptrace": "EPERM",
    "memory of the worker, by process_vm_readv": "EACCES",
    "a descriptor of the worker": "EPERM",
    "what the worker has opened": "EACCES",
    "a signal to the worker": "EPERM",
    "a signal to its launcher": "EPERM",
    "the limits of the worker": "EPERM",
    "the names on the intermediate volume": "EACCES",
    "watching the intermediate volume": "EPERM",
    "watching it by fanotify": "EPERM",
    "a file on the intermediate volume": "EACCES",
    "another job's map output: to read": "EACCES",
    "another job's map output: to write": "EACCES",
    "another job's map output: to cut off": "EACCES",
    "another job's map output: to rename": "EACCES",
    "another job's map output: by a symbolic link": "EACCES",
    "another job's map output: by a hard link": "EXDEV",
    "another job's map output: by /proc/self/root": "EACCES",
    "the directories of other attempts": "EACCES",
    "the worker's artifacts": "EACCES",
    "shared memory, /dev/shm": "EACCES",
    "shared memory of System V": "EPERM",
    "the terminal": "EACCES",
    "a worker's gRPC": "EACCES",
    "the metadata service": "EACCES",
    "listening on TCP": "EACCES",
    "UDP": "EACCES",
    "a raw socket": "EACCES",
    "a packet socket": "EACCES",
    "a netlink socket": "EACCES",
    "a vsock socket": "EACCES",
    "an abstract Unix socket": "EPERM",
    "another program's socket": "hung up on",
    "io_uring": "EPERM",
    "the session keyring": "EPERM",
    "bpf": "EPERM",
    "a file by its handle": "EPERM",
    "a user namespace": "EPERM",
    "a mount namespace": "EPERM",
    "a mount": "EPERM",
    "a setuid program": "its own user",
    "capabilities": "none",
    "inherited descriptors": "0",
    "system calls of i386": "SIGSYS",
}
NOT_REFUSED = {
    "another job's map output: its mode": "got it",
    "another job's map output: whether it is there": "that it is there",
}
OPEN_WITHOUT_SANDBOX = (
    "a signal to the worker",
    "the limits of the worker",
    "watching the intermediate volume",
    "shared memory of System V",
    "another job's map output: to read",
    "another job's map output: to write",
    "a file on the intermediate volume",
    "a worker's gRPC",
    "listening on TCP",
    "an abstract Unix socket",
    "system calls of i386",
)


LATE = """#!/usr/bin/env python3
import os, pathlib, time
told, go = (pathlib.Path(os.environ["APOLLO_PARAM_" + name]) for name in ("TOLD", "GO"))
told.with_suffix(".new").write_text(os.environ["APOLLO_SOCKET"])
told.with_suffix(".new").rename(told)
while not go.exists():
    time.sleep(0.02)
from apollo_sdk import run
run(map=lambda record, emit: emit(record, b"heard"))
"""


@asynccontextmanager
async def neighbour(directory: Path) -> AsyncIterator[str]:
    """The socket at which another worker waits for its own program, which comes when this ends, and is heard."""
    directory.mkdir()
    program, told, go, text = (directory / name for name in ("late.py", "told", "go", "text"))
    program.write_text(LATE)
    text.write_text("x\n")
    async with desk(directory, "off") as (at, _):
        digest = hashlib.sha256(program.read_bytes()).hexdigest()
        await at.link.install(digest, program)
        mapper = ProgramRef(ProgramSource.ARTIFACT, program.name, digest, protocol="frames")
        spec = JobSpec(("file:///in",), "file:///out", mapper, n_reducers=0, params={"told": str(told), "go": str(go)})
        mapping = asyncio.create_task(at.map(spec, text))
        try:
            async with asyncio.timeout(60):
                while not told.exists():
                    await asyncio.sleep(0.02)
            yield told.read_text()
            go.touch()
            reports, _ = await mapping
            assert await at.publish(map_task_id(JOB, 0), done_of(reports)) == b"x\theard\n"
        finally:
            await cancel_and_wait(mapping)


@asynccontextmanager
async def desk(directory: Path, sandbox: str) -> AsyncIterator[tuple[Desk, str]]:
    """Its worker's address beside it."""
    (directory / "out").mkdir()
    environment = scripted_environment() | {
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "APOLLO_SECRET": "hunter2",
    }
    pool = process_pool(
        directory, connector=GrpcWorkerLink, command=worker_command(), environment=environment, sandbox=sandbox
    )
    async with running(pool) as heard:
        (up,) = await heard.until(WorkerUp)
        yield Desk(pool.link(up.worker), directory), up.address


async def what_it_got(directory: Path, sandbox: str) -> dict[str, str]:
    """By attempt, from a map-only job's output."""
    victim = directory / "volume/otherjob/otherjob-m-00000/otherjob-m-00000-0"
    victim.parent.mkdir(parents=True)
    victim.write_text("secret")
    (directory / "token").write_text("secret")
    async with neighbour(directory / "neighbour") as socket_of_another, desk(directory, sandbox) as (at, address):
        digest = hashlib.sha256(HOSTILE.read_bytes()).hexdigest()
        await at.link.install(digest, HOSTILE)
        params = {
            "volume": str(directory / "volume"),
            "victim": str(victim),
            "abstract": ABSTRACT,
            "neighbour": socket_of_another,
            "hidden": str(directory / "token"),
            "beside": f"{directory},/tmp",
            "addresses": f"a worker's gRPC={address},the metadata service=169.254.169.254:80",
        }
        spec = JobSpec(
            ("file:///in",),
            "file:///out",
            ProgramRef(ProgramSource.ARTIFACT, "hostile.py", digest, stdio="pipe"),
            n_reducers=0,
            params=params,
        )
        (directory / "text").write_text("x\n")
        reports, _ = await at.map(replace(spec, output_format="raw"), directory / "text")
        table = await at.publish(map_task_id(JOB, 0), done_of(reports))
    return dict(line.split("\t") for line in table.decode().splitlines())


@pytest.fixture
def _abstract_socket():
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{ABSTRACT}")
        server.listen()
        yield


@pytest.mark.usefixtures("_abstract_socket")
async def test_a_hostile_mapper_gets_nothing_in_the_sandbox(tmp_path):
    got = await what_it_got(tmp_path, "require")
    del got["Unix sockets with a path"]  # this machine's, which Landlock does not restrict; a worker pod has none
    beside = {f"a file in {place}": "EACCES" for place in (tmp_path, "/tmp")} | {str(tmp_path / "token"): "EACCES"}
    assert got == REFUSED | NOT_REFUSED | beside


@pytest.mark.usefixtures("_abstract_socket")
async def test_a_hostile_mapper_gets_at_much_without_the_sandbox(tmp_path):
    got = await what_it_got(tmp_path, "off")
    assert {attempt: got[attempt] for attempt in OPEN_WITHOUT_SANDBOX} == dict.fromkeys(OPEN_WITHOUT_SANDBOX, "got it")
    assert got["credentials in its own environment"] == "nothing"
    assert got["another program's socket"] == "hung up on"
