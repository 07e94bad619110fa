#!/usr/bin/env python3
"""Counts words: what stands between white space (ASCII). Sums in memory before it emits."""

from apollo_sdk import run, sum_in_memory


@sum_in_memory
def count_words(block, totals):
    totals.count(block.data.split())


def add_up(key, values, emit):
    emit(key, sum(map(int, values)))


run(map_block=count_words, reduce=add_up)
