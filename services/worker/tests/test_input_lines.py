r"""Every cut position reads each line exactly once. The reference splits the whole object at `\n`, line by line."""

from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo_common.errors import RecordTooLarge
from apollo_worker.input.cutter import Extent, InputLimits
from apollo_worker.input.lines import LineCutter
from apollo_worker.input.sized import FixedCutter, WholeCutter
from support.fuzz import examples

URL = "file:///input.txt"


def reference_lines(data):
    lines = data.split(b"\n")
    last = lines.pop()
    lines = [line.removesuffix(b"\r") for line in lines]
    return [*lines, last] if last else lines


def read(data, start, end, chunk_bytes, limits):
    """What one extent hands out, fed as the reader does it."""
    return drained(LineCutter(Extent(URL, start, end), limits), data, chunk_bytes)


def drained(cutter, data, chunk_bytes):
    blocks = []
    position = cutter.first_byte
    while position < len(data) and not cutter.done:
        blocks += cutter.feed(data[position : position + chunk_bytes])
        position += chunk_bytes
    if not cutter.done:
        blocks += cutter.finish()
    return blocks


def lines_of(blocks):
    return [line for block in blocks for line in bytes(block.data).split(b"\n")[:-1]]


TEXT = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff"]), max_size=40).map(
    b"".join
) | st.binary(max_size=80)
CUTS = st.sets(st.integers(1, 60), max_size=6)
SIZES = st.integers(1, 20)


def read_in_extents(data, cuts, chunk, limits):
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [block for start, end in pairwise(bounds) for block in read(data, start, end, chunk, limits)]


@settings(max_examples=examples(400))
@given(data=TEXT, cuts=CUTS, chunk=st.integers(1, 9), block=SIZES)
def test_any_cuts_read_every_line_exactly_once(data, cuts, chunk, block):
    blocks = read_in_extents(data, cuts, chunk, InputLimits(block_bytes=block, max_record_bytes=1000))
    assert lines_of(blocks) == reference_lines(data)
    assert sum(block.count for block in blocks) == len(reference_lines(data))


@given(data=TEXT, cuts=CUTS, chunk=SIZES, block=SIZES)
def test_any_cuts_tell_where_lines_begin(data, cuts, chunk, block):
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    begins = [0, *ends][: len(reference_lines(data))]
    for found in read_in_extents(data, cuts, chunk, InputLimits(block_bytes=block, max_record_bytes=1000)):
        own, begins = begins[: found.count], begins[found.count :]
        assert found.first_offset == own[0]
        if found.exact_offsets:
            lengths = [len(line) + 1 for line in lines_of([found])]
            assert own == list(accumulate(lengths[:-1], initial=own[0]))
    assert begins == []


@given(data=TEXT, cuts=CUTS, chunk=SIZES, block=SIZES, limit=st.integers(1, 12))
def test_a_line_over_the_limit_is_met_wherever_the_cuts_are(data, cuts, chunk, block, limit):
    limits = InputLimits(block_bytes=block, max_record_bytes=limit)
    if max(map(len, data.split(b"\n"))) > limit:
        with pytest.raises(RecordTooLarge):
            read_in_extents(data, cuts, chunk, limits)
    else:
        assert lines_of(read_in_extents(data, cuts, chunk, limits)) == reference_lines(data)


@given(records=st.lists(st.binary(min_size=3, max_size=3), max_size=20), cuts=CUTS, chunk=SIZES, block=SIZES)
def test_any_cuts_read_every_record_of_fixed_length_exactly_once(records, cuts, chunk, block):
    data = b"".join(records)
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    blocks = []
    for start, end in pairwise(bounds):
        cutter = FixedCutter(Extent(URL, start, end), InputLimits(block, 100), 3)
        blocks += drained(cutter, data, chunk)
    assert b"".join(bytes(block.data) for block in blocks) == data
    assert sum(block.count for block in blocks) == len(records)
    assert [block.first_offset for block in blocks] == list(accumulate((len(b.data) for b in blocks), initial=0))[:-1]


@given(data=TEXT, cuts=CUTS, limit=st.integers(1, 100))
def test_a_whole_object_is_one_record_however_it_comes(data, cuts, limit):
    cutter = WholeCutter(Extent(URL, 0, len(data)), InputLimits(10, limit))
    try:
        (block,) = drained(cutter, data, max(cuts, default=100))
    except RecordTooLarge:
        assert len(data) > limit
    else:
        assert (bytes(block.data), block.lengths.tolist()) == (data, [len(data)])
        assert len(data) <= limit


@pytest.mark.parametrize(
    "data",
    [
        b"one\ntwo\nthree\n",
        b"one\r\ntwo\r\nthree\r\n",
        b"one\ntwo",
        b"one\r\ntwo\r",
        b"\n\n\n",
        b"\r\n\r\n",
        b"\r\r\n\r",
        b"x",
        b"a long line that covers several extents\nb\n",
    ],
)
def test_every_cut_position_of_two_and_of_single_bytes(data):
    limits = InputLimits(block_bytes=4, max_record_bytes=1000)
    for cut in range(1, len(data)):
        blocks = read(data, 0, cut, 3, limits) + read(data, cut, len(data), 3, limits)
        assert lines_of(blocks) == reference_lines(data), cut
    single = [block for at in range(len(data)) for block in read(data, at, at + 1, 2, limits)]
    assert lines_of(single) == reference_lines(data)


def test_blocks_name_their_first_offset():
    data = b"one\ntwo\r\nthree\n\nfive\nsix"
    blocks = read(data, 0, len(data), 1, InputLimits(block_bytes=1, max_record_bytes=100))
    assert [(block.first_offset, bytes(block.data), block.exact_offsets) for block in blocks] == [
        (0, b"one\n", True),
        (4, b"two\n", False),
        (9, b"three\n", True),
        (15, b"\n", True),
        (16, b"five\n", True),
        (21, b"six\n", True),
    ]


def test_owned_bytes_of_all_extents_add_up():
    data = b"one\r\n\ntwo\nthree" * 7
    for size in range(1, len(data)):
        total = 0
        for start in range(0, len(data), size):
            cutter = LineCutter(Extent(URL, start, min(len(data), start + size)), InputLimits(8, 100))
            list(cutter.feed(data[cutter.first_byte :]))
            if not cutter.done:
                list(cutter.finish())
            total += cutter.owned_bytes
        assert total == len(data)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_line_over_the_limit_is_named_with_its_offset(chunk):
    data = b"short\n" + b"x" * 101 + b"\nshort\n"
    with pytest.raises(RecordTooLarge, match=r"byte 6 .*memoryBudget") as error:
        read(data, 0, len(data), chunk, InputLimits(block_bytes=1000, max_record_bytes=100))
    assert URL in str(error.value)
    allowed = read(data, 0, len(data), chunk, InputLimits(block_bytes=1000, max_record_bytes=101))
    assert lines_of(allowed) == reference_lines(data)


def test_an_extent_inside_one_line_reads_nothing_and_does_not_go_on():
    data = b"x" * 100 + b"\ny\n"
    cutter = LineCutter(Extent(URL, 10, 20), InputLimits())
    assert list(cutter.feed(data[cutter.first_byte : 20])) == []
    assert cutter.done


def test_a_large_text_keeps_every_byte():
    generator = np.random.default_rng(1)
    data = generator.choice(np.frombuffer(b"ab\n", np.uint8), 3_000_000).tobytes()
    blocks = read(data, 0, len(data), 1 << 20, InputLimits())
    assert b"".join(bytes(block.data) for block in blocks).removesuffix(b"\n") == data.removesuffix(b"\n")
    assert max(len(block.data) for block in blocks) < 2 << 20
