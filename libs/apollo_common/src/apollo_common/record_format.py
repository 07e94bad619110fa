r"""What a record of an input is, as a job names it: `lines`, `lines:\0`, `csv:;`, `jsonl`, `fixed:16`, `whole`."""

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_DELIMITER_BYTES = 255
MAX_FIXED_BYTES = 256 << 20  # the largest record that any job may have

FORMS = (
    "lines, lines:DELIMITER, csv, csv:SEPARATOR, jsonl, fixed:BYTES, whole, hadoop-text, hadoop-offset, hadoop-keyvalue"
)
"""For messages."""

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.)|$)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
_NO_SEPARATORS = (b'"', b"\n", b"\r")


class RecordKind(StrEnum):
    LINES = "lines"
    CSV = "csv"
    JSON_LINES = "jsonl"
    FIXED = "fixed"
    WHOLE = "whole"
    HADOOP_TEXT = "hadoop-text"
    HADOOP_OFFSET = "hadoop-offset"
    HADOOP_KEY_VALUE = "hadoop-keyvalue"

    @property
    def of_hadoop(self) -> bool:
        return self in (RecordKind.HADOOP_TEXT, RecordKind.HADOOP_OFFSET, RecordKind.HADOOP_KEY_VALUE)


@dataclass(frozen=True, slots=True)
class RecordFormat:
    r"""How the bytes of an object are cut into records, each of which lies in one split whatever the splits are.

    - `lines`: up to `\n` or `\r\n`, which the program does not see. With a `delimiter`: up to that, whatever it is.
    - `csv`: rows as Python's csv module and RFC 4180 see them: up to `\n` or `\r\n` outside of quotes; a quote opens
      at the start of a field only. `separator` is one byte.
    - `jsonl`: lines that each hold a JSON value; blank lines are none.
    - `fixed`: `record_bytes` each. `whole`: an object is a record.
    - `hadoop-text`: lines as Hadoop's TextInputFormat cuts them, also between splits; a lone `\r` ends one, too.
      `hadoop-offset`: with their byte offsets and a tab before them. `hadoop-keyvalue`: with a tab after those that
      hold none. Each takes a `delimiter`.
    """

    kind: RecordKind
    delimiter: bytes = b""
    separator: bytes = b","
    record_bytes: int = 0

    @property
    def splittable(self) -> bool:
        """Whether several map tasks may read one object."""
        return self.kind is not RecordKind.WHOLE

    @property
    def has_lines(self) -> bool:
        """Whether records are lines of text, as they lie in the object."""
        return self.kind in (RecordKind.LINES, RecordKind.JSON_LINES, RecordKind.HADOOP_TEXT) and not self.delimiter


class WrongRecordFormat(ValueError):
    """`message` says what is wrong, `fix` what to write instead."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(f"{message}. {fix}")
        self.message = message
        self.fix = fix


LINES = RecordFormat(RecordKind.LINES)


def parse_record_format(text: str) -> RecordFormat:
    """`KIND` or `KIND:ARGUMENT`. WrongRecordFormat."""
    name, colon, argument = text.partition(":")
    try:
        kind = RecordKind(name)
    except ValueError:
        raise WrongRecordFormat("There is no such input format", f"Use one of {FORMS}.") from None
    if kind is RecordKind.FIXED:
        return RecordFormat(kind, record_bytes=_record_bytes(argument))
    if not colon:
        return RecordFormat(kind)
    if kind is RecordKind.LINES or kind.of_hadoop:
        return RecordFormat(kind, delimiter=_delimiter(argument))
    if kind is RecordKind.CSV:
        return RecordFormat(kind, separator=_separator(argument))
    raise WrongRecordFormat(f"{name} takes no argument", f"Write {name}.")


def _record_bytes(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 12 and 0 < int(text) <= MAX_FIXED_BYTES:
        return int(text)
    fix = f"Write fixed:N with the bytes of each record, from 1 to {MAX_FIXED_BYTES}, such as fixed:16."
    raise WrongRecordFormat("This is no length of a record", fix)


def _delimiter(text: str) -> bytes:
    delimiter = _unescaped(text)
    if 0 < len(delimiter) <= MAX_DELIMITER_BYTES:
        return delimiter
    fix = rf"Write 1 to {MAX_DELIMITER_BYTES} bytes after the colon, such as lines:\0, or lines alone for line ends."
    raise WrongRecordFormat("This is no delimiter of records", fix)


def _separator(text: str) -> bytes:
    separator = _unescaped(text)
    if len(separator) == 1 and separator not in _NO_SEPARATORS:
        return separator
    fix = r"Write one byte that is no quote and no line end after the colon, such as csv:; or csv:\t."
    raise WrongRecordFormat("This is no separator of fields", fix)


def _unescaped(text: str) -> bytes:
    r"""UTF-8, with `\n`, `\r`, `\t`, `\0`, `\\` and `\xHH` for what is hard to write."""

    def byte(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes.fromhex(match[1].decode())
        if match[2] in _ESCAPED:
            return _ESCAPED[match[2]]
        fix = r"Use \n, \r, \t, \0, \xHH, and \\ for a backslash."
        raise WrongRecordFormat("A backslash stands before something else than it can", fix)

    return _ESCAPE.sub(byte, text.encode())
