"""Records that travel with a map attempt's order in place of a split: an earlier job's bad records, mapped again.

A packed blob: the length of a JSON header (u32, little-endian), the header, and the records' bytes back to back.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SPLIT_FORMAT: Final = "records"
"""No record format, in place of a split's: a worker that knows no such records fails, and does not read the split."""

_HEADER_BYTES = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class InlineRecord:
    input: str  # URL of its object
    offset: int  # where it begins in the decoded object, in bytes
    content: bytes  # as the program gets it, of a line without its end
    line: bool  # the program gets it as a line


def encode_records(records: Sequence[InlineRecord]) -> bytes:
    numbers = {url: number for number, url in enumerate(dict.fromkeys(record.input for record in records))}
    rows = [[numbers[record.input], record.offset, len(record.content), record.line] for record in records]
    header = json.dumps({"inputs": list(numbers), "records": rows}, separators=(",", ":")).encode()
    return b"".join([_HEADER_BYTES.pack(len(header)), header, *(record.content for record in records)])


def decode_records(blob: bytes) -> Iterator[InlineRecord]:
    (header_bytes,) = _HEADER_BYTES.unpack_from(blob)
    at = _HEADER_BYTES.size + header_bytes
    header = json.loads(blob[_HEADER_BYTES.size : at])
    for number, offset, size_bytes, line in header["records"]:
        yield InlineRecord(header["inputs"][number], offset, blob[at : at + size_bytes], line)
        at += size_bytes
