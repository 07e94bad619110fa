"""Runs a program's functions in the role that it was started for."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from apollo_sdk.block import Block
from apollo_sdk.current import attach, context
from apollo_sdk.emitter import Emit, Emitter
from apollo_sdk.frames_link import FramesLink
from apollo_sdk.link import Link
from apollo_sdk.text_link import TextLink

MapFunction = Callable[[bytes, Emit], None]
MapBlockFunction = Callable[[Block, Emit], None]
ReduceFunction = Callable[[bytes, Iterator[bytes], Emit], None]

_USAGE = """\
This is an Apollo program. Give it to `apollo run --mapper` or `--reducer`, or try it in a pipe:

    {program} map < input | LC_ALL=C sort | {program} reduce"""


def run(
    map: MapFunction | None = None,  # noqa: A002  # the name that everyone expects
    reduce: ReduceFunction | None = None,
    *,
    combine: ReduceFunction | None = None,
    map_block: MapBlockFunction | None = None,
) -> None:
    """Run the function that this attempt is for; the last line of a program.

    `map` gets each record as bytes without its line end; `map_block` gets whole Blocks instead, for speed. `reduce`
    and `combine` get a key and an iterator over its values; without `combine`, `reduce` serves as both. A function
    with an attribute `finish` has `finish(emit)` called after the last record.
    """
    link = _connect(os.environ, sys.argv)
    if link is None:
        from shlex import join  # noqa: PLC0415  # it costs start-up time

        sys.exit(_USAGE.format(program=join([sys.executable, sys.argv[0]])))
    perform(link, map=map, reduce=reduce, combine=combine, map_block=map_block)


def perform(
    link: Link,
    *,
    map: MapFunction | None,  # noqa: A002  # as above
    reduce: ReduceFunction | None,
    combine: ReduceFunction | None,
    map_block: MapBlockFunction | None,
) -> None:
    """`run` over a given link."""
    attach(link)
    emitter = Emitter(link.pairs)
    function: Any
    if context.role == "map" and map_block is not None:
        function, taken = map_block, _map_blocks(link, map_block, emitter.emit)
    elif context.role == "map" and map is not None:
        function, taken = map, _map_records(link, map, emitter.emit)
    elif context.role == "reduce" and reduce is not None:
        function, taken = reduce, _reduce(link, reduce, emitter)
    elif context.role == "combine" and (combine or reduce) is not None:
        function = combine or reduce
        taken = _reduce(link, function, emitter)
    else:
        message = f"this program has no function for the role `{context.role}`: pass it to apollo_sdk.run()"
        link.fail(message)
        sys.exit(message)
    if hasattr(function, "finish"):
        function.finish(emitter.emit)
    emitter.flush()
    link.end(taken)


def _connect(environment: Mapping[str, str], arguments: list[str]) -> Link | None:
    socket_path = environment.get("APOLLO_SOCKET")
    if socket_path:
        return FramesLink(socket_path)
    role = arguments[1] if len(arguments) > 1 else environment.get("APOLLO_ROLE")
    return TextLink(role, environment) if role in {"map", "combine", "reduce"} else None


def _map_records(link: Link, function: MapFunction, emit: Emit) -> int:
    taken = 0
    for block in link.blocks():
        context.input = block.input
        for record, context.offset in zip(block.records(), block.offsets(), strict=True):
            function(record, emit)
        taken += block.count
    return taken


def _map_blocks(link: Link, function: MapBlockFunction, emit: Emit) -> int:
    taken = 0
    for block in link.blocks():
        context.input, context.offset = block.input, block.offset
        function(block, emit)
        taken += block.count
    return taken


def _reduce(link: Link, function: ReduceFunction, emitter: Emitter) -> int:
    taken = 0
    for key, values in link.groups():
        function(key, values, emitter.emit)
        taken += 1
    return taken
