#!/usr/bin/env python3
"""For each word the lines that hold it, as they come: shows whether values arrive in the promised order."""

import itertools
import time

from apollo_sdk import run

CALLS_BETWEEN_RESTS = 150
REST_SECONDS = 0.1

seen = itertools.count(1)


def rest():
    if next(seen) % CALLS_BETWEEN_RESTS == 0:
        time.sleep(REST_SECONDS)


def words(line, emit):
    label, *found = line.split()
    for word in found:
        emit(word, label)
    rest()


def lines(word, labels, emit):
    emit(word, b",".join(labels))
    rest()


run(map=words, reduce=lines)
