"""Compressed input that is right or almost right, in pieces of any size: its bytes, or a typed error."""

import bz2
import gzip

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import InputCorrupt
from apollo_worker.input.codec import decoded
from support import hostile

COMPRESS = {"gzip": gzip.compress, "bzip2": bz2.compress, "zstd": zstd.compress}
CODECS = st.sampled_from(sorted(COMPRESS))
MEMBERS = st.lists(st.binary(max_size=50) | st.just(b"the same again and again " * 100), max_size=4)
SIZES = st.lists(st.integers(1, 60), max_size=10)


def pieces(content: bytes, sizes: list[int]) -> list[bytes]:
    found = []
    for size in sizes:
        found.append(content[:size])
        content = content[size:]
    return [*found, content]


async def decode(codec: str, content: list[bytes]) -> bytes | None:
    """None where it is refused."""

    async def chunks():
        for piece in content:
            yield piece

    try:
        return b"".join([piece async for piece in decoded(chunks(), codec, "file:///in")])
    except InputCorrupt:
        return None


@given(CODECS, MEMBERS, SIZES)
async def test_members_are_decoded_however_they_are_cut(codec, members, sizes):
    content = b"".join(COMPRESS[codec](member) for member in members)
    assert await decode(codec, pieces(content, sizes)) == b"".join(members)


@given(CODECS, MEMBERS, SIZES, st.randoms(use_true_random=False))
async def test_spoilt_bytes_are_refused_or_decoded_the_same_however_they_are_cut(codec, members, sizes, chance):
    content = hostile.spoilt(chance, b"".join(COMPRESS[codec](member) for member in members))
    assert await decode(codec, pieces(content, sizes)) == await decode(codec, [content])


@pytest.mark.parametrize("codec", sorted(COMPRESS))
async def test_spoiling_is_noticed(codec):
    content = COMPRESS[codec](b"some words, and more words " * 10)
    assert await decode(codec, [content[:-1]]) is None
    assert await decode(codec, [content + b"x"]) is None
