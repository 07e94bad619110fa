"""Records that come with an order: packed by the coordinator, unpacked into blocks as the program gets them."""

from hypothesis import given
from hypothesis import strategies as st

from apollo_common.inline_records import InlineRecord, decode_records, encode_records
from apollo_worker.input.inline import InlineReader

RECORDS = [
    InlineRecord("s3://b/é", 70, b"a line", line=True),
    InlineRecord("s3://b/é", 7, b"", line=True),
    InlineRecord("file:///other", 1 << 40, b"\n\0\xff", line=False),
    InlineRecord("file:///other", 0, b"", line=False),
]


@given(st.lists(st.builds(InlineRecord, st.text(), st.integers(0, 1 << 60), st.binary(), st.booleans())))
def test_records_are_packed_and_unpacked(records):
    assert list(decode_records(encode_records(records))) == records


async def test_each_record_is_a_block_with_its_own_place():
    reader = InlineReader(encode_records(RECORDS))
    size_bytes = reader.size_bytes
    blocks = [block async for block in reader.blocks()]
    assert [(block.input_url, block.first_offset, block.count, block.exact_offsets) for block in blocks] == [
        (record.input, record.offset, 1, True) for record in RECORDS
    ]
    assert [bytes(block.data) for block in blocks] == [b"a line\n", b"\n", b"\n\0\xff", b""]
    assert [None if block.lengths is None else block.lengths.tolist() for block in blocks] == [None, None, [3], [0]]
    assert reader.input_bytes == size_bytes == 9
