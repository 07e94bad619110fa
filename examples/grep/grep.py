#!/usr/bin/env python3
"""Finds the lines that match the parameter `pattern`: file name and byte offset, then the line. Run it map-only."""

import re
from functools import cache

from apollo_sdk import context, counter, run


@cache
def pattern():
    return re.compile(context.params["pattern"].encode())


def find(record, emit):
    if pattern().search(record):
        name = context.input.rpartition("/")[2]
        emit(f"{name}:{context.offset}", record)
        counter("grep", "matching lines")
        counter("matches by file", name)


run(map=find)
