"""What only a file system has."""

import os
from contextlib import suppress

import pytest

from apollo_common.assignment import PartUpload
from apollo_common.errors import (
    InvalidLocation,
    ObjectNotFound,
    OutputNotWritable,
    StorageAccessDenied,
    UploadLost,
    VolumeFull,
)
from apollo_common.storage import files, staging
from apollo_common.storage.file import FileStore
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import Upload


async def found(store, url):
    return [info.url async for info in store.find(url)]


async def content(store, url):
    return b"".join([chunk async for chunk in store.read(url)])


async def test_only_what_really_lies_below_a_root_is_reached(tmp_path):
    for name in ("allowed/in.txt", "allowed-not/in.txt", "outside/in.txt"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(b"x")
    (tmp_path / "allowed/link.txt").symlink_to(tmp_path / "outside/in.txt")
    (tmp_path / "allowed/directory").symlink_to(tmp_path / "outside")
    store = FileStore(StorePolicy(file_roots=(str(tmp_path / "allowed"),)))
    base = f"file://{tmp_path}"
    assert await content(store, f"{base}/allowed/in.txt") == b"x"
    assert await found(store, f"{base}/allowed/i*") == [f"{base}/allowed/in.txt"]
    for url in (
        f"{base}/outside/in.txt",
        f"{base}/allowed-not/in.txt",
        f"{base}/allowed/link.txt",
        f"{base}/allowed/../outside/in.txt",
        f"{base}/allowed/directory/in.txt",
    ):
        for work in (content(store, url), store.stat(url), store.put(url, b""), store.delete([url])):
            with pytest.raises(StorageAccessDenied, match="operator"):
                await work
        with pytest.raises(StorageAccessDenied, match="operator"):
            await store.create_upload(url, metadata={})
    with pytest.raises(StorageAccessDenied):
        await found(store, f"{base}/outside/")
    with pytest.raises(StorageAccessDenied):
        await found(FileStore(StorePolicy(file_roots=())), f"{base}/allowed/")


async def test_a_root_does_not_reach_into_apollos_own_directories(tmp_path):
    (tmp_path / "root/own/secrets").mkdir(parents=True)
    (tmp_path / "root/own/secrets/job.json").write_bytes(b"s3cret")
    (tmp_path / "root/own too").mkdir()
    (tmp_path / "root/own too/in.txt").write_bytes(b"x")
    (tmp_path / "root/link").symlink_to(tmp_path / "root/own/secrets")
    policy = StorePolicy(file_roots=(str(tmp_path / "root"),), own_directories=(str(tmp_path / "root/own"),))
    store, base = FileStore(policy), f"file://{tmp_path}/root"
    assert await content(store, f"{base}/own too/in.txt") == b"x"
    for place in (f"{base}/own/secrets/job.json", f"{base}/link/job.json", f"{base}/own too/../own/secrets/job.json"):
        with pytest.raises(StorageAccessDenied):
            await content(store, place)
    for pattern in (f"{base}/own/", f"{base}/**/*.json", f"{base}/l*/*"):
        with pytest.raises(StorageAccessDenied):
            await found(store, pattern)
    with pytest.raises(StorageAccessDenied):
        await store.create_upload(f"{base}/own/out", metadata={})


async def test_links_to_directories_are_followed_and_loops_end(tmp_path):
    (tmp_path / "data/real").mkdir(parents=True)
    (tmp_path / "data/real/in.txt").write_bytes(b"x")
    (tmp_path / "data/real/up").symlink_to(tmp_path / "data")
    (tmp_path / "data/link").symlink_to(tmp_path / "data/real")
    (tmp_path / "data/broken").symlink_to(tmp_path / "nowhere")
    base = f"file://{tmp_path}/data"
    assert f"{base}/link/in.txt" in await found(FileStore(), f"{base}/")
    assert await found(FileStore(), f"{base}/*/in.txt") == [f"{base}/link/in.txt", f"{base}/real/in.txt"]


async def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    store = FileStore()
    with pytest.raises(InvalidLocation, match="regular file"):
        await found(store, f"file://{tmp_path}/pipe")
    with pytest.raises(ObjectNotFound, match="regular file"):
        await content(store, f"file://{tmp_path}/pipe")
    with pytest.raises(ObjectNotFound):
        await content(store, f"file://{tmp_path}")
    assert await found(store, f"file://{tmp_path}/") == []
    with pytest.raises(InvalidLocation, match="s3://"):
        await store.stat("s3://bucket/key")


async def test_a_name_that_is_no_utf8_is_named(tmp_path):
    (tmp_path / os.fsdecode(b"bad\xff.txt")).write_bytes(b"x")
    with pytest.raises(InvalidLocation, match="UTF-8"):
        await found(FileStore(), f"file://{tmp_path}/")


async def test_output_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    store = FileStore()
    for work in (
        store.create_upload(f"file://{tmp_path}/file/part", metadata={}),
        store.put(f"file://{tmp_path}/file/x", b""),
    ):
        with pytest.raises(OutputNotWritable, match="cannot be written"):
            await work


async def test_a_full_device_is_a_full_volume(tmp_path):
    """/dev/full answers every write with ENOSPC; the piece that failed is cut off again."""
    store = FileStore()
    upload = await store.create_upload(f"file://{tmp_path}/out/part", metadata={})
    staged = tmp_path / "out" / staging.STAGING / upload.upload_id.partition("-")[2]
    staged.unlink()
    staged.symlink_to("/dev/full")
    with pytest.raises(VolumeFull, match="the output's volume is full; free space on it"):
        await store.upload_part(upload, 1, b"x")


async def test_aborting_removes_what_was_made_and_nothing_else(tmp_path):
    store = FileStore()
    (tmp_path / "there").mkdir()
    made = await store.create_upload(f"file://{tmp_path}/there/new/out/part-0", metadata={})
    other = await store.create_upload(f"file://{tmp_path}/there/new/out/part-1", metadata={})
    plain = await store.create_upload(f"file://{tmp_path}/there/part-0", metadata={})
    await store.abort_upload(made)
    assert (tmp_path / "there/new/out").is_dir()
    await store.abort_upload(other)
    await store.abort_upload(plain)
    assert list((tmp_path / "there").iterdir()) == []


async def test_a_put_takes_over_what_a_crash_left(tmp_path):
    (tmp_path / ".apollo-put-_SUCCESS").write_bytes(b"half of a longer manifest")
    await FileStore().put(f"file://{tmp_path}/_SUCCESS", b"{}")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("_SUCCESS", b"{}")]


class _Crash(Exception):
    pass


@pytest.mark.parametrize("crash_at", range(1, 12))
async def test_putting_pieces_in_order_goes_on_after_a_crash_anywhere(tmp_path, monkeypatch, crash_at):
    """The process dies before its n-th write, truncation, sync or rename; the next call finishes."""
    store = FileStore()
    url = f"file://{tmp_path}/out/part"
    upload = await store.create_upload(url, metadata={})
    late = await store.upload_part(upload, 3, b"end")
    await store.upload_part(upload, 1, b"wrong, and longer than it should be")
    first = await store.upload_part(upload, 1, b"1" * 5000)
    second = await store.upload_part(upload, 2, b"2" * 3000)
    calls = 0

    def crashing(real):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == crash_at:
                raise _Crash
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(files, "COPY_CHUNK_BYTES", 2048)
        for name in ("pwrite", "ftruncate", "fsync"):
            patch.setattr(os, name, crashing(getattr(os, name)))
        patch.setattr(staging.Path, "rename", crashing(staging.Path.rename))
        patch.setattr(staging.Path, "write_text", crashing(staging.Path.write_text))
        with suppress(_Crash):
            await store.complete_upload(upload, [first, second, late])
    await FileStore().complete_upload(upload, [late, first, second])
    assert (tmp_path / "out/part").read_bytes() == b"1" * 5000 + b"2" * 3000 + b"end"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["part"]


async def test_an_upload_that_lost_bytes_is_not_published(tmp_path):
    store = FileStore()
    upload = await store.create_upload(f"file://{tmp_path}/part", metadata={})
    with pytest.raises(UploadLost, match="lost bytes"):
        await store.complete_upload(upload, [PartUpload(1, "0", 10)])
    assert not (tmp_path / "part").exists()


async def test_an_upload_id_cannot_name_a_path(tmp_path):
    (tmp_path / "secret").write_bytes(b"x")
    store = FileStore()
    for upload_id in ("1-2-../../secret", "1-../secret", "../secret", ""):
        upload = Upload(f"file://{tmp_path}/out/part", upload_id)
        with pytest.raises(UploadLost):
            await store.upload_part(upload, 1, b"overwritten")
        await store.abort_upload(upload)
    assert (tmp_path / "secret").read_bytes() == b"x"
