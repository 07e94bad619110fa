import hashlib
import os
from collections.abc import AsyncIterator

import pytest

from apollo_common.errors import ArtifactCorrupt, ArtifactMissing, VolumeFull
from apollo_worker.cache import ArtifactCache


async def in_pieces(content: bytes, piece_bytes: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(content), piece_bytes):
        yield content[start : start + piece_bytes]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def put(cache: ArtifactCache, content: bytes) -> str:
    await cache.store(digest_of(content), len(content), in_pieces(content))
    return digest_of(content)


@pytest.fixture
def cache(tmp_path):
    return ArtifactCache(tmp_path / "artifacts", limit_bytes=100)


async def test_an_artifact_is_kept_executable_under_its_digest(cache):
    digest = await put(cache, b"#!/bin/sh\n")
    assert cache.path(digest).read_bytes() == b"#!/bin/sh\n"
    assert os.access(cache.path(digest), os.X_OK)
    assert cache.digests() == [digest]


async def test_the_same_again_is_read_to_its_end_and_kept_once(cache):
    await put(cache, b"a")
    assert await put(cache, b"a") in cache
    assert len(cache.digests()) == 1


@pytest.mark.parametrize("sent", [b"", b"short", b"far longer than promised", b"other!!"])
async def test_other_bytes_than_promised_are_refused(cache, sent):
    with pytest.raises(ArtifactCorrupt):
        await cache.store(digest_of(b"promise"), len(b"promise"), in_pieces(sent))
    assert cache.digests() == []
    assert list(cache.path("x").parent.iterdir()) == []


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63])
async def test_a_digest_that_is_none_never_becomes_a_path(cache, digest):
    with pytest.raises(ArtifactCorrupt, match="64 hexadecimal digits"):
        await cache.store(digest, 1, in_pieces(b"x"))


async def test_the_least_recently_used_makes_room(cache):
    first, second = await put(cache, b"1" * 40), await put(cache, b"2" * 40)
    with cache.pinned([first]):
        pass
    third = await put(cache, b"3" * 40)
    assert cache.digests() == [first, third]
    assert not cache.path(second).exists()


async def test_what_an_attempt_uses_stays(cache):
    first, second = await put(cache, b"1" * 60), await put(cache, b"2" * 30)
    with cache.pinned([first, first]), pytest.raises(VolumeFull, match="APOLLO_ARTIFACT_CACHE_BYTES"):
        await put(cache, b"3" * 60)
    assert cache.digests() == [second, first]
    assert cache.path(first).exists()
    assert cache.path(second).exists()


async def test_a_full_disk_is_told_as_such_and_leaves_nothing(cache, tmp_path):
    content = b"x" * 90
    partial = tmp_path / "artifacts" / f"{digest_of(content)}.partial"
    partial.symlink_to("/dev/full")
    with pytest.raises(VolumeFull, match="APOLLO_WORK_DIR"):
        await put(cache, content)
    assert cache.digests() == []
    assert list(partial.parent.iterdir()) == []


async def test_using_what_is_not_there_says_so(cache):
    with pytest.raises(ArtifactMissing), cache.pinned([digest_of(b"x")]):
        pass


async def test_a_restart_begins_empty(cache, tmp_path):
    await put(cache, b"a")
    assert ArtifactCache(tmp_path / "artifacts", 100).digests() == []
