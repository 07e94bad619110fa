"""Lines of Hadoop's jobs: what Hadoop 3.4.2's LineRecordReader gives for texts that are cut at every place.

hadoop_lines/Lines.java has printed hadoop_lines/expected.txt.
"""

from pathlib import Path

import pytest

from apollo_common.record_format import parse_record_format
from apollo_worker.input.cutter import Extent, InputLimits
from apollo_worker.input.formats import make_cutter

EXPECTED = Path(__file__).with_name("hadoop_lines") / "expected.txt"


def cases():
    """(delimiter, text, cut, records of the first split, records of the second); records are (offset, line)."""
    delimiter, text = "", b""
    for line in EXPECTED.read_text().splitlines():
        if "|" not in line:
            delimiter, text = line.split()
            text = bytes.fromhex(text)
            continue
        first, second = line.split("|")
        cut, *of_first = first.split()
        yield delimiter, text, int(cut), [told(word) for word in of_first], [told(word) for word in second.split()]


def told(word):
    offset, _, line = word.partition("=")
    return int(offset), bytes.fromhex(line)


def read(kind, delimiter, text, start, end, chunk_bytes):
    argument = "" if delimiter == "-" else ":" + "".join(f"\\x{byte:02x}" for byte in bytes.fromhex(delimiter))
    extent = Extent("file:///text", start, end)
    cutter = make_cutter(parse_record_format(kind + argument), extent, InputLimits(4, 100))
    blocks, position = [], cutter.first_byte
    while position < len(text) and not cutter.done:
        blocks += cutter.feed(text[position : position + chunk_bytes])
        position += chunk_bytes
    if not cutter.done:
        blocks += cutter.finish()
    return [record for block in blocks for record in records_of(block)]


def records_of(block):
    content = bytes(block.data)
    if block.lengths is None:
        return content.split(b"\n")[:-1]
    records, at = [], 0
    for size in block.lengths.tolist():
        records.append(content[at : at + size])
        at += size
    return records


def extents():
    """(delimiter, text, start, end, records) of every split."""
    for delimiter, text, cut, first, second in cases():
        if cut:
            yield delimiter, text, 0, cut, first
        yield delimiter, text, cut, len(text), second


@pytest.mark.parametrize("chunk_bytes", [1, 3, 100])
def test_splits_hold_the_lines_that_hadoop_gives_them(chunk_bytes):
    compared = 0
    for delimiter, text, start, end, expected in extents():
        found = read("hadoop-text", delimiter, text, start, end, chunk_bytes)
        assert found == [line for _, line in expected], (delimiter, text, start, end)
        compared += len(expected)
    assert compared > 600


def test_lines_come_with_the_keys_that_hadoop_gives_them():
    for delimiter, text, start, end, expected in extents():
        with_offsets = [b"%d\t%s" % record for record in expected]
        assert read("hadoop-offset", delimiter, text, start, end, 5) == with_offsets
        keyed = [line if b"\t" in line else line + b"\t" for _, line in expected]
        assert read("hadoop-keyvalue", delimiter, text, start, end, 5) == keyed
