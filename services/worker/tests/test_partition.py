from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import InvalidPartitioner
from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.keys import SPARE_BYTES, KeyBlock, overlapping_words
from apollo_worker.shuffle.partition import hash_keys, java_hash_keys, parse_partitioner
from support.shuffling import (
    reference_hash,
    reference_partition,
    reference_partition_by_fields,
    reference_partition_by_key_fields,
    reference_partition_of_hadoop,
)

KEYS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.binary(min_size=1000, max_size=1100),
        st.lists(st.sampled_from([b"\t", b"a", b"\0", b"\xff"]), max_size=12).map(b"".join),
    ),
    max_size=60,
)

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "partitioners.md"


def vectors(section: str) -> list[list[str]]:
    """The rows of a section's table. `hash` was made by its C code, `hadoop` by a Java program of its definition."""
    text = DOCUMENTATION.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:3] == "| `"
    ]
    assert len(rows) >= 5
    return rows


def key_of(text: str) -> bytes:
    """`-` is the empty key, `78 x 3` three bytes 0x78."""
    content, _, times = text.partition(" x ")
    return bytes.fromhex(content.strip("-")) * int(times or 1)


def block(keys: list[bytes], before: bytes = b"") -> KeyBlock:
    batch = PairBatch.from_pairs([(before, b"")] + [(key, b"") for key in keys])
    content = np.concatenate([batch.key_bytes, np.full(SPARE_BYTES, 0xAA, np.uint8)])
    offsets = batch.key_offsets[1:]
    return KeyBlock(content, overlapping_words(content), offsets[:-1], np.diff(offsets))


@given(KEYS, st.sampled_from([1, 2, 7, 64, 10_000]))
def test_hash_is_the_documented_one(keys, partitions):
    found = parse_partitioner("hash").partition(block(keys, b"before"), partitions)
    assert found.tolist() == [reference_partition(key, partitions) for key in keys]
    assert hash_keys(block(keys)).tolist() == [reference_hash(key) for key in keys]


@given(KEYS, st.integers(1, 5), st.sampled_from([1, 3, 1000]))
def test_field_hashes_the_first_fields(keys, fields, partitions):
    found = parse_partitioner(f"field:{fields}").partition(block(keys, b"a\tb"), partitions)
    assert found.tolist() == [reference_partition_by_fields(key, fields, partitions) for key in keys]


@given(KEYS, st.sampled_from([1, 3, 1000]))
def test_hadoop_agrees_with_its_definition(keys, partitions):
    found = parse_partitioner("hadoop").partition(block(keys, b"before"), partitions)
    assert found.tolist() == [reference_partition_of_hadoop(key, partitions) for key in keys]


@given(
    KEYS,
    st.sampled_from(["-k1,1", "-k2", "-k1.2,2.1", "-k3,3 -k1,1", "-k2,2nr", "-n"]),
    st.sampled_from([b"\t", b"a\t", b"\0"]),
    st.sampled_from([1, 3, 1000]),
)
def test_key_fields_agree_with_their_definition(keys, options, separator, partitions):
    found = parse_partitioner(f"keyfields:{options}", separator).partition(block(keys, b"a\tb"), partitions)
    assert found.tolist() == [reference_partition_by_key_fields(key, options, separator, partitions) for key in keys]


def test_hadoop_matches_the_documentation():
    for key, value, of_4, of_1000 in vectors("hadoop"):
        keys = block([key_of(key)])
        assert java_hash_keys(keys).view(np.int32).tolist() == [int(value)]
        found = [parse_partitioner("hadoop").partition(keys, partitions).tolist() for partitions in (4, 1000)]
        assert found == [[int(of_4)], [int(of_1000)]]


def test_hash_matches_the_documentation():
    for key, value, of_4, of_1000 in vectors("hash"):
        keys = block([key_of(key)])
        assert hash_keys(keys).tolist() == [int(value, 16)] == [reference_hash(key_of(key))]
        found = [parse_partitioner("hash").partition(keys, partitions).tolist() for partitions in (4, 1000)]
        assert found == [[int(of_4)], [int(of_1000)]]


def test_field_matches_the_documentation():
    for key, partitioner, hashed, of_1000 in vectors("field:N"):
        expected = [int(of_1000)]
        assert parse_partitioner(partitioner).partition(block([key_of(key)]), 1000).tolist() == expected
        assert parse_partitioner("hash").partition(block([key_of(hashed)]), 1000).tolist() == expected


def test_key_fields_match_the_documentation():
    """The table was made by Hadoop 3.4.2's own class."""
    for key, partitioner, separator, of_4, of_1000 in vectors("keyfields:OPTIONS"):
        chosen = parse_partitioner(partitioner, bytes.fromhex(separator))
        found = [chosen.partition(block([key_of(key)]), partitions).tolist() for partitions in (4, 1000)]
        assert found == [[int(of_4)], [int(of_1000)]]


def test_hadoop_cuts_long_keys_into_chunks_and_puts_them_together():
    keys = [b"short", b"xy" * 70_000, b"", b"z" * 65_536, b"end"]
    found = parse_partitioner("hadoop").partition(block(keys), 1000)
    assert found.tolist() == [reference_partition_of_hadoop(key, 1000) for key in keys]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hash",
        "hash:2",
        "hadoop:",
        "field",
        "field:",
        "field:0",
        "field:-1",
        "field:1.5",
        "field:٣",
        "mod",
        "keyfields:",
        "keyfields:2",
        "keyfields",
    ],
)
def test_unknown_partitioners_are_refused(text):
    with pytest.raises(InvalidPartitioner, match="partitioner"):
        parse_partitioner(text)
