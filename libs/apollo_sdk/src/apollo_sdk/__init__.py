"""Write Apollo mappers and reducers in Python. Imports the standard library only.

A whole program:

    #!/usr/bin/env python3
    from apollo_sdk import run

    def split(record, emit):
        for word in record.split():
            emit(word, 1)

    def add_up(key, values, emit):
        emit(key, sum(map(int, values)))

    run(map=split, reduce=add_up)

The same file serves as mapper, combiner and reducer: `run` calls the function that the attempt is for.
"""

from apollo_sdk.block import Block
from apollo_sdk.current import Context, context, counter, status, write
from apollo_sdk.emitter import Emit, as_bytes
from apollo_sdk.program import run
from apollo_sdk.totals import Totals, sum_in_memory

__all__ = [
    "Block",
    "Context",
    "Emit",
    "Totals",
    "as_bytes",
    "context",
    "counter",
    "run",
    "status",
    "sum_in_memory",
    "write",
]
__version__ = "0.1.0"
