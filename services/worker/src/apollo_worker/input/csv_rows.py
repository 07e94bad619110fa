r"""Rows of CSV (RFC 4180), as Python's csv module finds them: line ends inside of quotes belong to the row.

A quote opens a field only at the field's start; inside, two stand for one. So of a run of quotes only this counts: an
even number changes nothing, an odd one closes what is open, and opens where nothing is and a field starts. Hence
whatever came before, behind an odd run that does not follow a separator or a line end nothing is open: from there rows
are found without knowing what precedes. Such a run ends nearly every quoted field.
Source: Modules/_csv.c of CPython; the idea of states that converge: Ge et al., Speculative Distributed CSV Data Parsing
for Big Data Analytics, SIGMOD 2019.
"""

import numpy as np
from numpy.typing import NDArray

from apollo_common.errors import InputCorrupt
from apollo_worker.core.columns import Bytes, RecordBlock
from apollo_worker.input.scanner import BOM, Beginning, Boundaries, Cut, Positions, as_bytes

MAX_ROW_BYTES = 8 << 20
"""No quote in so many bytes: then none is open, since the row would be too large. A cut need look back no further."""

_MORE_THAN_A_RUN_BYTES = 64 << 10
_WORD_BITS = 64
_LAST_BIT = np.uint64(_WORD_BITS - 1)
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'

Words = NDArray[np.uint64]


class CsvScanner:
    """See Scanner and LookBack."""

    drops_bom = True
    parting_bytes = 2
    owned_shift = 0

    def __init__(self, separator: bytes, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self.max_record_bytes: int | None = max_row_bytes
        self._max_row_bytes = max_row_bytes
        self.window_bytes = max_row_bytes + _MORE_THAN_A_RUN_BYTES
        self._separator = separator[0]

    def scan(self, data: bytes, *, at_record: bool, final: bool) -> Boundaries:  # noqa: ARG002  # a Scanner's
        content = as_bytes(data)
        newlines = self._newlines_outside_quotes(content, at_record=at_record)
        ends = newlines
        if b"\r" in data:
            ends = newlines - (content[np.maximum(newlines - 1, 0)] == _RETURN)
        return Boundaries(ends, newlines + 1)

    def block(self, cut: Cut) -> RecordBlock:
        if cut.unended and not self._closes(cut.data[int(cut.starts[-1]) : int(cut.ends[-1])]):
            raise InputCorrupt(
                f"{cut.url}: a quote of the row at byte {int(cut.offsets[-1])} is never closed: the rest would be one "
                "field. Close it; a quote that belongs to a quoted field is written twice"
            )
        return cut.sized(cut.gathered())

    def settle(self, window: bytes, *, whole: bool) -> Beginning | None:
        if whole and window.startswith(BOM):
            window = b"\n" * len(BOM) + window[len(BOM) :]  # a field may start behind it
        firsts, sizes = _runs(as_bytes(window))
        inside = (firsts > 0) & (firsts + sizes < len(window))  # of others, not all may be seen
        odd = inside & (sizes % 2 == 1)
        closing = np.flatnonzero(odd & ~self._starts_field(as_bytes(window), firsts))
        if len(closing):
            last = closing[-1]
            return Beginning(int(firsts[last] + sizes[last]), at_record=False)
        if whole:
            return Beginning(0, at_record=True)
        quiet_from = int(sizes[0]) if len(sizes) and firsts[0] == 0 else 0
        if len(window) - quiet_from > self._max_row_bytes and not odd.any() and not window.endswith(b'"'):
            return Beginning(len(window) - 1, at_record=False)
        return None

    def _closes(self, row: bytes) -> bool:
        """Whether a line end behind the row would end it."""
        return len(self._newlines_outside_quotes(as_bytes(row + b"\n"), at_record=True)) > 0

    def _newlines_outside_quotes(self, content: Bytes, *, at_record: bool) -> Positions:
        """As if every second quote closed, where that is so; a bit for each byte."""
        newlines, quotes = content == _NEWLINE, content == _QUOTE
        if not quotes.any():
            return np.flatnonzero(newlines)
        quote_bits, newline_bits = _packed(quotes), _packed(newlines)
        inside = _parities(quote_bits)
        opening = quote_bits & inside
        may_precede = quote_bits | newline_bits | _packed(content == self._separator)  # a quote: two stand for one
        if (opening & ~_following(may_precede, at_start=at_record)).any():
            places = np.flatnonzero(newlines)
            return places[~self._inside_irregular_quotes(content, places, at_record=at_record)]
        outside = np.unpackbits((newline_bits & ~inside).view(np.uint8), count=len(content), bitorder="little")
        return np.flatnonzero(outside.view(np.bool_))

    def _inside_irregular_quotes(self, content: Bytes, places: Positions, *, at_record: bool) -> NDArray[np.bool_]:
        """Of each place whether a quote before it is open, where fields hold quotes without being quoted."""
        firsts, sizes = _runs(content)
        firsts = firsts[sizes % 2 == 1]
        opens = self._starts_field(content, firsts)
        if len(firsts) and firsts[0] == 0:
            opens[0] = at_record
        # Behind each run: an odd number of those that open (or close, if one is open) since the last that only closes.
        toggles = np.cumsum(opens)
        at_last_reset = np.maximum.accumulate(np.where(opens, 0, toggles))
        open_behind = np.concatenate(([False], (toggles - at_last_reset) % 2 == 1))
        inside: NDArray[np.bool_] = open_behind[np.searchsorted(firsts, places)]
        return inside

    def _starts_field(self, content: Bytes, places: Positions) -> NDArray[np.bool_]:
        before = content[np.maximum(places - 1, 0)]
        starts: NDArray[np.bool_] = (before == self._separator) | (before == _NEWLINE)
        return starts


def _runs(content: Bytes) -> tuple[Positions, Positions]:
    """Where runs of quotes begin, and how many quotes each has."""
    quotes = np.flatnonzero(content == _QUOTE)
    begins = np.flatnonzero(np.diff(quotes, prepend=-2) != 1)
    return quotes[begins], np.diff(begins, append=len(quotes))


def _packed(flags: NDArray[np.bool_]) -> Words:
    """A bit for each flag, the first one lowest; at the end zeros."""
    words = np.zeros(-(-len(flags) // _WORD_BITS), np.uint64)
    packed = np.packbits(flags, bitorder="little")
    words.view(np.uint8)[: len(packed)] = packed
    return words


def _parities(bits: Words) -> Words:
    """Of each bit whether an odd number is set up to it, it included (as in simdjson: a prefix sum without carries)."""
    parities = bits.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        parities ^= parities << np.uint64(shift)
    odd_before = np.bitwise_xor.accumulate(parities >> _LAST_BIT)[:-1]
    parities[1:] ^= -odd_before  # all bits of a word, if the number before it is odd
    return parities


def _following(bits: Words, *, at_start: bool) -> Words:
    """The bits, each one place further; `at_start` is the first."""
    following = bits << np.uint64(1)
    following[1:] |= bits[:-1] >> _LAST_BIT
    following[0] |= np.uint64(at_start)
    return following
