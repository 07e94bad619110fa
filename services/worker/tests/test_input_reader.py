"""Splits read from real files: plain, compressed by the real programs, fixed-length, whole."""

import bz2
import csv
import gzip
import io
import subprocess
from contextlib import aclosing

import pytest
from backports import zstd

from apollo_common.assignment import Split, SplitPiece
from apollo_common.errors import InputChanged, InputCorrupt, ObjectNotFound, PermanentError, RecordTooLarge
from apollo_common.storage.file import FileStore
from apollo_common.storage.open import Stores
from apollo_common.storage.port import StorageAccess
from apollo_worker.input.cutter import InputLimits
from apollo_worker.input.reader import SplitReader

LINES = [f"line {i} {'x' * (i % 50)}" for i in range(20_000)]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
LIMITS = InputLimits(block_bytes=64 << 10, max_record_bytes=4 << 20)


async def pieces(path, split_bytes=None, codec=""):
    info = await FileStore().stat(f"file://{path}")
    size = info.size_bytes
    step = split_bytes or size
    return [
        SplitPiece(info.url, start, min(step, size - start), size, info.version, codec)
        for start in range(0, size, step)
    ]


async def read(split, limits=LIMITS):
    reader = SplitReader(Stores(), split, StorageAccess(), limits)
    async with aclosing(reader.blocks()) as blocks:
        found = [block async for block in blocks]
    assert reader.input_bytes == split.size_bytes
    return found


def packed_by(program, data):
    return subprocess.run([program, "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def text_of(blocks):
    return b"".join(bytes(block.data) for block in blocks)


def records_of(blocks):
    records = []
    for block in blocks:
        data, at = bytes(block.data), 0
        for length in block.lengths.tolist():
            records.append(data[at : at + length])
            at += length
        assert at == len(data)
        assert len(block.lengths) == block.count
    return records


@pytest.mark.parametrize("split_bytes", [9_999, 65_536, 65_537, 400_000, None])
async def test_plain_splits_together_hold_the_text(tmp_path, split_bytes):
    path = tmp_path / "in.txt"
    path.write_bytes(TEXT)
    found = [await read(Split((piece,))) for piece in await pieces(path, split_bytes)]
    assert b"".join(map(text_of, found)) == TEXT
    assert sum(block.count for blocks in found for block in blocks) == len(LINES)


async def test_a_last_line_far_behind_its_piece(tmp_path):
    path = tmp_path / "in.txt"
    long_line = b"y" * 3_000_000
    path.write_bytes(b"a\n" + long_line + b"\nb\n")
    first, second = (await pieces(path))[0], None
    first = SplitPiece(first.url, 0, 10, first.object_size_bytes, first.version)
    second = SplitPiece(first.url, 10, first.object_size_bytes - 10, first.object_size_bytes, first.version)
    assert text_of(await read(Split((first,)))) == b"a\n" + long_line + b"\n"
    assert text_of(await read(Split((second,)))) == b"b\n"


async def test_several_pieces_in_order(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(f"{name}\nend of {name}".encode())
    split = Split((*await pieces(tmp_path / "one"), *await pieces(tmp_path / "two")))
    blocks = await read(split)
    assert text_of(blocks) == b"one\nend of one\ntwo\nend of two\n"
    assert [block.input_url for block in blocks] == [f"file://{tmp_path}/one", f"file://{tmp_path}/two"]


@pytest.mark.parametrize(("program", "codec"), [("gzip", "gzip"), ("bzip2", "bzip2"), ("zstd", "zstd")])
async def test_compressed_by_the_real_program_in_several_members(tmp_path, program, codec):
    path = tmp_path / "in.packed"
    middle = len(TEXT) // 3
    path.write_bytes(b"".join(packed_by(program, part) for part in (TEXT[:middle], b"", TEXT[middle:])))
    blocks = await read(Split(tuple(await pieces(path, codec=codec))))
    assert text_of(blocks) == TEXT
    offset = 0
    for block in blocks:
        assert block.first_offset == offset
        offset += len(block.data)


async def test_many_small_gzip_members_and_padding(tmp_path):
    path = tmp_path / "in.gz"
    path.write_bytes(b"".join(gzip.compress(f"{i}\n".encode()) for i in range(5000)) + b"\0" * 512)
    blocks = await read(Split(tuple(await pieces(path, codec="gzip"))))
    assert text_of(blocks) == b"".join(f"{i}\n".encode() for i in range(5000))


@pytest.mark.parametrize(
    ("codec", "compress"),
    [("gzip", gzip.compress), ("bzip2", bz2.compress), ("zstd", zstd.compress)],
)
async def test_corrupt_input_is_named(tmp_path, codec, compress):
    path = tmp_path / "in.packed"
    packed = compress(TEXT)
    for broken in (packed[: len(packed) // 2], b"no such thing" + packed, packed + b"rubbish behind it"):
        path.write_bytes(broken)
        with pytest.raises(InputCorrupt, match=r"in\.packed.*" + codec):
            await read(Split(tuple(await pieces(path, codec=codec))))


@pytest.mark.parametrize(
    ("codec", "compress"),
    [("gzip", gzip.compress), ("bzip2", bz2.compress), ("zstd", zstd.compress)],
)
async def test_a_bomb_is_a_record_too_large_long_before_it_is_decoded(tmp_path, codec, compress):
    path = tmp_path / "in.packed"
    path.write_bytes(compress(b"\0" * (64 << 20)))
    with pytest.raises(RecordTooLarge, match="memoryBudget"):
        await read(Split(tuple(await pieces(path, codec=codec))))


@pytest.mark.parametrize("split_bytes", [1, 3, 7, 10, 64, None])
async def test_fixed_length_records(tmp_path, split_bytes):
    path = tmp_path / "in.bin"
    data = bytes(range(210))
    path.write_bytes(data)
    records = []
    for piece in await pieces(path, split_bytes):
        records += records_of(await read(Split((piece,), "fixed:7"), InputLimits(14, 100)))
    assert records == [data[at : at + 7] for at in range(0, 210, 7)]


async def test_fixed_length_records_of_compressed_input(tmp_path):
    path = tmp_path / "in.gz"
    path.write_bytes(gzip.compress(TEXT[:10_000]))
    blocks = await read(Split(tuple(await pieces(path, codec="gzip")), "fixed:100"))
    assert records_of(blocks) == [TEXT[at : at + 100] for at in range(0, 10_000, 100)]


async def test_a_fixed_length_that_does_not_fit_is_named(tmp_path):
    path = tmp_path / "in.bin"
    path.write_bytes(b"x" * 10)
    with pytest.raises(InputCorrupt, match=r"in\.bin ends with 1 bytes.*3"):
        await read(Split(tuple(await pieces(path)), "fixed:3"))


async def test_whole_objects(tmp_path):
    (tmp_path / "a").write_bytes(TEXT)
    (tmp_path / "b.bz2").write_bytes(bz2.compress(b"two\r\nlines"))
    split = Split((*await pieces(tmp_path / "a"), *await pieces(tmp_path / "b.bz2", codec="bzip2")), "whole")
    assert records_of(await read(split)) == [TEXT, b"two\r\nlines"]
    with pytest.raises(RecordTooLarge, match="byte 0"):
        await read(split, InputLimits(1000, 1000))


@pytest.mark.parametrize("split_bytes", [50_000, 70_001, 1_000_000])
async def test_csv_splits_look_back_as_far_as_it_takes(tmp_path, split_bytes):
    """Rows without quotes for longer than the first window, and quoted fields that hold line ends beside them."""
    rows = [["plain", "row", str(i)] for i in range(10_000)] + [[str(i), f"two\nlines, {i}", '"'] for i in range(9_000)]
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    records = []
    for piece in await pieces(path, split_bytes):
        records += records_of(await read(Split((piece,), "csv")))
    assert list(csv.reader(io.StringIO("\r\n".join(record.decode() for record in records), newline=""))) == rows


@pytest.mark.parametrize(("argument", "delimiter"), [(r"\0", b"\0"), (r"\n\n", b"\n\n"), ("--", b"--")])
async def test_delimited_splits_together_hold_the_records(tmp_path, argument, delimiter):
    path = tmp_path / "in.bin"
    data = delimiter.join(f"{i}\n{'-+' * (i % 90)}".encode() for i in range(5_000))
    path.write_bytes(data)
    records = []
    for piece in await pieces(path, 33_333):
        records += records_of(await read(Split((piece,), f"lines:{argument}")))
    assert records == data.split(delimiter)


async def test_a_run_of_delimiters_longer_than_the_windows_that_look_back(tmp_path):
    path = tmp_path / "in.txt"
    data = b"start" + b"\n" * 3_000_001 + b"end"
    path.write_bytes(data)
    records = []
    for piece in await pieces(path, 1_000_000):
        records += records_of(await read(Split((piece,), r"lines:\n\n")))
    assert records == data.split(b"\n\n")


async def test_many_small_objects_in_one_split(tmp_path):
    texts = [TEXT[: number * 7] for number in range(60)]
    given = []
    for number, text in enumerate(texts):
        path = tmp_path / (f"{number}.gz" if number % 3 == 0 else str(number))
        path.write_bytes(gzip.compress(text) if number % 3 == 0 else text)
        given += await pieces(path, codec="gzip" if number % 3 == 0 else "")
    assert records_of(await read(Split(tuple(given), "whole"))) == texts
    lines = [line for text in texts for line in text.splitlines()]
    assert text_of(await read(Split(tuple(given)))).splitlines() == lines
    (tmp_path / "41").unlink()
    with pytest.raises(ObjectNotFound, match="/41"):
        await read(Split(tuple(given)))


async def test_input_that_changes_or_goes_is_named(tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"old content\n")
    split = Split(tuple(await pieces(path)))
    path.write_bytes(b"new content!\n")
    with pytest.raises(InputChanged, match=r"in\.txt changed"):
        await read(split)
    path.unlink()
    with pytest.raises(ObjectNotFound, match=r"in\.txt"):
        await read(split)


async def test_an_unknown_format_is_refused(tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"x")
    for name in ("fixed:0", "fixed:x", "parquet"):
        with pytest.raises(PermanentError, match=name):
            await read(Split(tuple(await pieces(path)), name))


async def test_reading_may_stop_early(tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(TEXT * 10)
    reader = SplitReader(Stores(), Split(tuple(await pieces(path))), StorageAccess(), LIMITS)
    async with aclosing(reader.blocks()) as blocks:
        first = await anext(blocks)
    assert (TEXT * 10).startswith(bytes(first.data))


def test_limits_follow_the_memory_budget():
    assert InputLimits.for_memory_budget(256 << 20) == InputLimits(1 << 20, 64 << 20)
    assert InputLimits.for_memory_budget(1 << 20) == InputLimits(1 << 18, 1 << 18)
