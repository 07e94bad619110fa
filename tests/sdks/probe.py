#!/usr/bin/env python3
"""Prints what it understands of the worker's frames, and sends one frame of each kind."""

from apollo_sdk import context, counter, run, status, write


def show_record(record, emit):
    offset = -1 if context.offset is None else context.offset
    print(f"record {context.input or '-'} {offset} {record.hex()}")


def show_group(key, values, emit):
    print(f"group {key.hex()}")
    if "skip" not in context.params:
        for value in values:
            print(f"value {value.hex()}")


def finish(emit):
    print(f"role {context.role} q {context.params.get('q', '-')}")
    emit(b"", b"")
    emit(b"k\n", b"\0\xff\t")
    write(b"raw\n")
    counter("words", "é", -2)
    status("half")


show_record.finish = show_group.finish = finish
run(map=show_record, reduce=show_group)
