#!/usr/bin/env python3
"""Counts words, without haste: a fault should meet it at work."""

import itertools
import time

from apollo_sdk import run

LINES_BETWEEN_RESTS = 150
REST_SECONDS = 0.1

seen = itertools.count(1)


def words(line, emit):
    for word in line.split()[1:]:
        emit(word, 1)
    if next(seen) % LINES_BETWEEN_RESTS == 0:
        time.sleep(REST_SECONDS)


def total(word, counts, emit):
    emit(word, sum(map(int, counts)))


run(map=words, combine=total, reduce=total)
