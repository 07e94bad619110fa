"""What a job may write for the format of its records."""

import re

import pytest

from apollo_common.record_format import (
    MAX_DELIMITER_BYTES,
    RecordFormat,
    RecordKind,
    WrongRecordFormat,
    parse_record_format,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lines", RecordFormat(RecordKind.LINES)),
        ("csv", RecordFormat(RecordKind.CSV, separator=b",")),
        (r"csv:\t", RecordFormat(RecordKind.CSV, separator=b"\t")),
        ("csv:;", RecordFormat(RecordKind.CSV, separator=b";")),
        ("jsonl", RecordFormat(RecordKind.JSON_LINES)),
        ("fixed:16", RecordFormat(RecordKind.FIXED, record_bytes=16)),
        ("whole", RecordFormat(RecordKind.WHOLE)),
        ("lines:::", RecordFormat(RecordKind.LINES, delimiter=b"::")),
        ("lines:\u00e9", RecordFormat(RecordKind.LINES, delimiter=b"\xc3\xa9")),
        (r"lines:\0\n\r\t\\\xFf", RecordFormat(RecordKind.LINES, delimiter=b"\0\n\r\t\\\xff")),
        ("lines:" + "x" * MAX_DELIMITER_BYTES, RecordFormat(RecordKind.LINES, delimiter=b"x" * MAX_DELIMITER_BYTES)),
        ("hadoop-text", RecordFormat(RecordKind.HADOOP_TEXT)),
        ("hadoop-offset:|", RecordFormat(RecordKind.HADOOP_OFFSET, delimiter=b"|")),
    ],
)
def test_formats(text, expected):
    assert parse_record_format(text) == expected


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("", "Use one of lines"),
        ("LINES", "Use one of lines"),
        ("parquet", "Use one of lines"),
        ("whole:", "Write whole"),
        ("jsonl:x", "Write jsonl"),
        ("fixed", "fixed:16"),
        ("fixed:", "fixed:16"),
        ("fixed:0", "fixed:16"),
        ("fixed:-1", "fixed:16"),
        ("fixed:1e3", "fixed:16"),
        ("fixed:268435457", "fixed:16"),
        ("fixed:" + "9" * 5000, "fixed:16"),
        ("lines:", r"lines:\0"),
        ("lines:" + "x" * (MAX_DELIMITER_BYTES + 1), r"lines:\0"),
        ("lines:\\", r"\\ for a backslash"),
        (r"lines:\x4", r"\xHH"),
        (r"lines:\q", r"\xHH"),
        ("csv:", "csv:;"),
        ("csv:ab", "csv:;"),
        ('csv:"', "csv:;"),
        (r"csv:\n", "csv:;"),
        ("csv:\u00e9", "csv:;"),
    ],
)
def test_what_is_no_format_is_refused_with_what_to_write(text, fix):
    with pytest.raises(WrongRecordFormat) as refused:
        parse_record_format(text)
    assert fix in refused.value.fix
    assert len(str(refused.value)) < 200


def test_who_writes_another_format_is_told_of_each():
    with pytest.raises(WrongRecordFormat) as refused:
        parse_record_format("parquet")
    told = re.findall(r"[\w-]+", refused.value.fix)
    assert {kind.value for kind in RecordKind} <= {*told}
