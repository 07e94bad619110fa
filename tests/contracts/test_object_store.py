"""One contract for all object stores. S3 runs against a real SeaweedFS."""

import asyncio
import re
from contextlib import aclosing
from dataclasses import replace

import pytest

from apollo_common.assignment import PartUpload
from apollo_common.errors import (
    ApolloError,
    BucketNotFound,
    InputChanged,
    ObjectNotFound,
    OutputExists,
    StorageAccessDenied,
    StorageUnavailable,
    UploadLost,
)
from apollo_common.storage.file import FileStore
from apollo_common.storage.memory import MemoryStore
from apollo_common.storage.port import StorageAccess, Upload
from apollo_common.storage.s3 import S3Store

MIB = 1 << 20
PIECE = 5 * MIB  # the smallest that S3 takes for all pieces but the last


@pytest.fixture(params=["memory", "file", "s3"])
async def place(request, tmp_path):
    """(store, URL of an empty place, without a slash at its end)."""
    if request.param == "memory":
        store, base = MemoryStore(), "s3://bucket/place"
    elif request.param == "file":
        store, base = FileStore(), f"file://{tmp_path}/place"
    else:
        server = request.getfixturevalue("s3_server")
        store, base = S3Store(server.access), f"s3://{request.getfixturevalue('s3_bucket')}/place"
    yield store, base
    await store.close()


async def found(store, url):
    return [info.url async for info in store.find(url)]


async def content(store, url, **options):
    return b"".join([chunk async for chunk in store.read(url, **options)])


async def upload(store, url, *pieces, metadata=None):
    begun = await store.create_upload(url, metadata=metadata or {"apollo-attempt": "a-r-00000-0"})
    return begun, [await store.upload_part(begun, number, piece) for number, piece in enumerate(pieces, 1)]


async def test_what_was_put_reads_back(place):
    store, base = place
    await store.put(f"{base}/one", b"hello")
    info = await store.stat(f"{base}/one")
    assert (info.url, info.size_bytes) == (f"{base}/one", 5)
    assert await content(store, f"{base}/one") == b"hello"
    assert await content(store, f"{base}/one", version=info.version) == b"hello"


async def test_folders_are_the_names_right_below_a_place(place):
    store, base = place
    for key in ("b/one", "b/two/deep", "a[x/one", "file", "bé/one", "other-a/one"):
        await store.put(f"{base}/{key}", b"")
    assert [name async for name in store.folders(f"{base}/")] == ["a[x", "b", "bé", "other-a"]
    assert [name async for name in store.folders(f"{base}/", named=re.compile("b|other"))] == ["b"]
    assert [name async for name in store.folders(f"{base}/b/")] == ["two"]
    assert [name async for name in store.folders(f"{base}/nothing/")] == []
    await store.delete([f"{base}/b/two/deep"])
    if not isinstance(store, FileStore):
        assert [name async for name in store.folders(f"{base}/b/")] == []
    assert [name async for name in store.folders(f"{base}/file/")] == []


async def test_a_put_replaces_and_gives_a_new_version(place):
    store, base = place
    await store.put(f"{base}/one", b"hello")
    old = await store.stat(f"{base}/one")
    await store.put(f"{base}/one", b"other")
    assert await content(store, f"{base}/one") == b"other"
    assert (await store.stat(f"{base}/one")).version != old.version
    with pytest.raises(InputChanged, match="changed"):
        await content(store, f"{base}/one", version=old.version)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 3), (2, None), (2, 4), (4, 100), (10, None), (10, 5), (99, 1), (3, 0)]
)
async def test_reads_a_range(place, offset, length):
    store, base = place
    await store.put(f"{base}/digits", b"0123456789")
    expected = b"0123456789"[offset:] if length is None else b"0123456789"[offset : offset + length]
    assert await content(store, f"{base}/digits", offset=offset, length_bytes=length) == expected


async def test_reads_an_empty_object(place):
    store, base = place
    await store.put(f"{base}/empty", b"")
    assert await content(store, f"{base}/empty") == b""
    assert await content(store, f"{base}/empty", offset=0, length_bytes=10) == b""


async def test_large_object_comes_in_bounded_chunks(place):
    store, base = place
    data = bytes(range(256)) * (3 * MIB // 256)
    await store.put(f"{base}/large", data)
    chunks = [chunk async for chunk in store.read(f"{base}/large")]
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= MIB


async def test_a_read_may_stop_early(place):
    store, base = place
    await store.put(f"{base}/large", b"x" * 3 * MIB)
    async with aclosing(store.read(f"{base}/large")) as chunks:
        assert await anext(chunks)
    assert await content(store, f"{base}/large", offset=3 * MIB - 1) == b"x"


async def test_missing_object(place):
    store, base = place
    assert await store.stat(f"{base}/none") is None
    assert await found(store, f"{base}/none") == []
    with pytest.raises(ObjectNotFound, match="none"):
        await content(store, f"{base}/none")
    await store.delete([f"{base}/none"])


async def test_conditional_put(place):
    store, base = place
    await store.put(f"{base}/once", b"first", only_if_absent=True)
    with pytest.raises(OutputExists, match="once"):
        await store.put(f"{base}/once", b"second", only_if_absent=True)
    assert await content(store, f"{base}/once") == b"first"


async def test_one_conditional_put_of_many_wins(place):
    store, base = place
    tries = [store.put(f"{base}/race", str(i).encode(), only_if_absent=True) for i in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    winners = [i for i, result in enumerate(results) if result is None]
    assert len(winners) == 1
    assert all(isinstance(result, ApolloError) for i, result in enumerate(results) if i not in winners)
    assert await content(store, f"{base}/race") == str(winners[0]).encode()


async def test_delete(place):
    store, base = place
    for name in ("a", "b", "c"):
        await store.put(f"{base}/{name}", b"")
    await store.delete([f"{base}/a", f"{base}/c"])
    assert await found(store, f"{base}/") == [f"{base}/b"]


NAMES = [
    "a.txt",
    "b.log",
    "dir/c.txt",
    "dir/deep/d.txt",
    "dir.x",
    ".hidden",
    "_SUCCESS",
    "_tmp/e.txt",
    "dir/.f/g.txt",
    "ü %41#?.txt",
]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/", ["a.txt", "b.log", "dir.x", "dir/c.txt", "dir/deep/d.txt", "ü %41#?.txt"]),
        ("", ["a.txt", "b.log", "dir.x", "dir/c.txt", "dir/deep/d.txt", "ü %41#?.txt"]),
        ("/a.txt", ["a.txt"]),
        ("/dir", ["dir/c.txt", "dir/deep/d.txt"]),
        ("/dir/", ["dir/c.txt", "dir/deep/d.txt"]),
        ("/*.txt", ["a.txt", "ü %41#?.txt"]),
        ("/*/*.txt", ["dir/c.txt"]),
        ("/**/*.txt", ["a.txt", "dir/c.txt", "dir/deep/d.txt", "ü %41#?.txt"]),
        ("/**", ["a.txt", "b.log", "dir.x", "dir/c.txt", "dir/deep/d.txt", "ü %41#?.txt"]),
        ("/d*/", ["dir/c.txt", "dir/deep/d.txt"]),
        ("/[ab].*", ["a.txt", "b.log"]),
        ("/[!a].*", ["b.log"]),
        ("/?.txt", ["a.txt"]),
        ("/_tmp/*", ["_tmp/e.txt"]),
        ("/_SUCCESS", ["_SUCCESS"]),
        ("/_*", []),
        ("/.*", []),
        ("/ü %41#?.txt", ["ü %41#?.txt"]),
        ("/*.none", []),
        ("/di", []),
    ],
)
async def test_find(place, pattern, expected):
    store, base = place
    for name in NAMES:
        await store.put(f"{base}/{name}", b"x")
    assert sorted(await found(store, f"{base}{pattern}")) == [f"{base}/{name}" for name in expected]


async def test_a_literal_name_with_wildcards_in_it(place):
    store, base = place
    await store.put(f"{base}/part[1].txt", b"x")
    assert await found(store, f"{base}/part[1].txt") == [f"{base}/part[1].txt"]


async def test_lists_more_than_a_thousand_objects(place):
    store, base = place
    names = [f"{i:04d}" for i in range(1100)]
    gate = asyncio.Semaphore(32)

    async def put(name):
        async with gate:
            await store.put(f"{base}/many/{name}", b"")

    await asyncio.gather(*map(put, reversed(names)))
    assert await found(store, f"{base}/many/") == [f"{base}/many/{name}" for name in names]
    await store.delete([f"{base}/many/{name}" for name in names])
    assert await found(store, f"{base}/many/") == []


# Uploads


async def test_an_upload_is_invisible_until_it_is_complete(place):
    store, base = place
    begun, parts = await upload(store, f"{base}/out/part-r-00000", b"a" * PIECE, b"b")
    assert await found(store, f"{base}/out/") == []
    assert await store.stat(f"{base}/out/part-r-00000") is None
    await store.complete_upload(begun, parts)
    assert await content(store, f"{base}/out/part-r-00000") == b"a" * PIECE + b"b"
    assert await found(store, f"{base}/out/") == [f"{base}/out/part-r-00000"]


async def test_an_upload_of_one_empty_piece_makes_an_empty_object(place):
    store, base = place
    begun, parts = await upload(store, f"{base}/out/empty", b"")
    await store.complete_upload(begun, parts)
    assert (await store.stat(f"{base}/out/empty")).size_bytes == 0


async def test_completing_replaces_an_older_object(place):
    store, base = place
    await store.put(f"{base}/out/part", b"old")
    begun, parts = await upload(store, f"{base}/out/part", b"new")
    assert await content(store, f"{base}/out/part") == b"old"
    await store.complete_upload(begun, parts)
    assert await content(store, f"{base}/out/part") == b"new"


async def test_completing_twice_is_no_error(place):
    store, base = place
    begun, parts = await upload(store, f"{base}/out/part", b"content")
    await store.complete_upload(begun, parts)
    await store.complete_upload(begun, parts)
    await store.complete_upload(Upload(begun.url, begun.upload_id, {"apollo-attempt": "a-r-00000-0"}), parts)
    assert await content(store, f"{base}/out/part") == b"content"


async def test_aborting_a_completed_upload_leaves_the_object(place):
    store, base = place
    begun, parts = await upload(store, f"{base}/out/part", b"content")
    await store.complete_upload(begun, parts)
    await store.abort_upload(begun)
    assert await content(store, f"{base}/out/part") == b"content"


async def test_completing_an_upload_that_another_one_replaced_is_an_error(place):
    store, base = place
    begun, parts = await upload(store, f"{base}/out/part", b"mine")
    await store.abort_upload(begun)
    other, other_parts = await upload(store, f"{base}/out/part", b"other", metadata={"apollo-attempt": "a-r-00000-1"})
    await store.complete_upload(other, other_parts)
    with pytest.raises(UploadLost, match="part"):
        await store.complete_upload(begun, parts)
    assert await content(store, f"{base}/out/part") == b"other"


async def test_pieces_of_different_sizes_in_any_order_and_one_replaced(place):
    store, base = place
    url = f"{base}/out/part"
    begun = await store.create_upload(url, metadata={"apollo-attempt": "x"})
    third = await store.upload_part(begun, 3, b"end")
    first = await store.upload_part(begun, 1, b"1" * (PIECE + 1))
    await store.upload_part(begun, 2, b"wrong" * MIB)
    second = await store.upload_part(begun, 2, b"2" * (PIECE + 2))
    await store.complete_upload(begun, [first, second, third])
    assert await content(store, url) == b"1" * (PIECE + 1) + b"2" * (PIECE + 2) + b"end"


async def test_a_piece_of_an_aborted_upload_is_lost(place):
    store, base = place
    begun, parts = await upload(store, f"{base}/out/part", b"content")
    await store.abort_upload(begun)
    await store.abort_upload(begun)
    with pytest.raises(UploadLost):
        await store.upload_part(begun, 2, b"more")
    with pytest.raises(UploadLost):
        await store.complete_upload(begun, parts)
    assert await found(store, f"{base}/out/") == []


async def test_uploads_of_the_same_object_stand_side_by_side(place):
    store, base = place
    one, one_parts = await upload(store, f"{base}/out/part", b"one")
    two, two_parts = await upload(store, f"{base}/out/part", b"two", metadata={"apollo-attempt": "a-r-00000-1"})
    await store.complete_upload(two, two_parts)
    await store.abort_upload(one)
    assert await content(store, f"{base}/out/part") == b"two"
    assert one_parts != two_parts or one.upload_id != two.upload_id


async def test_lists_the_uploads_under_way(place):
    store, base = place
    one, _ = await upload(store, f"{base}/out/part-r-00000", b"x")
    two, parts = await upload(store, f"{base}/out/part-r-00001", b"x")
    other, _ = await upload(store, f"{base}/other/part-r-00000", b"x")
    listed = await store.list_uploads(f"{base}/out/part-")
    assert {(each.url, each.upload_id) for each in listed} == {(each.url, each.upload_id) for each in (one, two)}
    await store.complete_upload(two, parts)
    for each in await store.list_uploads(f"{base}/"):
        await store.abort_upload(each)
    assert await store.list_uploads(f"{base}/") == []
    with pytest.raises(UploadLost):
        await store.upload_part(other, 2, b"more")


async def test_unknown_uploads(place):
    store, base = place
    unknown = Upload(f"{base}/out/part", "1234-nonsense")
    await store.abort_upload(unknown)
    with pytest.raises(UploadLost):
        await store.upload_part(unknown, 1, b"x")
    with pytest.raises(UploadLost):
        await store.complete_upload(unknown, [PartUpload(1, "0", 1)])


# What only S3 has


async def test_wrong_credentials_are_named_without_the_secret(s3_server, s3_bucket):
    secret = "wrong-secret-0123456789"
    for access in (
        replace(s3_server.access, secret_access_key=secret),
        replace(s3_server.access, access_key_id="nobody", secret_access_key=secret),
    ):
        store = S3Store(access)
        try:
            for work in (
                store.stat(f"s3://{s3_bucket}/key"),
                store.put(f"s3://{s3_bucket}/key", b""),
                found(store, f"s3://{s3_bucket}/"),
                content(store, f"s3://{s3_bucket}/key"),
                store.create_upload(f"s3://{s3_bucket}/key", metadata={}),
            ):
                with pytest.raises(StorageAccessDenied, match=s3_bucket) as denied:
                    await work
                assert secret not in str(denied.value)
                assert secret not in repr(denied.value)
        finally:
            await store.close()


async def test_missing_bucket(s3_server):
    store = S3Store(s3_server.access)
    try:
        for work in (
            found(store, "s3://no-such-bucket/key"),
            found(store, "s3://no-such-bucket/"),
            content(store, "s3://no-such-bucket/key"),
            store.put("s3://no-such-bucket/key", b""),
            store.create_upload("s3://no-such-bucket/key", metadata={}),
        ):
            with pytest.raises(BucketNotFound, match="no-such-bucket"):
                await work
    finally:
        await store.close()


async def test_unreachable_endpoint_is_temporary(unused_tcp_port, monkeypatch):
    monkeypatch.setattr("apollo_common.storage.s3_client.MAX_REQUEST_ATTEMPTS", 2)
    store = S3Store(StorageAccess(f"http://127.0.0.1:{unused_tcp_port}", "us-east-1", "id", "secret-of-mine"))
    try:
        with pytest.raises(StorageUnavailable, match=str(unused_tcp_port)) as unavailable:
            await store.stat("s3://bucket/key")
        assert "secret-of-mine" not in str(unavailable.value)
    finally:
        await store.close()


async def test_a_closed_store_opens_again(s3_server, s3_bucket):
    store = S3Store(s3_server.access)
    await store.put(f"s3://{s3_bucket}/key", b"x")
    await store.close()
    assert await content(store, f"s3://{s3_bucket}/key") == b"x"
    await store.close()
