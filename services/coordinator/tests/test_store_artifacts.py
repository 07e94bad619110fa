"""The artifact store on a real disk, killed and cancelled in the middle."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apollo_common.errors import ArtifactRejected, ArtifactTooLarge, ObjectNotFound, VolumeFull
from apollo_coordinator.callers import Caller, NotOwner, Role
from apollo_coordinator.store.artifacts import ArtifactFiles

SCRIPT = b"#!/bin/sh\ncat\n"
ALICE, BOB = Caller("alice", Role.SUBMITTER), Caller("bob", Role.SUBMITTER)


async def pieces(*chunks):
    for chunk in chunks:
        yield chunk


async def put(store, name, content=SCRIPT, **options):
    return await store.receive(name, pieces(content), **options)


def never(_digest):
    return False


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
async def store(tmp_path):
    return await ArtifactFiles.open(tmp_path, max_bytes=10_000_000, machine="x86_64")


async def test_what_was_stored_is_there_after_a_restart(store, tmp_path):
    content = SCRIPT + bytes(range(256)) * 20_000
    info = await store.receive("big", pieces(content[:100], content[100:4_000_000], content[4_000_000:]))
    assert (info.size_bytes, info.digest) == (len(content), hashlib.sha256(content).hexdigest())
    again = await ArtifactFiles.open(tmp_path)
    assert await again.all() == [info]
    assert again.path(info.digest).read_bytes() == content
    await again.delete("big")
    assert await (await ArtifactFiles.open(tmp_path)).all() == []


async def test_equal_bytes_are_kept_once_and_collected_when_no_name_is_left(store, tmp_path):
    one, two = await put(store, "one"), await put(store, "two")
    assert one.digest == two.digest
    await store.delete("one")
    assert await store.collect(never) == 0
    await store.delete("two")
    assert await store.collect(lambda digest: digest == one.digest) == 0
    assert store.path(one.digest).exists()
    assert await store.collect(never) == 1
    assert files(tmp_path) == []


async def test_pinned_bytes_are_kept(store):
    info = await put(store, "one")
    await store.delete("one")
    with store.pinned([info.digest]), store.pinned([info.digest, info.digest]):
        assert await store.collect(never) == 0
    assert await store.collect(never) == 1


async def test_a_replaced_artifact_keeps_its_place(store):
    first = await put(store, "one")
    second = await put(store, "one", SCRIPT + b"#\n")
    assert (await store.all()) == [second]
    assert second.created_ms == first.created_ms
    assert second.digest != first.digest


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a/b", SCRIPT, ArtifactRejected),
        ("a", b"", ArtifactRejected),
        ("a", SCRIPT + b"x" * 10_000_000, ArtifactTooLarge),
    ],
)
async def test_a_refused_upload_leaves_nothing(store, tmp_path, name, content, error):
    with pytest.raises(error):
        await put(store, name, content)
    assert files(tmp_path) == []


async def test_who_uploaded_a_name_first_owns_it_also_after_a_restart(store, tmp_path):
    mine = await put(store, "one", caller=ALICE)
    before = files(tmp_path)
    with pytest.raises(NotOwner, match="belongs to alice"):
        await put(store, "one", SCRIPT * 2, caller=BOB)
    assert files(tmp_path) == before
    again = await ArtifactFiles.open(tmp_path)
    assert (await again.get("one")).user == "alice"
    with pytest.raises(NotOwner, match="belongs to alice"):
        await put(again, "one", SCRIPT * 2, caller=BOB)
    assert (await put(again, "one", caller=BOB)).created_ms == mine.created_ms  # the same bytes replace nothing


async def test_of_two_that_upload_a_new_name_at_once_one_owns_it(store):
    uploads = [put(store, "one", SCRIPT + who.user.encode(), caller=who) for who in (ALICE, BOB)]
    outcomes = await asyncio.gather(*uploads, return_exceptions=True)
    (info,) = [outcome for outcome in outcomes if not isinstance(outcome, NotOwner)]
    assert await store.get("one") == info
    assert store.path(info.digest).read_bytes() == SCRIPT + info.user.encode()


async def test_names_that_an_older_version_kept_belong_to_nobody(store, tmp_path):
    info = await put(store, "one")
    (kept,) = (tmp_path / "names").iterdir()
    document = json.loads(kept.read_bytes())
    del document["user"]
    kept.write_text(json.dumps(document))
    again = await ArtifactFiles.open(tmp_path)
    assert await again.get("one") == info
    with pytest.raises(NotOwner, match="belongs to nobody"):
        await put(again, "one", SCRIPT * 2, caller=ALICE)


async def test_an_upload_that_ends_badly_leaves_the_old_artifact(store, tmp_path):
    old = await put(store, "one")

    async def breaking():
        yield SCRIPT
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.receive("one", breaking())
    assert await store.all() == [old]
    assert len(files(tmp_path)) == 2


async def test_a_cancelled_upload_leaves_nothing(store, tmp_path):
    async def endless():
        while True:
            yield SCRIPT * 1000
            await asyncio.sleep(0.001)

    for delay in (0, 0.002, 0.02, 0.1):
        task = asyncio.create_task(store.receive("one", endless()))
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert files(tmp_path) == []


async def test_many_uploads_at_once_are_all_whole(store):
    infos = await asyncio.gather(*(put(store, f"n{index % 5}", SCRIPT + b"#" * index) for index in range(40)))
    await store.collect(never)
    names = await store.all()
    assert len(names) == 5
    for info in names:
        assert info in infos
        assert hashlib.sha256(store.path(info.digest).read_bytes()).hexdigest() == info.digest


async def test_unknown_names_and_digests(store):
    assert await store.get("none") is None
    with pytest.raises(ObjectNotFound):
        await store.delete("none")
    with pytest.raises(ObjectNotFound):
        store.path("../../etc/passwd")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
async def test_a_full_volume_has_its_own_error(tmp_path, monkeypatch):
    store = await ArtifactFiles.open(tmp_path)
    real_open = os.open

    def open_full(path, *args):
        return real_open("/dev/full", os.O_WRONLY) if "incoming" in str(path) else real_open(path, *args)

    monkeypatch.setattr(os, "open", open_full)
    with pytest.raises(VolumeFull):
        await put(store, "one")


UPLOADER = """
import asyncio, itertools, sys
from pathlib import Path
from apollo_coordinator.callers import Caller, NotOwner, Role
from apollo_coordinator.store.artifacts import ArtifactFiles

async def pieces(index):
    yield b"#!/bin/sh\\n"
    for _ in range(3):
        yield (b"# %d\\n" % index) * 300_000

async def main():
    store = await ArtifactFiles.open(Path(sys.argv[1]))
    for index in itertools.count():
        await store.receive(f"name{index % 4}", pieces(index))
        await store.collect(lambda digest: False)
        print(index, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 3, 6])
def test_kill_9_in_the_middle_of_uploads_leaves_a_whole_store(tmp_path, after):
    command = [sys.executable, "-c", UPLOADER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) as process:
        for _ in range(after):
            assert process.stdout.readline()
        time.sleep(0.003 * after)  # somewhere in the next upload
        process.send_signal(signal.SIGKILL)
    asyncio.run(_check_whole(tmp_path, at_least=min(after, 4)))


async def _check_whole(root, *, at_least):
    store = await ArtifactFiles.open(root)
    infos = await store.all()
    assert len(infos) >= at_least
    for info in infos:
        content = store.path(info.digest).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (info.size_bytes, info.digest)
    await store.collect(never)
    assert len(files(root)) == 2 * len(infos)


def _environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
