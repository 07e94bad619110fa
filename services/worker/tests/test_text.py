"""The text codec against a loop over lines, and the filter of standard error against whole lines."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apollo_worker.artifact.stderr import TAIL_BYTES, CounterLine, StatusLine, StderrFilter
from apollo_worker.core.columns import PairBatch
from apollo_worker.core.line_fields import LineFields
from apollo_worker.core.text import count_lines, join_pairs, join_records, longest_line_bytes, parse_lines
from support.fuzz import examples

soup = st.text(alphabet="ab\t\r\n\0é", max_size=60).map(str.encode)
pieces = st.lists(
    st.sampled_from([b"a", b"\n", b"rep", b"orter:", b"reporter:status:s", b"reporter:counter:g,n,1", b","])
)


@given(soup)
@example(b"\n")
@example(b"")
def test_lines_are_parsed_as_a_loop_would(content):
    content = content + b"\n" if content and not content.endswith(b"\n") else content
    lines = content.split(b"\n")[:-1]
    array = np.frombuffer(content, np.uint8)
    assert parse_lines(array).to_pairs() == [tuple(line.partition(b"\t")[::2]) for line in lines]
    assert count_lines(array) == len(lines)
    assert longest_line_bytes(array) == max(map(len, lines), default=0)


@settings(max_examples=examples(400))
@given(
    st.lists(st.text(alphabet=":,aé\t", max_size=20).map(str.encode), max_size=20),
    st.sampled_from([b":", b"::", b",", b":,:", b"\t", "é".encode(), b"a:a"]),
    st.integers(1, 5),
)
def test_keys_of_several_fields_are_cut_as_split_would(lines, separator, key_fields):
    content = np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8)
    expected = []
    for line in lines:
        fields = line.split(separator, key_fields)
        expected.append((separator.join(fields[:key_fields]), b"".join(fields[key_fields:])))
    assert parse_lines(content, LineFields(separator, key_fields)).to_pairs() == expected
    joined = b"".join(key + separator + value + b"\n" for key, value in expected)
    assert bytes(join_pairs(PairBatch.from_pairs(expected), separator)) == joined


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9))), st.data())
def test_pairs_become_lines(pairs, data):
    start = data.draw(st.integers(0, len(pairs)))
    lines = b"".join(key + b"\t" + value + b"\n" for key, value in pairs[start:])
    assert bytes(join_pairs(PairBatch.from_pairs(pairs).slice(start, len(pairs)))) == lines


@given(st.lists(st.binary(max_size=9)))
def test_records_become_lines(records):
    lengths = np.array([len(record) for record in records], np.uint32)
    content = np.frombuffer(b"".join(records), np.uint8)
    assert bytes(join_records(content, lengths)) == b"".join(record + b"\n" for record in records)


@given(pieces)
def test_reporter_lines_are_found_however_they_are_cut(stream):
    cut, whole = StderrFilter(), b"".join(stream)
    heard = [item for piece in stream for item in cut.feed(piece)] + cut.close()
    reports, log = [], []
    for line in whole.splitlines(keepends=True):
        if line.strip() == b"reporter:counter:g,n,1":
            reports.append(CounterLine("g", "n", 1))
        elif line.startswith(b"reporter:status:"):
            reports.append(StatusLine(line[16:].decode().strip()))
        else:
            log.append(line)
    assert [item for item in heard if not isinstance(item, bytes)] == reports
    assert b"".join(item for item in heard if isinstance(item, bytes)) == b"".join(log)


def test_the_tail_and_what_is_held_back_are_bounded():
    reader = StderrFilter()
    heard = [reader.feed(b"reporter:" + b"x" * 100)] + [reader.feed(b"x" * 100) for _ in range(100)]
    assert heard[0] == []
    assert sum(len(item) for items in heard for item in items) == 9 + 100 + 100 * 100
    assert len(reader.tail) == TAIL_BYTES
