"""Prefixed keys against GNU sort and against a plain comparator, and what becomes of them on the way."""

import os
import re
import subprocess
import tempfile
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from decimal import Decimal
from functools import cmp_to_key
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apollo_common.errors import InvalidKeyOrder, RecordTooLarge
from apollo_common.key_parts import KeyPart, keeping_groups, parse_key_parts
from apollo_proto.apollo import v1
from apollo_worker.core.columns import PairBatch
from apollo_worker.core.slices import SLICE_BYTES
from apollo_worker.shuffle.builtins import builtin
from apollo_worker.shuffle.group import Grouping, grouped
from apollo_worker.shuffle.key_order import CombinerOfPrefixed, KeyOrder
from apollo_worker.shuffle.key_rules import KeyRules, key_rules
from apollo_worker.shuffle.key_segments import MAX_NUMBER_BYTES
from support.fuzz import examples
from support.shuffling import (
    batches,
    groups_of,
    part_of,
    read_partition,
    reference_partition,
    streamed,
    write_map_output,
)

OPTIONS = [
    "-k1,1",
    "-k2,2n",
    "-k2,2nr",
    "-k1,1r -k2,2n",
    "-k2",
    "-k2r -k1,1",
    "-k1.2,1.3",
    "-k1.2n,2.1",
    "-k3,3n -k1.2r,2.1 -k2,2nr",
    "-n",
    "-r",
    "-nr",
    "-r -k2,2n -k1,1",
]
FIELDS = st.one_of(
    st.sampled_from([b"", b"0", b"-0", b"007", b"-7", b"7.", b".5", b"-.5", b"10", b"9", b"-9.25", b"-9.3", b"1e3"]),
    st.text(alphabet="0123456789.- ", max_size=6).map(str.encode),
    st.binary(max_size=4).filter(lambda field: b"\t" not in field),
    st.integers(95, 105).map(lambda digits: b"1" * digits),
    st.integers(95, 105).map(lambda digits: b"-" + b"2" * digits),
)
KEYS = st.lists(st.lists(FIELDS, min_size=1, max_size=4).map(b"\t".join), max_size=30)


def ordered(keys: list[bytes], options: str, separator: bytes = b"\t") -> list[bytes]:
    """By the bytes of the prefixed keys."""
    order = KeyOrder(parse_key_parts(options), separator)
    batch = PairBatch.from_pairs([(b"be", b"fore")] + [(key, b"%d" % row) for row, key in enumerate(keys)])
    prefixed = order.add_prefixes(batch.slice(1, len(batch)))
    assert order.drop_prefixes(prefixed).to_pairs() == [(key, b"%d" % row) for row, key in enumerate(keys)]
    found = sorted(prefixed.to_pairs(), key=lambda pair: pair[0])
    return [keys[int(row)] for _, row in found]


def number_of(text: bytes) -> Decimal:
    match = re.match(rb"[ \t\n]*(-?[0-9]*(?:\.[0-9]*)?)", text)
    digits = match[1].decode() if match else ""
    return Decimal(digits) if re.search("[0-9]", digits) else Decimal(0)


def compared(left: bytes, right: bytes, parts: tuple[KeyPart, ...], separator: bytes) -> int:
    for part in parts:
        sides = [part_of(key, part, separator) for key in (left, right)]
        values = [(text is not None, number_of(text or b"") if part.numeric else text or b"") for text in sides]
        if values[0] != values[1]:
            return (-1 if values[0] < values[1] else 1) * (-1 if part.reverse else 1)
    return (left > right) - (left < right)


@settings(max_examples=examples(400))
@given(KEYS, st.sampled_from(OPTIONS), st.sampled_from([b"\t", b"--", b"\x01"]))
@example([b"a\t-5", b"a\t-5.3", b"a\t", b"a"], "-k2,2n", b"\t")
@example([b"a\t\tb", b"a\t", b"a", b"a\t\x00", b"a\t\x01", b"a\t\x01\x00"], "-k2,2", b"\t")
def test_keys_are_in_the_order_of_a_plain_comparator(keys, options, separator):
    parts = parse_key_parts(options)
    expected = sorted(keys, key=cmp_to_key(lambda left, right: compared(left, right, parts, separator)))
    assert ordered(keys, options, separator) == expected


def sorted_by_gnu(keys: list[bytes], options: str) -> list[bytes]:
    done = subprocess.run(
        ["sort", "-t", "\t", *options.split()],
        input=b"\n".join(keys) + b"\n",
        env=os.environ | {"LC_ALL": "C"},
        check=True,
        stdout=subprocess.PIPE,
    )
    return done.stdout.split(b"\n")[:-1]


@settings(max_examples=examples(200))
@given(KEYS, st.sampled_from(OPTIONS))
@example([b"a\t\tb", b"a\t5", b"a\t0"], "-k2,2n")
def test_a_prefix_depends_on_nothing_but_its_key(keys, options):
    """Runs of several map tasks are merged by them."""
    order = KeyOrder(parse_key_parts(options))
    together = order.add_prefixes(PairBatch.from_pairs([(key, b"") for key in keys])).to_pairs()
    assert together == [
        pair for key in keys for pair in order.add_prefixes(PairBatch.from_pairs([(key, b"")])).to_pairs()
    ]


# sort holds a part that a line lacks for an empty one, Hadoop for less than any: here every line has all fields.
LINES = st.lists(
    st.lists(FIELDS.filter(lambda field: b"\n" not in field and b"\0" not in field), min_size=4, max_size=4).map(
        lambda fields: b"\t".join([*fields, b"end"])
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=examples(60))
@given(LINES, st.sampled_from([options for options in OPTIONS if options.startswith("-k")]))
def test_keys_are_in_the_order_of_gnu_sort(keys, options):
    """A global -r is left out: it also turns round how sort compares whole lines in the end."""
    assert ordered(keys, options) == sorted_by_gnu(keys, options)


def test_keys_that_no_column_could_hold_are_refused():
    """An untouched gigabyte costs nothing: the offsets alone say so."""
    size = 1 << 30
    batch = PairBatch(
        np.array([0, size], np.int32), np.empty(size, np.uint8), np.zeros(2, np.int32), np.empty(0, np.uint8)
    )
    with pytest.raises(RecordTooLarge, match="keyOrder of 2 parts: name fewer parts"):
        KeyOrder(parse_key_parts("-k1,1 -k2,2")).add_prefixes(batch)


@pytest.mark.parametrize("filling", [b"a", b"1"])
def test_a_huge_key_takes_no_more_than_some_times_its_size_as_a_number(filling):
    batch = PairBatch.from_pairs([(filling * (8 << 20), b"")])
    tracemalloc.start()
    try:
        prefixed = KeyOrder(parse_key_parts("-k1,1n")).add_prefixes(batch)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * batch.size_bytes
    assert prefixed.size_bytes - batch.size_bytes < 2 * MAX_NUMBER_BYTES


def test_numbers_are_compared_as_far_as_they_may_go():
    keys = [b"1" * (MAX_NUMBER_BYTES - 1) + digit + b"tail" for digit in (b"3", b"2", b"10", b"-")]
    assert ordered(keys, "-n") == [keys[3], keys[2], keys[1], keys[0]]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("-k2", [KeyPart(2)]),
        ("-k 2,3", [KeyPart(2, 1, 3)]),
        ("-k2.3,4.5nr", [KeyPart(2, 3, 4, 5, numeric=True, reverse=True)]),
        ("-k1n,1r", [KeyPart(1, 1, 1, numeric=True, reverse=True)]),
        ("-n -k1,1 -k2,2r", [KeyPart(1, 1, 1, numeric=True), KeyPart(2, 1, 2, reverse=True)]),
        ("-nr", [KeyPart(numeric=True, reverse=True)]),
    ],
)
def test_options_mean_parts(options, parts):
    assert parse_key_parts(options) == tuple(parts)


@pytest.mark.parametrize(
    "options", ["", " ", "-k", "-k0", "-k1,0", "-k1.0", "-kx", "-k2,1", "-k1.5,1.4", "-k1,2f", "-f", "k1", "-k10001"]
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match="-k"):
        parse_key_parts(options)


def test_too_many_parts_are_refused():
    with pytest.raises(ValueError, match="17 parts, more than 16"):
        parse_key_parts("-k1 " * 17)


def test_many_keys_are_in_the_order_of_gnu_sort():
    keys = [b"k%d\t%d" % (row * 7919 % 1000, row * 104_729 % 50_021 - 20_000) for row in range(100_000)]
    assert ordered(keys, "-k1,1r -k2,2n") == sorted_by_gnu(keys, "-k1,1r -k2,2n")


MAPS = st.lists(st.lists(st.tuples(LINES.map(lambda keys: keys[0]), st.binary(max_size=9)), max_size=40), max_size=3)


@settings(max_examples=examples(20))
@given(MAPS, st.sampled_from(OPTIONS), st.sampled_from([1, 3]))
async def test_reduces_get_their_pairs_in_the_order_of_the_job(maps, options, partitions):
    parts = parse_key_parts(options)
    rules = KeyRules(order=KeyOrder(parts))
    with tempfile.TemporaryDirectory() as folder:
        outputs = []
        for number, pairs in enumerate(maps):
            output, _ = await write_map_output(Path(folder), number, pairs, partitions, rules=rules)
            outputs.append(output)
        for partition in range(partitions):
            mine = [pair for pairs in maps for pair in pairs if reference_partition(pair[0], partitions) == partition]
            mine.sort(key=cmp_to_key(lambda left, right: compared(left[0], right[0], parts, b"\t")))
            assert await read_partition(outputs, Path(folder), partition, rules=rules) == mine


async def test_spills_and_slices_keep_the_order_and_combiners_see_keys(tmp_path):
    pairs = [(b"%d\t%d" % (row % 7, row * 7919 % 1000), b"%d" % row) for row in range(30_000)]
    rules = KeyRules(order=KeyOrder(parse_key_parts("-k1,1r -k2,2n")))
    sums: dict[bytes, int] = {}
    for key, value in pairs:
        sums[key] = sums.get(key, 0) + int(value)
    output, summary = await write_map_output(
        tmp_path,
        0,
        pairs,
        2,
        rules=rules,
        partitioner="field:1",
        combiner=builtin("sum", "combine"),
        budget_bytes=1 << 18,
    )
    assert summary.spilled.runs > 1
    totals: dict[bytes, int] = {}
    for partition in range(2):
        found = await read_partition([output], tmp_path, partition, rules=rules, budget_bytes=1 << 17)
        users = [int(key.split(b"\t")[0]) for key, _ in found]
        numbers = [int(key.split(b"\t")[1]) for key, _ in found]
        assert sorted(zip([-user for user in users], numbers, strict=True)) == [
            (-user, number) for user, number in zip(users, numbers, strict=True)
        ]
        for key, value in found:
            totals[key] = totals.get(key, 0) + int(value)
    assert totals == sums


class Emitting:
    """A combiner that emits one batch, whatever it gets."""

    def __init__(self, batch: PairBatch) -> None:
        self._batch = batch

    async def combine(self, pairs: AsyncIterator[PairBatch]) -> AsyncGenerator[PairBatch, None]:
        async for _ in pairs:
            pass
        yield self._batch


async def test_a_large_batch_of_a_combiner_gets_its_prefixes_in_bounded_slices():
    """Making them takes some times what they are made for."""
    order = KeyOrder(parse_key_parts("-k2,2nr"))
    pairs = [(b"%d\t%d" % (row, row), b"v" * 1000) for row in range(10_000)]
    combiner = CombinerOfPrefixed(Emitting(PairBatch.from_pairs(pairs)), order)
    found = [batch async for batch in combiner.combine(streamed([order.add_prefixes(PairBatch.from_pairs(pairs[:9]))]))]
    assert max(batch.size_bytes for batch in found) < 2 * SLICE_BYTES < sum(batch.size_bytes for batch in found)
    assert [pair for batch in found for pair in order.drop_prefixes(batch).to_pairs()] == pairs


@settings(max_examples=examples(200))
@given(KEYS, st.integers(1, 3), st.integers(1, 7))
async def test_groups_are_keys_that_begin_alike(keys, fields, size):
    def head(key: bytes) -> list[bytes]:
        return key.split(b"\t")[:fields]

    keys = sorted(keys, key=lambda key: (head(key), key))
    expected = [(key, [b"%d" % row]) for row, key in enumerate(keys)]
    groups: list[tuple[bytes, list[bytes]]] = []
    for key, values in expected:
        if groups and head(groups[-1][0]) == head(key):
            groups[-1][1].extend(values)
        else:
            groups.append((key, values))
    pairs = [(key, b"%d" % row) for row, key in enumerate(keys)]
    found: list[tuple[bytes, list[bytes]]] = []
    async for batch in grouped(streamed(batches(pairs, size)), Grouping(fields)):
        more = groups_of(batch)
        if batch.continues:
            key, values = more.pop(0)
            assert key == found[-1][0]
            found[-1][1].extend(values)
        found += more
    assert found == groups


GROUPED_ORDERS = ["", "-k1,1", "-k1,1nr", "-k1,2r", "-k1,1n -k2,2n", "-k2,2 -k1,1", "-k2,2nr -k1,1r -k3", "-r -k1,3"]


@settings(max_examples=examples(200))
@given(KEYS, st.integers(1, 3), st.sampled_from(GROUPED_ORDERS))
@example([b"new", b"new\x01old", b"new\tyork"], 1, "")
@example([b"a\t", b"a", b"a\t\tx", b"b\t"], 2, "-k2,2 -k1,1")
@example([b"", b"\tx", b"0"], 1, "-k1,1nr")
def test_groups_stay_side_by_side(keys, fields, options):
    """Whatever bytes and fields keys have, no other group comes between the keys of one."""
    try:
        rules = key_rules(v1.KeyRules(order=options, group_fields=fields))
    except InvalidKeyOrder:
        return  # this order does not begin with so many fields
    prefixed = rules.order.add_prefixes(PairBatch.from_pairs([(key, key) for key in keys])).to_pairs()
    heads = [tuple(key.split(b"\t")[:fields]) for _, key in sorted(prefixed)]
    assert len(list(groupby(heads))) == len(set(heads))


@pytest.mark.parametrize(
    ("options", "fields", "used"),
    [
        ("-k1,1 -k2,2n", 1, "-k1,1 -k2,2n"),
        ("-k2,2r -k1,1 -k3", 2, "-k2,2r -k1,1 -k3"),
        ("-k1,1nr -k2,2", 1, "-k1,1nr -k1,1 -k2,2"),
    ],
)
def test_groups_of_numbers_that_are_written_differently_are_told_apart(options, fields, used):
    kept = keeping_groups(parse_key_parts(options), fields)
    assert tuple(replace(part, there_if_empty=False) for part in kept) == parse_key_parts(used)


@pytest.mark.parametrize(("options", "fields"), [("-k2,2", 1), ("-k1", 1), ("-k1,2", 1), ("-k1.2,1", 1), ("-k1,1", 2)])
def test_orders_that_would_cut_groups_are_refused(options, fields):
    with pytest.raises(ValueError, match=f"does not begin with fields 1 to {fields}"):
        keeping_groups(parse_key_parts(options), fields)


def test_rules_come_from_the_assignment():
    assert key_rules(None) == key_rules(v1.KeyRules()) == KeyRules()
    rules = key_rules(v1.KeyRules(separator="::", order="-k1,1n", group_fields=1))
    grouped_parts = tuple(replace(part, there_if_empty=True) for part in parse_key_parts("-k1,1n -k1,1"))
    assert rules.order == KeyOrder(grouped_parts, b"::")
    assert (rules.separator, rules.grouping) == (b"::", Grouping(1, b"::"))
    with pytest.raises(InvalidKeyOrder, match="keyOrder '-kx'"):
        key_rules(v1.KeyRules(order="-kx"))
