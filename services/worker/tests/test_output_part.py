"""Parts written through a real store, read back by other programs."""

import asyncio
import hashlib
import subprocess

import pytest

from apollo_common.errors import PermanentError, StorageUnavailable
from apollo_common.storage.file import FileStore
from apollo_worker.core.columns import PairBatch
from apollo_worker.output import part
from apollo_worker.output.part import PartWriter, piece_bytes

PAIRS = [(f"key{i:05d}".encode(), b"v" * (i % 40)) for i in range(20_000)]
TEXT = b"".join(key + b"\t" + value + b"\n" for key, value in PAIRS)


async def written(tmp_path, *, batches=(PAIRS,), raws=(), output_format="text", compression=""):
    """Write, complete, and return (what the writer said, the object's bytes)."""
    store = FileStore()
    upload = await store.create_upload(f"file://{tmp_path}/out/part-r-00000", metadata={})
    writer = PartWriter(store, upload, output_format=output_format, compression=compression)
    for pairs in batches:
        await writer.pairs(PairBatch.from_pairs(pairs))
    for raw in raws:
        await writer.raw(raw)
    result = await writer.finish()
    await store.complete_upload(upload, result.parts)
    content = (tmp_path / "out/part-r-00000").read_bytes()
    assert result.size_bytes == len(content) == sum(each.size_bytes for each in result.parts)
    assert result.sha256 == hashlib.sha256(content).hexdigest()
    assert [each.number for each in result.parts] == list(range(1, len(result.parts) + 1))
    return result, content


async def test_text_in_one_piece(tmp_path):
    result, content = await written(tmp_path)
    assert content == TEXT
    assert (result.records, len(result.parts)) == (len(PAIRS), 1)


async def test_several_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(part, "FIRST_PIECE_BYTES", 10_000)
    batches = [PAIRS[start : start + 100] for start in range(0, len(PAIRS), 100)]
    result, content = await written(tmp_path, batches=batches)
    assert content == TEXT
    assert len(result.parts) > 20
    assert all(each.size_bytes >= 10_000 for each in result.parts[:-1])


@pytest.mark.parametrize("output_format", ["text", "raw"])
async def test_one_large_pair_goes_out_in_pieces(tmp_path, output_format):
    value = bytes(range(256)) * (100 << 10)
    result, content = await written(tmp_path, batches=([(b"key", value), (b"next", b"")],), output_format=output_format)
    assert content == (b"key\t" + value + b"\nnext\t\n" if output_format == "text" else value)
    assert max(each.size_bytes for each in result.parts) <= part.FIRST_PIECE_BYTES + part.SLICE_BYTES
    assert result.records == 2


@pytest.mark.parametrize(("compression", "program"), [("gzip", "gzip"), ("bzip2", "bzip2"), ("zstd", "zstd")])
async def test_compressed_output_is_read_by_the_real_program_and_is_deterministic(tmp_path, compression, program):
    _, content = await written(tmp_path / "a", compression=compression)
    _, again = await written(tmp_path / "b", compression=compression)
    assert content == again
    unpack = await asyncio.create_subprocess_exec(program, "-dc", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unpacked, _ = await unpack.communicate(content)
    assert unpacked == TEXT


async def test_an_empty_partition_is_one_empty_piece(tmp_path):
    result, content = await written(tmp_path, batches=())
    assert content == b""
    assert (result.records, [each.size_bytes for each in result.parts]) == (0, [0])


async def test_raw_bytes_go_out_as_they_are_and_count_lines(tmp_path):
    result, content = await written(
        tmp_path, batches=([(b"k", b"v")],), raws=(b"a line\nand", memoryview(b" more\n"), b"")
    )
    assert content == b"k\tv\na line\nand more\n"
    assert result.records == 3


async def test_unknown_choices_are_refused(tmp_path):
    store = FileStore()
    upload = await store.create_upload(f"file://{tmp_path}/out/part-r-00000", metadata={})
    with pytest.raises(PermanentError, match="xml"):
        PartWriter(store, upload, output_format="xml")
    with pytest.raises(PermanentError, match="lzma"):
        PartWriter(store, upload, output_format="text", compression="lzma")


class _SlowStore(FileStore):
    """Uploads that wait for the test."""

    def __init__(self, error=None):
        super().__init__()
        self.started = asyncio.Event()
        self.error = error

    async def upload_part(self, upload, number, content):
        self.started.set()
        if self.error:
            raise self.error
        await asyncio.Event().wait()


async def test_abort_ends_the_upload_under_way(tmp_path, monkeypatch):
    monkeypatch.setattr(part, "FIRST_PIECE_BYTES", 1)
    store = _SlowStore()
    writer = PartWriter(store, await store.create_upload(f"file://{tmp_path}/out/x", metadata={}), output_format="text")
    await writer.pairs(PairBatch.from_pairs(PAIRS[:10]))
    await store.started.wait()
    waiting = asyncio.create_task(writer.pairs(PairBatch.from_pairs(PAIRS[:10])))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await writer.abort()
    assert len(asyncio.all_tasks()) == 1


async def test_a_failed_upload_is_heard_of(tmp_path, monkeypatch):
    monkeypatch.setattr(part, "FIRST_PIECE_BYTES", 1)
    store = _SlowStore(StorageUnavailable("the store is away"))
    writer = PartWriter(store, await store.create_upload(f"file://{tmp_path}/out/x", metadata={}), output_format="text")
    await writer.pairs(PairBatch.from_pairs(PAIRS[:10]))
    with pytest.raises(StorageUnavailable, match="away"):
        await writer.finish()
    await writer.abort()


def test_ten_thousand_pieces_hold_more_than_an_s3_object_may():
    sizes = [piece_bytes(number) for number in range(1, 10_001)]
    assert sizes[0] == 8 << 20
    assert sum(sizes) > 5 << 40
    assert sizes == sorted(sizes)
