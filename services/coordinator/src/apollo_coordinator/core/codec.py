"""Durable facts as JSON, for the journal.

A kind names the class in dashes; the body holds its fields. Reading is tolerant: unknown fields are dropped and
missing ones take their default, so that a newer core reads an older journal.
"""

import base64
import json
import re
import sys
import types
import typing
import zlib
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache, partial
from typing import Any, NamedTuple

from apollo_common.assignment import Split, SplitPiece
from apollo_common.errors import PermanentError
from apollo_common.ids import AttemptId, JobId
from apollo_coordinator.core import facts
from apollo_coordinator.core.adoption import AdoptedOutput, Adoption, BadRecordRange, Origin
from apollo_coordinator.core.summary import JobSummary

FACT_VERSION = 2
"""Rises when a body changes in a way that older code would misread. 2: plans that adopt map outputs."""


class UnreadableFact(PermanentError):
    """The journal holds what this version does not understand."""

    reason = "journal_unreadable"


def kind_of(fact: type[facts.DurableFact]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", fact.__name__).lower()


KINDS: dict[str, type[facts.DurableFact]] = {kind_of(fact): fact for fact in typing.get_args(facts.DurableFact)}
_NAMES = {fact: kind for kind, fact in KINDS.items()}


def encode(fact: facts.DurableFact) -> tuple[str, str]:
    """Kind and JSON body; `at_ms` and the job stand beside them in the journal."""
    document: dict[str, Any] = {"v": 1}
    for entry in fields(fact):
        value = getattr(fact, entry.name)
        if entry.name == "splits":
            document["tasks"] = len(value)
            document["splits"] = _pack_splits(value)
        elif entry.name == "adoption":
            if value is not None:  # an older Apollo reads every other plan
                document |= {"v": 2, "adopted": value.adopted, "adoption": _pack_adoption(value)}
        elif entry.name not in ("at_ms", "job"):
            document[entry.name] = _to_json(value)
    return _NAMES[type(fact)], json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def decode(kind: str, body: str, *, job: str, at_ms: int) -> facts.DurableFact:
    """UnreadableFact for a kind or version of a later Apollo."""
    fact = KINDS.get(kind)
    document = json.loads(body)
    if fact is None or document.get("v", 1) > FACT_VERSION:
        raise UnreadableFact(f"the journal was written by a later version of Apollo ({kind}); start that version again")
    if fact is facts.MapsPlanned:
        sampled = tuple(document.get("sampled", ()))
        adoption = _unpack_adoption(document["adoption"]) if "adoption" in document else None
        return facts.MapsPlanned(at_ms, JobId(job), _unpack_splits(document["splits"]), sampled, adoption)
    document["at_ms"] = at_ms
    document["job"] = job
    value: facts.DurableFact = _build(fact, document)
    return value


def encode_summary(summary: JobSummary) -> str:
    return json.dumps({"v": 1} | _to_json(summary), separators=(",", ":"), ensure_ascii=False)


def decode_summary(body: str) -> JobSummary:
    """UnreadableFact for one of a later Apollo."""
    document = json.loads(body)
    if document.get("v", 1) > FACT_VERSION:
        raise UnreadableFact(
            "the journal was written by a later version of Apollo (summaries); start that version again"
        )
    summary: JobSummary = _build(JobSummary, document)
    return summary


def _to_json(value: Any) -> Any:
    if is_dataclass(value):
        return {entry.name: _to_json(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    return value


_Reader = Callable[[Any], Any]


class _Entry(NamedTuple):
    """A field of a dataclass; `read` makes its value out of JSON, None where it is one already."""

    name: str
    read: _Reader | None
    required: bool


def _build(expected: Any, document: dict[str, Any]) -> Any:
    values = {}
    for name, read, required in _shape(expected):
        if name in document:
            value = document[name]
            values[name] = value if read is None or value is None else read(value)
        elif required:
            raise UnreadableFact(f"the journal holds a {expected.__name__} without {name}; restore it from a backup")
    return expected(**values)


@cache  # a recovery builds hundreds of thousands: types are looked at once
def _shape(expected: Any) -> tuple[_Entry, ...]:
    hints = typing.get_type_hints(expected)
    return tuple(
        _Entry(
            entry.name,
            _reader(hints[entry.name]),
            entry.default is MISSING and entry.default_factory is MISSING,
        )
        for entry in fields(expected)
    )


def _reader(expected: Any) -> _Reader | None:
    origin = typing.get_origin(expected)
    if origin in (types.UnionType, typing.Union):
        return _reader(_not_none(expected))
    if origin is tuple:
        read = _reader(typing.get_args(expected)[0])
        return tuple if read is None else lambda values: tuple(map(read, values))
    if is_dataclass(expected):
        return partial(_build, expected)
    if isinstance(expected, type) and issubclass(expected, StrEnum):
        return expected
    return None


def _not_none(union: Any) -> Any:
    return next(choice for choice in typing.get_args(union) if choice is not type(None))


def _pack_splits(splits: tuple[Split, ...]) -> str:
    """One compressed blob: a list of 100,000 splits would be the longest thing in the journal by far."""
    rows = [
        [
            split.format,
            [[p.url, p.offset, p.length_bytes, p.object_size_bytes, p.version, p.codec] for p in split.pieces],
            *([split.job_input] if split.job_input else []),  # an older Apollo reads what it knows
        ]
        for split in splits
    ]
    return _pack(rows)


def _unpack_splits(blob: str) -> tuple[Split, ...]:
    rows = _unpack(blob)
    return tuple(
        Split(
            tuple(
                SplitPiece(sys.intern(url), offset, length, size, sys.intern(version), codec)
                for url, offset, length, size, version, codec in pieces
            ),
            format_,
            *job_input,
        )
        for format_, pieces, *job_input in rows
    )


def _pack_adoption(adoption: Adoption) -> str:
    """One compressed blob, for it tells as much of each task as its split does."""
    rows = [
        ["output", origin.attempt, origin.path, origin.size_bytes, origin.records]
        if isinstance(origin, AdoptedOutput)
        else ["records", origin.attempt, origin.first, origin.count, origin.size_bytes]
        for origin in adoption.origins
    ]
    return _pack({"origins": rows, "counters": adoption.counters, "splitters": adoption.splitters})


def _unpack_adoption(blob: str) -> Adoption:
    document = _unpack(blob)
    return Adoption(tuple(map(_origin, document["origins"])), document["counters"], document["splitters"])


def _origin(row: list[Any]) -> Origin:
    kind, attempt, *rest = row
    return AdoptedOutput(AttemptId(attempt), *rest) if kind == "output" else BadRecordRange(AttemptId(attempt), *rest)


def _pack(document: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)).decode()


def _unpack(blob: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(blob)))
