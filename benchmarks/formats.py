"""How fast a worker cuts records of each input format, beside plain lines: one processor, from memory."""

import json
import random
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from apollo_common.record_format import parse_record_format
from apollo_worker.input.cutter import Extent, InputLimits
from apollo_worker.input.formats import make_cutter
from benchmarks.report import MIB, Table, save_table

_SEED = 20261123
_CHUNK_BYTES = 1 << 20  # as stores hand them out
_FIELDS = 8


@dataclass(frozen=True, slots=True)
class Case:
    """A format and a text of its kind; `what` tells how the text is special."""

    record_format: str
    what: str
    text: bytes


def run(*, size_bytes: int, runs: int, results_folder: Path) -> None:
    """Print and save a table."""
    cases = make_cases(size_bytes)
    rates: list[list[float]] = [[] for _ in cases]  # MB/s, of each run
    for _ in range(runs):
        for case, measured in zip(cases, rates, strict=True):
            measured.append(_megabytes_per_second(case))
    rows = [
        (
            f"`{case.record_format}`",
            case.what,
            f"{len(case.text) / _records(case):.0f}",
            f"{statistics.median(measured):.0f}",
            f"{statistics.median(one / base for one, base in zip(measured, rates[0], strict=True)):.2f}",
        )
        for case, measured in zip(cases, rates, strict=True)
    ]
    title = f"Records cut from {size_bytes // MIB} MiB"
    note = f"Medians of {runs} runs, in turns; the ratio is to the first row, of the same run."
    table = Table(title, note, ("format", "text", "bytes/record", "MB/s", "ratio"), rows)
    names = [f"{case.record_format}, {case.what}" for case in cases]
    path = save_table(
        results_folder, "formats", table, size_bytes=size_bytes, rates=dict(zip(names, rates, strict=True))
    )
    print(f"{table.markdown()}\n\nSaved as {path} and .json\n")


def make_cases(size_bytes: int) -> list[Case]:
    """The first is what the others are compared with."""
    words = _words()
    plain = _text(size_bytes, lambda: ",".join(islice(words, _FIELDS)))
    some = _text(size_bytes, lambda: _row(words, quoted=2))
    every = _text(size_bytes, lambda: _row(words, quoted=_FIELDS))
    stray = _text(size_bytes, lambda: _row(words, quoted=2, stray=True))
    values = _text(size_bytes, lambda: json.dumps(dict(zip("abcdef", words, strict=False))))
    return [
        Case("lines", "eight fields", plain),
        Case("lines", r"the same with `\r\n`", plain.replace(b"\n", b"\r\n")),
        Case(r"lines:\0", "the same with NUL", plain.replace(b"\n", b"\0")),
        Case("lines:--", "the same with two dashes", plain.replace(b"\n", b"--")),
        Case("csv", "eight fields", plain),
        Case("csv", r"the same with `\r\n`", plain.replace(b"\n", b"\r\n")),
        Case("csv", "two fields quoted, some with line ends", some),
        Case("csv", "all fields quoted", every),
        Case("csv", "two fields quoted, one holds a quote though it is not", stray),
        Case("jsonl", "objects of six fields", values),
        Case("hadoop-text", "eight fields", plain),
        Case("hadoop-offset", "eight fields", plain),
        Case("hadoop-keyvalue", "eight fields", plain),
        Case("fixed:100", "any", plain[: len(plain) // 100 * 100]),
    ]


def _words() -> Iterable[str]:
    rng = random.Random(_SEED)
    some = [f"{rng.getrandbits(rng.randint(8, 40)):x}" for _ in range(1000)]
    while True:
        yield rng.choice(some)


def _row(words: Iterable[str], *, quoted: int, stray: bool = False) -> str:
    fields = list(islice(words, _FIELDS))
    for at in range(quoted):
        between = "\n" if fields[at].startswith("7") else ", "
        fields[at] = f'"{fields[at]}{between}{fields[at]}"' if at % 2 == 0 else f'"{fields[at]}"'
    if stray:
        fields[-1] = f'{fields[-1]}" pipe'
    return ",".join(fields)


def _text(size_bytes: int, record: Callable[[], str]) -> bytes:
    """Repeats a MiB of records, which takes less time to make."""
    block, made = [], 0
    while made < MIB:
        block.append(f"{record()}\n")
        made += len(block[-1])
    return "".join(block).encode() * max(1, size_bytes // MIB)


def _megabytes_per_second(case: Case) -> float:
    """Of processor time; the second time, since memory that is touched first costs more than all else."""
    _records(case)
    started = time.process_time()
    _records(case)
    return len(case.text) / 1e6 / (time.process_time() - started)


def _records(case: Case) -> int:
    cutter = make_cutter(parse_record_format(case.record_format), Extent("", 0, len(case.text)), InputLimits())
    count = 0
    for at in range(0, len(case.text), _CHUNK_BYTES):
        count += sum(block.count for block in cutter.feed(case.text[at : at + _CHUNK_BYTES]))
    return count + (0 if cutter.done else sum(block.count for block in cutter.finish()))
