#!/usr/bin/env python3
"""A mapper that takes two seconds a mebibyte, nearly all of it asleep, so that eight of them fit on two processors.

On the worker that SLOW_WORKER names it takes SLOWER_TIMES as long: its working directory lies below the worker's own.
"""

import os
import time

CHUNK_BYTES = 32 << 10
BYTES_PER_SECOND = 512 << 10

slow = os.environ.get("SLOW_WORKER", "")
times = int(os.environ["SLOWER_TIMES"]) if slow and slow in os.getcwd() else 1  # noqa: PTH109 - starts sooner
total_bytes = 0
while chunk := os.read(0, CHUNK_BYTES):
    total_bytes += len(chunk)
    time.sleep(times * len(chunk) / BYTES_PER_SECOND)
print(f"bytes\t{total_bytes}")
