"""Every format, cut anywhere, gives each record exactly once. The references read objects as a whole."""

import csv
import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo_common.errors import InputCorrupt, RecordTooLarge
from apollo_common.record_format import parse_record_format
from apollo_worker.input.csv_rows import CsvScanner
from apollo_worker.input.cutter import Extent, InputLimits
from apollo_worker.input.delimiter import occurrences
from apollo_worker.input.formats import look_back, make_cutter
from apollo_worker.input.scanned import ScannedCutter
from apollo_worker.input.scanner import Beginning
from support.fuzz import examples

URL = "file:///input"
LIMITS = InputLimits(block_bytes=8, max_record_bytes=1000)
SETTINGS = settings(max_examples=examples(150))


def texts(*tokens, most=40):
    return st.lists(st.sampled_from(tokens), max_size=most).map(b"".join)


CUTS = st.sets(st.integers(1, 80), max_size=6)
SIZES = st.integers(1, 9)


def bounds_of(data, cuts):
    return pairwise(sorted({0, len(data), *(cut for cut in cuts if cut < len(data))}))


def beginning_of(backward, data, start, window_bytes):
    """Looks back as the reader does, in small windows."""
    stop = start
    while True:
        first = stop - window_bytes if stop - window_bytes > 3 else 0
        found = backward.settle(data[first:stop], whole=first == 0)
        if found is not None:
            assert first + found.offset <= start
            return Beginning(first + found.offset, found.at_record)
        stop, window_bytes = min(stop, first + 4), max(window_bytes, 8) * 2


def fed(cutter, data, chunk_bytes):
    blocks, position = [], cutter.first_byte
    while position < len(data) and not cutter.done:
        blocks += cutter.feed(data[position : position + chunk_bytes])
        position += chunk_bytes
    if not cutter.done:
        blocks += cutter.finish()
    return blocks


def read(text, data, start, end, chunk_bytes=3, limits=LIMITS, window_bytes=5):
    """What one extent of an object gives."""
    record_format = parse_record_format(text)
    backward = look_back(record_format) if start else None
    beginning = beginning_of(backward, data, start, window_bytes) if backward is not None else None
    return fed(make_cutter(record_format, Extent(URL, start, end), limits, beginning), data, chunk_bytes)


def records_of(blocks):
    records = []
    for block in blocks:
        content = bytes(block.data)
        if block.lengths is None:
            lines = content.split(b"\n")
            assert lines.pop() == b""
            assert len(lines) == block.count > 0
            records += lines
        else:
            bounds = [0, *np.cumsum(block.lengths).tolist()]
            assert len(bounds) == block.count + 1 > 1
            assert bounds[-1] == len(content)
            records += [content[start:end] for start, end in pairwise(bounds)]
    return records


def split_at(data, delimiter):
    records = data.split(delimiter)
    return records if records[-1] else records[:-1]


DELIMITERS = [b"\n", b"\0", b"ab", b"\n\n", b"aa", b"aba", b"|+|", b"\r\n", b"aab"]


@SETTINGS
@given(st.sampled_from(DELIMITERS), st.data())
def test_delimiters_at_any_cuts(delimiter, data):
    tokens = (b"a", b"b", b"\n", b"\0", b"|", b"+", b"\r", delimiter, delimiter * 3, delimiter[:-1] or b"x")
    text = data.draw(texts(*tokens))
    cuts, chunk, window = data.draw(CUTS), data.draw(SIZES), data.draw(SIZES)
    blocks = []
    for start, end in bounds_of(text, cuts):
        blocks += read(f"lines:{escaped(delimiter)}", text, start, end, chunk, window_bytes=window)
    assert records_of(blocks) == split_at(text, delimiter)


def escaped(content):
    return "".join(f"\\x{byte:02x}" for byte in content)


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_delimiters_at_every_cut(delimiter):
    text = b"one" + delimiter * 5 + b"aba\r\n\nabaab|+|aa\0" + delimiter + b"end" + delimiter * 2 + delimiter[:-1]
    name = f"lines:{escaped(delimiter)}"
    for cut in range(1, len(text)):
        blocks = read(name, text, 0, cut) + read(name, text, cut, len(text))
        assert records_of(blocks) == split_at(text, delimiter), cut
    single = [block for at in range(len(text)) for block in read(name, text, at, at + 1)]
    assert records_of(single) == split_at(text, delimiter)


@SETTINGS
@given(pattern=texts(b"a", b"b", most=4).filter(len), text=texts(b"a", b"b", b"aab"))
def test_occurrences_overlap(pattern, text):
    expected = [at for at in range(len(text)) if text.startswith(pattern, at)]
    assert occurrences(text, pattern).tolist() == expected


def csv_rows(data, separator=","):
    """Python's own reader; decoded so that every byte is a character."""
    return list(csv.reader(io.StringIO(data.decode("latin-1"), newline=""), delimiter=separator))


def never_closed(data, separator=","):
    """Whether Python's reader takes what would be a row of its own behind the text for the rest of a quoted field."""
    return csv_rows(data + b"\nnext", separator)[-1] != ["next"]


def closed(data):
    return data + b'"' if never_closed(data) else data


def parsed(records, separator=","):
    rows = []
    for record in records:
        of_record = csv_rows(record, separator)
        assert len(of_record) == (1 if record else 0)  # the reader makes no row of nothing at all
        rows += of_record or [[]]
    return rows


CSV_TOKENS = (b"a", b" ", b",", b'"', b'""', b'"""', b"\n", b"\r\n", b'","', b'",\n"', b'"\n"', b';"', b'5" pipe')


@SETTINGS
@given(text=texts(*CSV_TOKENS), cuts=CUTS, chunk=SIZES, window=SIZES, separator=st.sampled_from([",", ";"]))
def test_csv_at_any_cuts(text, cuts, chunk, window, separator):
    blocks = []
    try:
        for start, end in bounds_of(text, cuts):
            blocks += read(f"csv:{separator}", text, start, end, chunk, window_bytes=window)
    except InputCorrupt:
        assert never_closed(text, separator)
    else:
        assert not never_closed(text, separator)
        assert parsed(records_of(blocks), separator) == csv_rows(text, separator)


@SETTINGS
@given(text=texts(*CSV_TOKENS), filler=st.integers(0, 130), times=st.integers(1, 12), cut=st.integers(1, 4000))
def test_csv_in_large_blocks(text, filler, times, cut):
    """Blocks of many words of bits, and quotes at every place of a word."""
    text = closed((text + b"x" * filler) * times)
    limits = InputLimits(block_bytes=1 << 16, max_record_bytes=1 << 20)
    cut = min(cut, len(text))
    blocks = read("csv", text, 0, cut, 1 << 16, limits)
    if cut < len(text):
        blocks += read("csv", text, cut, len(text), 1 << 16, limits)
    assert parsed(records_of(blocks)) == csv_rows(text)


@pytest.mark.parametrize(
    "text",
    [
        b'a,"b\nc",d\r\n"e ""\n"" f",g\n\n"","h\n,"\n',
        b'"","",""\n"","",""\n',
        b'",",","\n"\n","\n"\n' * 3,
        b'a,5" pipe,"x\ny"\n6" pipe,b\n',
        b'""""\n"""\n"""\n',
        b"plain,rows\nwithout,quotes\n" * 4,
    ],
)
def test_csv_at_every_cut(text):
    for cut in range(1, len(text)):
        blocks = read("csv", text, 0, cut) + read("csv", text, cut, len(text))
        assert parsed(records_of(blocks)) == csv_rows(text), cut
    single = [block for at in range(len(text)) for block in read("csv", text, at, at + 1)]
    assert parsed(records_of(single)) == csv_rows(text)


@SETTINGS
@given(text=texts(*CSV_TOKENS, b"abc", b"\n", b"\n"), cut=st.integers(1, 80), window=st.integers(1, 40))
def test_csv_without_quotes_nearby_looks_back_no_further_than_a_row_may_go(text, cut, window):
    text = closed(text)
    longest = max(map(len, records_of(read("csv", text, 0, None, 1000))), default=0)
    scanner = CsvScanner(b",", max_row_bytes=max(longest, 4))
    cut = min(cut, len(text))
    limits = InputLimits(8, 1000)
    records = fed(ScannedCutter(Extent(URL, 0, cut), limits, scanner, Beginning(0, at_record=True)), text, 3)
    if cut < len(text):
        beginning = beginning_of(scanner, text, cut, window)
        records += fed(ScannedCutter(Extent(URL, cut, len(text)), limits, scanner, beginning), text, 3)
    assert parsed(records_of(records)) == csv_rows(text)


def test_csv_settles_on_the_row_limit_alone():
    scanner = CsvScanner(b",", max_row_bytes=10)
    assert scanner.settle(b"a,b\nc,d\nefgh", whole=False) == Beginning(11, at_record=False)
    assert scanner.settle(b"a,b\nc,d\ne", whole=False) is None
    assert scanner.settle(b'"\na,b\nc,d\nefg', whole=False) == Beginning(12, at_record=False)
    assert scanner.settle(b'a,"b\nc,d\nefg', whole=False) is None


@pytest.mark.parametrize("end", [b"", b"\n", b"\nand so\non", b'""', b'\n""""\n'])
def test_a_quote_that_is_never_closed_is_told_with_its_row(end):
    text = b'a,b\n"c","d\n"\n1,"two' + end
    told = "file:///input: a quote of the row at byte 13 is never closed"
    for cut in range(1, len(text)):
        with pytest.raises(InputCorrupt, match=told):
            assert read("csv", text, 0, cut) + read("csv", text, cut, len(text))
    single = []
    for at in range(len(text)):
        if at == 13:
            with pytest.raises(InputCorrupt, match=told):
                read("csv", text, at, at + 1)
        else:
            single += read("csv", text, at, at + 1)
    assert records_of(single) == [b"a,b", b'"c","d\n"']
    with pytest.raises(InputCorrupt, match="the row at byte 4 "):
        read("csv", b'\xef\xbb\xbf\n"x' + end, 0, None)


@pytest.mark.parametrize("last", [b'1,"two"', b'1,"t""o"', b'""', b'5" pipe', b'"1"x"', b'1,"two"\r', b" "])
def test_a_last_row_without_a_line_end_is_whole_if_its_quotes_are_closed(last):
    assert records_of(read("csv", b"a,b\n" + last, 0, None)) == [b"a,b", last]


def test_a_csv_row_over_the_limit_is_named():
    text = b'a,b\n"' + b"x\n" * 100 + b'"\n'
    cutter = ScannedCutter(Extent(URL, 0, len(text)), LIMITS, CsvScanner(b",", 100), Beginning(0, at_record=True))
    with pytest.raises(RecordTooLarge, match=r"byte 4 .* 100 bytes.*quote that is never closed"):
        fed(cutter, text, 7)


def test_a_byte_order_mark_belongs_to_no_row():
    text = b'\xef\xbb\xbf"a\nb",c\nd,e\n'
    for cut in range(1, len(text)):
        records = records_of(read("csv", text, 0, cut) + read("csv", text, cut, len(text)))
        assert records == [b'"a\nb",c', b"d,e"], cut


JSON_TOKENS = (b'{"a":1}', b"[]", b"12", b"-0.5", b'"x"', b"null", b"true", b"\n", b"\r\n", b" ", b"\n\n")


@SETTINGS
@given(text=texts(*JSON_TOKENS), cuts=CUTS, chunk=SIZES)
def test_json_lines_at_any_cuts(text, cuts, chunk):
    lines = [line.removesuffix(b"\r") for line in text.split(b"\n")]
    expected = [line for line in lines if line.strip()]
    blocks = []
    try:
        for start, end in bounds_of(text, cuts):
            blocks += read("jsonl", text, start, end, chunk)
    except InputCorrupt:
        assert not all(map(looks_like_json, expected))
    else:
        assert all(map(looks_like_json, expected))
        assert records_of(blocks) == expected


def looks_like_json(line):
    line = line.strip()
    pairs = {"{": "}", "[": "]", '"': '"', "t": "e", "f": "e", "n": "l"} | dict.fromkeys("-0123456789", "0123456789")
    first, last = chr(line[0]), chr(line[-1])
    return last in pairs.get(first, "") and (first != '"' or len(line) > 1)


def test_one_document_over_many_lines_is_no_json_lines():
    text = b'{\n  "a": 1\n}\n'
    with pytest.raises(InputCorrupt, match=r"byte 0 is no JSON value.*one line"):
        read("jsonl", text, 0, len(text))


def test_a_byte_order_mark_belongs_to_no_json_value():
    assert records_of(read("jsonl", b'\xef\xbb\xbf{"a": 1}', 0, None)) == [b'{"a": 1}']
    assert records_of(read("jsonl", b"\xef\xbb\xbf", 0, None)) == []
