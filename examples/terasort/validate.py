#!/usr/bin/env python3
"""Tells whether the parts of a sorted output are in order, one after the other, and sums up what is in them.

A mapper tells of every block of lines its first and last key, how many keys are below the one before, how many lines
there are and the sum of their checksums. All have the same key, so they reach the reducer in the input's order. The
same count and checksum as of the unsorted input mean that nothing was lost, added or changed.
"""

from operator import gt
from zlib import crc32

from apollo_sdk import run


def summarise(block, emit):
    lines = block.records()
    keys = [line.split(b"\t", 1)[0] for line in lines]
    misplaced = sum(map(gt, keys, keys[1:]))
    fields = (keys[0].hex(), keys[-1].hex(), misplaced, len(lines), sum(map(crc32, lines)))
    emit("blocks", " ".join(map(str, fields)))


def add_up(_, blocks, emit):
    before, misplaced, lines, checksum = "", 0, 0, 0
    for block in blocks:
        first, last, *numbers = block.decode().split(" ")
        misplaced += int(numbers[0]) + (first < before)
        lines += int(numbers[1])
        checksum += int(numbers[2])
        before = last
    emit("checksum", checksum)
    emit("lines", lines)
    emit("misplaced", misplaced)


run(map_block=summarise, reduce=add_up)
