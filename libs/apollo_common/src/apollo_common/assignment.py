"""The packed blobs inside a TaskAssignment and a TaskEvent: splits, map outputs and part uploads.

They travel as JSON in one `bytes` field each, because repeated protobuf submessages decode far slower.
"""

import json
import sys
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

Counters = dict[str, dict[str, int]]
"""group -> name -> count"""


@dataclass(frozen=True, slots=True)
class SplitPiece:
    """A byte range of one input object.

    `offset` and `length_bytes` count raw (compressed) bytes; a compressed object is read whole. `version` is the
    store's ETag (S3) or size and modification time (file), checked on read. A text piece owns the lines that
    *start* inside it: a piece with offset > 0 skips to the first line start after offset - 1.
    """

    url: str
    offset: int
    length_bytes: int
    object_size_bytes: int
    version: str
    codec: str = ""  # "", "gzip", "bzip2", "zstd"


@dataclass(frozen=True, slots=True)
class Split:
    """What one map task reads, in order."""

    pieces: tuple[SplitPiece, ...]
    format: str = "lines"  # see record_format.py
    job_input: int = 0  # which of the job's inputs it is of

    @property
    def size_bytes(self) -> int:
        return sum(piece.length_bytes for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class MapOutputRef:
    """An accepted map output; `path` is the attempt's directory below the intermediate volume."""

    task: str
    attempt: str
    path: str


@dataclass(frozen=True, slots=True)
class PartUpload:
    """One uploaded piece of a multipart upload; numbers count from 1."""

    number: int
    etag: str
    size_bytes: int


DATA_FILE: Final = "data.arrow"
INDEX_FILE: Final = "index"
"""The files of a map output, in its directory or below its prefix."""


def encode_split(split: Split) -> bytes:
    pieces = [  # by hand: `asdict` copies deeply, and a coordinator does this for every attempt
        {
            "url": piece.url,
            "offset": piece.offset,
            "length_bytes": piece.length_bytes,
            "object_size_bytes": piece.object_size_bytes,
            "version": piece.version,
            "codec": piece.codec,
        }
        for piece in split.pieces
    ]
    return _pack({"format": split.format, "pieces": pieces, "input": split.job_input})


def decode_split(blob: bytes) -> Split:
    document = json.loads(blob)
    pieces = tuple(SplitPiece(**piece) for piece in document["pieces"])
    return Split(pieces, document["format"], document.get("input", 0))


def encode_map_outputs(outputs: Iterable[MapOutputRef]) -> bytes:
    """Compressed, to about a tenth: every reduce attempt gets the list of all maps, and the ids in it are alike."""
    rows = [{"task": output.task, "attempt": output.attempt, "path": output.path} for output in outputs]
    return zlib.compress(_pack(rows), 1)


def decode_map_outputs(blob: bytes) -> list[MapOutputRef]:
    return [MapOutputRef(**output) for output in json.loads(zlib.decompress(blob))]


def encode_part_uploads(parts: Iterable[PartUpload]) -> bytes:
    return _pack([asdict(part) for part in parts])


def decode_part_uploads(blob: bytes) -> list[PartUpload]:
    return [PartUpload(**part) for part in json.loads(blob)]


def encode_counters(counters: Counters) -> bytes:
    return _pack(counters)


def decode_counters(blob: bytes) -> Counters:
    """Their names are the same objects each time: a coordinator keeps the counters of every task."""
    counters: Counters = json.loads(blob, object_hook=_with_interned_names) if blob else {}
    return counters


def _with_interned_names(document: dict[str, Any]) -> dict[str, Any]:
    return {sys.intern(name): value for name, value in document.items()}


def _pack(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
