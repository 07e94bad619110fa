#!/usr/bin/env python3
"""Counts words: the mapper, the combiner and the reducer of `apollo demo`."""

from collections.abc import Iterator

from apollo_sdk import Emit, run


def emit_words(line: bytes, emit: Emit) -> None:
    for word in line.split():
        emit(word, 1)


def add_up(word: bytes, counts: Iterator[bytes], emit: Emit) -> None:
    emit(word, sum(map(int, counts)))


run(map=emit_words, reduce=add_up)
