"""Where each record begins, as its format counts, so that a bad one is found again in its object."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo_common.record_format import parse_record_format
from apollo_worker.core.record_rows import RecordRows
from apollo_worker.input.cutter import Extent, InputLimits
from apollo_worker.input.formats import make_cutter
from support.fuzz import examples

URL = "file:///in"
LIMITS = InputLimits(block_bytes=40, max_record_bytes=1 << 20)

LINES = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\n\n", b"\xff", b"0"]), max_size=40).map(b"".join)
ROWS = st.lists(st.sampled_from([b"a", b",", b"\n", b"\r\n", b'"x\ny"\n', b"7"]), max_size=30).map(b"".join)
VALUES = st.lists(st.sampled_from([b"1\n", b"[2]\r\n", b"\n", b" \n", b'{"a": 3}\n']), max_size=30).map(b"".join)
FORMATS = {
    "lines": LINES,
    "lines:bc": LINES,
    "hadoop-text": LINES,
    "csv": ROWS,
    "jsonl": VALUES,
    "fixed:3": st.binary(max_size=20).map(lambda data: data * 3),
    "whole": LINES,
}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=examples(40))
@given(data=st.data())
def test_a_record_lies_at_its_offset(name, data):
    content = data.draw(FORMATS[name])
    chunk_bytes = data.draw(st.integers(1, 30))
    cutter = make_cutter(parse_record_format(name), Extent(URL, 0, None), LIMITS)
    blocks = []
    for start in range(0, len(content), chunk_bytes):
        if not cutter.done:
            blocks += cutter.feed(content[start : start + chunk_bytes])
    if not cutter.done:
        blocks += cutter.finish()
    for block in blocks:
        rows = RecordRows(block)
        for row in range(block.count):
            record, offset = rows.content(row), rows.offset(row)
            assert content[offset : offset + len(record)] == record
            (alone,) = [RecordRows(rows.slice(row, row + 1))]
            assert (alone.content(0), alone.offset(0), alone.block.count) == (record, offset, 1)
        offsets = [rows.offset(row) for row in range(block.count)]
        assert offsets == sorted(set(offsets))


@pytest.mark.parametrize(("name", "record"), [("hadoop-offset", b"3\tb"), ("hadoop-keyvalue", b"b\t")])
def test_lines_that_are_shown_with_their_keys_have_offsets_of_their_own(name, record):
    cutter = make_cutter(parse_record_format(name), Extent(URL, 0, None), LIMITS)
    (block,) = [*cutter.feed(b"a\r\nb\nc\n"), *cutter.finish()]
    rows = RecordRows(block)
    assert (rows.content(1).strip(), rows.offset(1)) == (record.strip(), 3)
    assert rows.offset(2) == 5
