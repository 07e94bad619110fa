"""Output formats against plain Python, JSON against json.loads."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo_common.errors import PermanentError
from apollo_worker.core.columns import PairBatch
from apollo_worker.core.slices import bounded_slices
from apollo_worker.output.format import formatter
from support.fuzz import examples

BYTES = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=8).map(str.encode),
    st.text(alphabet='"\\\n\r\t\b\f\x00\x1f\x7faé€😀', max_size=12).map(str.encode),
)
PAIRS = st.lists(st.tuples(BYTES, BYTES), max_size=30)


def formatted(name, pairs, first=0):
    batch = PairBatch.from_pairs([(b"skipped", b"too")] * first + pairs).slice(first, first + len(pairs))
    return bytes(formatter(name)(batch))


@given(pairs=PAIRS, first=st.integers(0, 3))
def test_text(pairs, first):
    assert formatted("text", pairs, first) == b"".join(key + b"\t" + value + b"\n" for key, value in pairs)


def test_text_with_a_separator_of_the_jobs_own():
    pairs = PairBatch.from_pairs([(b"a", b"1"), (b"", b"")])
    assert bytes(formatter("text", b" => ")(pairs)) == b"a => 1\n => \n"


@given(pairs=PAIRS, first=st.integers(0, 3))
def test_raw(pairs, first):
    assert formatted("raw", pairs, first) == b"".join(value for _, value in pairs)


@settings(max_examples=examples(300))
@given(pairs=PAIRS, first=st.integers(0, 3))
def test_json_lines_say_what_json_reads(pairs, first):
    lines = formatted("jsonl", pairs, first).decode().split("\n")
    assert lines.pop() == ""
    read = [json.loads(line) for line in lines]
    expected = [
        {"key": key.decode("utf-8", "replace"), "value": value.decode("utf-8", "replace")} for key, value in pairs
    ]
    assert read == expected


def test_every_byte_survives_json_or_is_replaced():
    pairs = [(bytes([byte]), b"x" + bytes([byte]) + b"y") for byte in range(256)]
    for (key, value), line in zip(pairs, formatted("jsonl", pairs).splitlines(), strict=True):
        document = json.loads(line)
        assert document == {"key": key.decode("utf-8", "replace"), "value": value.decode("utf-8", "replace")}


def test_unknown_format():
    with pytest.raises(PermanentError, match=r"'xml'.*text, jsonl, raw"):
        formatter("xml")


@given(sizes=st.lists(st.integers(0, 40), max_size=30), limit=st.integers(1, 50), rows=st.integers(1, 10))
def test_slices_are_bounded_and_lose_nothing(sizes, limit, rows):
    pairs = [(b"k" * (size // 2), b"v" * (size - size // 2)) for size in sizes]
    slices = list(bounded_slices(PairBatch.from_pairs(pairs), limit, rows))
    assert [pair for each in slices for pair in each.to_pairs()] == pairs
    assert all(len(each) == 1 or (each.size_bytes <= limit and len(each) <= rows) for each in slices)


def test_slices_of_a_batch_that_is_a_slice_itself():
    pairs = [(str(i).encode(), b"value") for i in range(1000)]
    batch = PairBatch.from_pairs(pairs).slice(300, 900)
    assert [pair for each in bounded_slices(batch, 100, 7) for pair in each.to_pairs()] == pairs[300:900]
    assert batch.key_offsets.dtype == np.int32
