#!/usr/bin/env python3
"""Tells for every word (letters, in lower case) the names of the files that it is in."""

import re

from apollo_sdk import context, run

WORD = re.compile(rb"[a-z]+")


def place_words(record, emit):
    name = context.input.rpartition("/")[2]
    for word in set(WORD.findall(record.lower())):
        emit(word, name)


def unique(key, names, emit):
    for name in set(names):
        emit(key, name)


def list_names(key, names, emit):
    emit(key, b",".join(sorted(set(names))))


run(map=place_words, combine=unique, reduce=list_names)
