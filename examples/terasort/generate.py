#!/usr/bin/env python3
"""Writes rows to sort: a random key of 10 printable characters, a tab, the row's number and filling, 100 bytes in all.

Each input line is FIRST COUNT, the rows to write; the same line gives the same rows wherever it is run. The job is
map-only and writes its lines as they are (--output-format raw).
"""

from random import Random

from apollo_sdk import run, write

ROWS_AT_ONCE = 10_000
PRINTABLE = bytes(ord(" ") + byte % 95 for byte in range(256))


def rows(record, _emit):
    first, count = map(int, record.split())
    random = Random(first)  # noqa: S311 - the same rows each time
    for start in range(first, first + count, ROWS_AT_ONCE):
        numbers = range(start, min(start + ROWS_AT_ONCE, first + count))
        keys = random.randbytes(10 * len(numbers)).translate(PRINTABLE)
        write(
            b"".join(
                b"%s\t%032d%s\n" % (keys[at : at + 10], number, b"ABCDEFGH" * 7)
                for at, number in zip(range(0, len(keys), 10), numbers, strict=True)
            )
        )


run(map=rows)
