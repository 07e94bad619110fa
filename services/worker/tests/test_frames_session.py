"""Programs of the frames protocol, run for real: good ones with the Python SDK, bad ones with bare sockets."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from apollo_common.errors import (
    ApolloError,
    ProgramError,
    ProgramExited,
    ProgramProtocolError,
    ProgramReadNothing,
    ProgramTimeout,
    RecordTooLarge,
)
from apollo_sdk import wire
from support.sessions import BUDGET_BYTES, Bench, lines_block, sized_block

_CONNECT = """\
#!/usr/bin/env python3
import os, socket, struct, sys, time
from apollo_sdk import wire
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["APOLLO_SOCKET"])
"""
_HELLO = _CONNECT + "s.sendall(wire.hello({}))\n"
_READ_ALL = "while s.recv(1 << 20)[-8:] != b'\\0\\0\\0\\0\\t\\0\\0\\0': pass\n"


@pytest.fixture
def bench(tmp_path):
    """Makes a bench for a frames program given by its source."""

    def make(source: str, **settings) -> Bench:
        path = tmp_path / "program.py"
        path.write_text(source if source.startswith("#!") else "#!/usr/bin/env python3\n" + source)
        return Bench(tmp_path / "work", path, protocol="frames", **settings)

    return make


async def test_a_mapper_gets_records_with_their_place_and_settings(bench):
    program = bench(
        "from apollo_sdk import context, counter, run, status\n"
        "def map(record, emit):\n"
        "    emit(record, f'{context.input} {context.offset} {context.params[\"q\"]} {context.partition}')\n"
        "    counter('g', 'n', 2); status('busy')\n"
        "run(map=map)",
        params={"q": "é"},
    )
    result = await program.map(
        lines_block([b"ab", b""], 10, "file:///a"), sized_block([b"\n\0", b"\t"], 5, "file:///b")
    )
    assert program.sink.emitted == [
        (b"ab", "file:///a 10 é 7".encode()),
        (b"", "file:///a 13 é 7".encode()),
        (b"\n\0", "file:///b 5 é 7".encode()),
        (b"\t", "file:///b 7 é 7".encode()),
    ]
    assert (result.input_records, result.output_records) == (4, 4)
    assert program.observer.counters == {("g", "n"): 8}
    assert program.observer.statuses == ["busy"] * 4


async def test_a_reducer_gets_groups_that_go_on_over_frames(bench):
    program = bench(
        "from apollo_sdk import run\ndef reduce(key, values, emit): emit(key, b','.join(values))\nrun(reduce=reduce)",
        role="reduce",
    )
    await program.reduce(
        [(b"a", b"1"), (b"b", b"2")], [(b"b", b"3")], [(b"b", b"4"), (b"c", b"5"), (b"d", b"6")], [(b"e", b"7")]
    )
    assert program.sink.emitted == [(b"a", b"1"), (b"b", b"2,3,4"), (b"c", b"5"), (b"d", b"6"), (b"e", b"7")]


async def test_values_left_unread_are_skipped(bench):
    program = bench(
        "from apollo_sdk import run\nrun(reduce=lambda key, values, emit: emit(key, next(values)))", role="reduce"
    )
    await program.reduce([(b"a", b"1"), (b"a", b"2"), (b"b", b"3")], [(b"b", b"4")], [(b"b", b"5"), (b"c", b"6")])
    assert program.sink.emitted == [(b"a", b"1"), (b"b", b"3"), (b"c", b"6")]


async def test_a_reducer_serves_as_combiner_and_may_write_raw(bench):
    source = (
        "from apollo_sdk import context, run, write\n"
        "def reduce(key, values, emit):\n"
        "    total = sum(map(int, values))\n"
        "    write(b'%b=%d;' % (key, total)) if context.role == 'reduce' else emit(key, total)\n"
        "run(reduce=reduce)"
    )
    combiner, reducer = bench(source, role="combine"), bench(source, role="reduce")
    await combiner.reduce([(b"a", b"1"), (b"a", b"2")])
    assert combiner.sink.emitted == [(b"a", b"3")]
    await reducer.reduce([(b"a", b"1"), (b"a", b"2")])
    assert reducer.sink.content == b"a=3;"


async def test_the_same_program_speaks_text_too(tmp_path, bench):
    source = (
        "from apollo_sdk import counter, run\n"
        "def split(record, emit):\n"
        "    counter('g', 'n')\n"
        "    [emit(word, 1) for word in record.split()]\n"
        "def add_up(key, values, emit): emit(key, sum(map(int, values)))\n"
        "run(map=split, reduce=add_up)"
    )
    frames = bench(source)
    text = Bench(tmp_path / "work", frames.context.program.path)
    await text.map_lines(b"a b", b"a")
    assert text.sink.emitted == [(b"a", b"1"), (b"b", b"1"), (b"a", b"1")]
    assert text.observer.counters == {("g", "n"): 2}
    text = Bench(tmp_path / "work", frames.context.program.path, role="reduce")
    await text.reduce([(b"a", b"1"), (b"a", b"1")], [(b"b", b"1")])
    assert text.sink.emitted == [(b"a", b"2"), (b"b", b"1")]


async def test_records_up_to_the_limit_pass_and_larger_ones_name_the_setting(bench):
    source = "from apollo_sdk import run\nrun(map=lambda record, emit: emit(b'k', bytes(int(record))))"
    limit = 32 << 20
    program = bench(source, memory_budget_bytes=4 * limit)
    await program.map_lines(str(limit - 1).encode())
    assert [len(value) for _, value in program.sink.emitted] == [limit - 1]
    program = bench(source, memory_budget_bytes=256 << 20)
    with pytest.raises(RecordTooLarge, match="memoryBudget"):
        await program.map_lines(b"100000000")


async def test_print_goes_to_the_log(bench):
    program = bench("from apollo_sdk import run\nprint('hello', flush=True)\nrun(map=lambda record, emit: None)")
    await program.map_lines(b"x")
    assert program.observer.log == b"hello\n"


async def test_an_exception_is_told_with_its_traceback(bench):
    program = bench("from apollo_sdk import run\nrun(map=lambda record, emit: emit(1 / 0))")
    with pytest.raises(ProgramExited, match=r"exit status 1.*ZeroDivisionError") as caught:
        await program.map_lines(b"x")
    assert b"Traceback" in caught.value.stderr_tail


async def test_a_missing_function_is_named(bench):
    program = bench("from apollo_sdk import run\nrun(map=lambda record, emit: None)", role="reduce")
    with pytest.raises(ProgramError, match="no function for the role `reduce`"):
        await program.reduce([(b"a", b"1")])


async def test_a_program_that_never_connects_gets_the_hint(bench):
    with pytest.raises(ProgramProtocolError, match="protocol to `text`"):
        await bench("#!/bin/sh\nexit 0\n").map_lines(b"x")


async def test_a_crash_before_connecting_is_told_as_such(bench):
    with pytest.raises(ProgramExited) as caught:
        await bench("#!/bin/sh\necho broken >&2; exit 9\n").map_lines(b"x")
    assert (caught.value.exit_status, caught.value.stderr_tail) == (9, b"broken\n")


async def test_a_crash_in_the_middle_of_a_frame_is_told_as_such(bench):
    program = bench(_HELLO + "s.sendall(struct.pack('<II', 100, wire.PAIRS) + b'half')\nos.kill(os.getpid(), 11)")
    with pytest.raises(ProgramExited, match="SIGSEGV"):
        await program.map_lines(b"x")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (_CONNECT + "s.sendall(b'hello\\t1\\n' * 100)", "byte 0 .* expected a HELLO frame"),
        (_CONNECT, "byte 0 .* expected an END frame"),
        (_HELLO, "byte 20 .* expected an END frame"),
        (_CONNECT + "s.sendall(wire.frame(wire.HELLO, struct.pack('<III', 9, 0, 0)))", "protocol version 1, found 9"),
        (_HELLO + "s.sendall(b'\\xff' * 8)", "byte 20 .* expected a frame type"),
        (_HELLO + "s.sendall(struct.pack('<II', 100, wire.PAIRS) + b'half')", "expected 100 bytes of PAIRS, found 4"),
        (_HELLO + "s.sendall(wire.hello({}))", "no second HELLO"),
        (_HELLO + _READ_ALL + "s.sendall(wire.end(1) + wire.end(1))", "nothing after END"),
    ],
)
async def test_bad_bytes_are_a_protocol_error_with_their_place(bench, source, message):
    with pytest.raises(ProgramProtocolError, match=message):
        await bench(source + "\ntime.sleep(0.2)").map_lines(b"x")


async def test_a_connection_closed_early_does_not_wait_for_ever(bench, monkeypatch):
    monkeypatch.setattr("apollo_worker.artifact.conversation.EXIT_GRACE_S", 0.2)
    with pytest.raises(ProgramProtocolError, match="closed its connection"):
        await bench(_HELLO + "s.close()\ntime.sleep(1000)").map_lines(b"x")


async def test_taking_nothing_of_the_input_fails(bench):
    with pytest.raises(ProgramReadNothing):
        await bench(_HELLO + "s.sendall(wire.end(0))").map_lines(b"x")
    await bench(_HELLO + "s.sendall(wire.end(0))", ignore_input=True).map_lines(b"x")
    await bench(_HELLO + "s.sendall(wire.end(0))").map_lines()


async def test_being_gone_before_the_input_comes_fails(bench):
    async def late_input():
        await asyncio.sleep(1)
        yield lines_block([b"x"])

    program = bench(_HELLO + "s.sendall(wire.end(0))")
    with pytest.raises(ProgramReadNothing):
        await program.session.map(late_input(), program.sink)


async def test_taking_a_part_of_the_input_is_right(bench):
    program = bench(_HELLO + "s.sendall(wire.pairs([b'k'], [b'v']) + wire.end(1))")
    await program.map(*[lines_block([b"x" * 1000] * 1000)] * 5)
    assert program.sink.emitted == [(b"k", b"v")]


async def test_never_answering_is_a_timeout(bench):
    program = bench(_HELLO + "time.sleep(1000)", timeout_ms=1500)
    with pytest.raises(ProgramTimeout):
        await program.map_lines(b"x")


async def test_never_connecting_is_a_timeout(bench):
    with pytest.raises(ProgramTimeout):
        await bench("#!/bin/sh\nexec sleep 1000\n", timeout_ms=300).map_lines(b"x")


async def test_cancelling_a_frames_program_leaves_nothing(bench, tmp_path):
    program = bench("from apollo_sdk import run\nimport time\nrun(map=lambda record, emit: time.sleep(1000))")
    run = asyncio.create_task(program.map_lines(b"x"))
    while not program.observer.process_ids:
        await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not Path(f"/proc/{program.observer.process_ids[0]}").exists()
    assert list((tmp_path / "work").iterdir()) == []


async def test_a_long_work_root_still_gives_a_short_socket_path(bench, tmp_path):
    program = bench(
        "from apollo_sdk import run\nimport os\n"
        "run(map=lambda record, emit: emit(os.environ['APOLLO_SOCKET'], os.getcwd()))"
    )
    deep = tmp_path / ("deep" * 30)
    path = program.context.program.path
    program = Bench(deep, path, protocol="frames")
    await program.map_lines(b"x")
    ((socket, work),) = program.sink.emitted
    assert len(socket) < 100
    assert work.startswith(str(deep).encode())
    assert not Path(socket.decode()).parent.exists()


@pytest.mark.parametrize("seed", range(12))
async def test_flipped_bytes_never_hang_or_crash_the_worker(bench, tmp_path, seed):
    """A right conversation with a few bytes changed: an end or a typed error, and in time."""
    rng = random.Random(seed)
    content = bytearray(
        wire.hello({"sdk": "x"})
        + wire.pairs([b"a", b"bb"], [b"", b"ccc"])
        + wire.counter("g", "n", 1)
        + wire.frame(wire.STATUS, b"s")
        + wire.end(1)
    )
    for _ in range(3):
        content[rng.randrange(len(content))] = rng.randrange(256)
    program = bench(_CONNECT + f"s.sendall(bytes.fromhex('{content.hex()}'))\n")
    try:
        await asyncio.wait_for(program.map_lines(b"x"), 30)
    except ApolloError:
        return


async def test_large_blocks_go_through_unharmed(bench):
    program = bench("from apollo_sdk import run\nrun(map=lambda record, emit: emit(record, record[:3]))")
    rng = random.Random(1)
    records = [rng.randbytes(rng.randrange(2000)) for _ in range(5000)]
    blocks = [sized_block(records[at : at + 500]) for at in range(0, len(records), 500)]
    await program.map(*blocks)
    assert program.sink.emitted == [(record, record[:3]) for record in records]
    assert sum(map(len, records)) < BUDGET_BYTES


_STRANGER = """\
import pathlib, socket, sys, time
prefix, told = sys.argv[1], pathlib.Path(sys.argv[2])
for _ in range(1000):
    paths = [line.split()[-1] for line in open("/proc/net/unix") if line.rstrip().endswith("/s") and prefix in line]
    if paths:
        s = socket.socket(socket.AF_UNIX)
        s.connect(paths[0])
        told.write_bytes(b"heard " + s.recv(1 << 20))
        break
    time.sleep(0.01)
"""


async def test_a_stranger_of_the_same_user_is_not_taken_for_the_program(bench, tmp_path):
    told = tmp_path / "told"
    # The shell ends at once, so that the stranger is no descendant of this process.
    command = f'"$1" -c "$2" {tmp_path} {told} &'
    await (await asyncio.create_subprocess_exec("sh", "-c", command, "sh", sys.executable, _STRANGER)).wait()
    program = bench(
        "import pathlib, time\n"
        f"while not pathlib.Path('{told}').exists(): time.sleep(0.01)\n"
        "from apollo_sdk import run\nrun(map=lambda record, emit: emit(record, b'1'))"
    )
    await program.map_lines(b"a")
    assert program.sink.emitted == [(b"a", b"1")]
    assert told.read_bytes() == b"heard "
