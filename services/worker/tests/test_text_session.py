"""Programs of the text protocol, run for real."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from apollo_common.errors import (
    InputChanged,
    ProgramExited,
    ProgramProtocolError,
    ProgramReadNothing,
    ProgramStartFailed,
    ProgramTimeout,
    RecordTooLarge,
)
from apollo_worker.artifact.context import TextProtocol
from apollo_worker.artifact.text_dialogue import READ_BUFFER_BYTES
from apollo_worker.core.columns import PairBatch
from apollo_worker.core.line_fields import LineFields
from support.sessions import INPUT_URL, Bench, lines_block, sized_block, stream

RAW = TextProtocol(raw_output=True)
STDIO = pytest.mark.parametrize("stdio", ["socket", "pipe"])


@pytest.fixture
def program(tmp_path):
    """Writes an executable file and returns its path."""

    def write(content: str | bytes, name: str = "program") -> Path:
        path = tmp_path / "cache" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@STDIO
async def test_lines_go_in_and_pairs_come_out(tmp_path, stdio):
    bench = Bench(tmp_path, "cat", stdio=stdio)
    result = await bench.map_lines(b"a\t1", b"no tab", b"", b"b\t2\t3", b"\t4", b"cr\tx\r")
    expected = [(b"a", b"1"), (b"no tab", b""), (b"", b""), (b"b", b"2\t3"), (b"", b"4"), (b"cr", b"x\r")]
    assert bench.sink.emitted == expected
    assert (result.input_records, result.output_records) == (6, 6)
    assert _is_empty(tmp_path)


@STDIO
async def test_many_blocks_survive_the_straddling_of_reads(tmp_path, stdio):
    text = Path(os.__file__).read_bytes() * 100
    lines = text.split(b"\n")[:-1]
    blocks = [lines_block(lines[at : at + 997]) for at in range(0, len(lines), 997)]
    bench = Bench(tmp_path, "cat", stdio=stdio)
    result = await bench.map(*blocks)
    assert b"".join(key + b"\t" + value + b"\n" if value else key + b"\n" for key, value in bench.sink.emitted) == text
    assert result.output_records == len(lines)


async def test_sized_records_become_lines(tmp_path):
    bench = Bench(tmp_path, "cat")
    await bench.map(sized_block([b"ab", b"", b"c\td"]))
    assert bench.sink.emitted == [(b"ab", b""), (b"", b""), (b"c", b"d")]


async def test_a_reducer_gets_sorted_lines_with_a_tab_each(tmp_path):
    bench = Bench(tmp_path, "cat", role="reduce", text=RAW)
    result = await bench.reduce([(b"a", b"1"), (b"a", b"")], [(b"b", b"\xff\x00")])
    assert bench.sink.content == b"a\t1\na\t\nb\t\xff\x00\n"
    assert (result.input_records, result.output_records) == (3, 3)


async def test_raw_output_is_passed_on_as_it_is(tmp_path):
    bench = Bench(tmp_path, "cat >/dev/null; printf 'x\\r\\n\\n\\ty\\nlast'", role="reduce", text=RAW)
    result = await bench.reduce([(b"a", b"1")])
    assert bench.sink.content == b"x\r\n\n\ty\nlast\n"
    assert result.output_records == 4


async def test_a_job_cuts_and_joins_lines_as_it_says(tmp_path):
    text = TextProtocol(input_separator=b"=>", output_fields=LineFields(b"::", 2))
    bench = Bench(tmp_path, "sed 's/=>/::/'", role="reduce", text=text)
    await bench.reduce([(b"a", b"1::2::3"), (b"b", b""), (b"c\td", b"4")])
    assert bench.sink.emitted == [(b"a::1", b"2::3"), (b"b::", b""), (b"c\td::4", b"")]


async def test_the_environment_is_told_and_scrubbed(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    side = tmp_path / "stop"
    side.write_text("the\n")
    bench = Bench(
        tmp_path / "work",
        "cat >/dev/null; env; echo work=$(pwd); cat stop.txt",
        params={"min-count": "3"},
        env={"COLOUR": "red", "APOLLO_ROLE": "king"},
        files={"stop.txt": side},
    )
    await bench.map_lines(b"x")
    lines = [key.decode() for key, _ in bench.sink.emitted]
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    assert told["APOLLO_ROLE"] == "map"
    assert told["APOLLO_TASK_ID"] == "job-m-00007"
    assert (told["APOLLO_JOB_ID"], told["APOLLO_ATTEMPT"], told["APOLLO_PARTITION"]) == ("job", "2", "7")
    assert told["APOLLO_INPUT"] == INPUT_URL
    assert told["APOLLO_PARAM_MIN_COUNT"] == "3"
    assert told["COLOUR"] == "red"
    assert told["HOME"] == told["TMPDIR"] == told["work"]
    assert "APOLLO_SOCKET" not in told
    assert "AWS_SECRET_ACCESS_KEY" not in told
    assert "the" in lines
    assert _is_empty(tmp_path / "work")


async def test_the_program_holds_no_descriptor_but_its_own(tmp_path):
    bench = Bench(tmp_path, "cat >/dev/null; ls -l /proc/self/fd >&2; ls /proc/self/fd")
    await bench.map_lines(b"x")
    # The listing itself opens descriptor 3.
    assert [key for key, _ in bench.sink.emitted] == [b"0", b"1", b"2", b"3"]


async def test_env_python_is_the_workers_interpreter(tmp_path, program):
    path = program("#!/usr/bin/env python3\nimport sys\nsys.stdin.read()\nimport apollo_sdk\nprint(sys.prefix)\n")
    bench = Bench(tmp_path / "work", path)
    await bench.map_lines(b"x")
    assert bench.sink.emitted == [(sys.prefix.encode(), b"")]


async def test_reporter_lines_are_heard_and_kept_from_the_log(tmp_path):
    script = (
        "cat >/dev/null; printf 'one\\nreporter:counter:words,long ones,2\\nreporter:status:half way\\nrep' >&2;"
        "printf 'orter:counter:words,long ones,3\\nreporter:counter:bad\\ntwo' >&2"
    )
    bench = Bench(tmp_path, script)
    await bench.map_lines(b"x")
    assert bench.observer.counters == {("words", "long ones"): 5}
    assert bench.observer.statuses == ["half way"]
    assert bench.observer.log == b"one\nreporter:counter:bad\ntwo"


async def test_an_empty_input_is_an_empty_output(tmp_path):
    bench = Bench(tmp_path, "cat")
    result = await bench.map_lines()
    assert (bench.sink.emitted, result.input_records) == ([], 0)


async def test_exit_status_is_told_with_the_end_of_stderr(tmp_path):
    bench = Bench(tmp_path, "cat; echo first >&2; echo 'no such word' >&2; exit 3")
    with pytest.raises(ProgramExited, match=r"exit status 3.*no such word") as caught:
        await bench.map_lines(b"x")
    assert (caught.value.exit_status, caught.value.signal) == (3, 0)
    assert caught.value.stderr_tail == b"first\nno such word\n"
    assert _is_empty(tmp_path)


@pytest.mark.parametrize(
    ("command", "hinted"),
    [
        ("grep absent", True),
        ("cat | grep -iE absent", True),
        ("grep -Z --no-such-option absent", False),  # says so itself, with status 2
        ("cat > /dev/null; exit 1", False),
        ("cat > /dev/null; grep -q x /dev/null || { echo 'no x' >&2; exit 1; }", False),
    ],
)
async def test_a_grep_that_finds_nothing_is_told_what_to_write(tmp_path, command, hinted):
    with pytest.raises(ProgramExited) as caught:
        await Bench(tmp_path, command).map_lines(b"x")
    assert ("as grep does where no line matches: write `|| true` behind it" in str(caught.value)) == hinted


async def test_death_by_a_signal_is_told(tmp_path):
    bench = Bench(tmp_path, "kill -SEGV $$")
    with pytest.raises(ProgramExited, match="SIGSEGV") as caught:
        await bench.map_lines(b"x")
    assert (caught.value.exit_status, caught.value.signal) == (-1, 11)


async def test_a_program_that_reads_nothing_fails(tmp_path):
    with pytest.raises(ProgramReadNothing, match="ignoreInput"):
        await Bench(tmp_path, "echo hello").map_lines(b"x")
    with pytest.raises(ProgramReadNothing):
        await Bench(tmp_path, "exit 0", stdio="pipe").map_lines(b"x")


@STDIO
async def test_reading_nothing_of_a_large_input_fails(tmp_path, stdio):
    blocks = [lines_block([b"x" * 1000] * 1000)] * 5
    with pytest.raises(ProgramReadNothing):
        await Bench(tmp_path, "exit 0", stdio=stdio).map(*blocks)


async def test_reading_nothing_is_right_when_asked_for_or_when_there_is_nothing(tmp_path):
    bench = Bench(tmp_path, "echo hello", ignore_input=True)
    await bench.map_lines(b"x")
    assert bench.sink.emitted == [(b"hello", b"")]
    await Bench(tmp_path, "exit 0").map_lines()


@STDIO
async def test_reading_only_a_part_is_right(tmp_path, stdio):
    blocks = [lines_block([b"x" * 1000] * 1000)] * 5
    bench = Bench(tmp_path, "head -n 1", stdio=stdio)
    await bench.map(*blocks)
    assert bench.sink.emitted == [(b"x" * 1000, b"")]


async def test_broken_pipes_inside_the_program_end_it_as_in_a_shell(tmp_path):
    bench = Bench(tmp_path, "cat >/dev/null; yes | head -n 2")
    await bench.map_lines(b"x")
    assert bench.sink.emitted == [(b"y", b"")] * 2


async def test_silence_is_a_timeout(tmp_path):
    bench = Bench(tmp_path, "cat >/dev/null; exec sleep 1000", timeout_ms=300)
    with pytest.raises(ProgramTimeout, match=r"0\.3 s"):
        await bench.map_lines(b"x")
    assert not _alive(bench.observer.process_ids[0])


async def test_a_slow_input_is_no_silence_of_the_program(tmp_path):
    async def slowly():
        for line in (b"a", b"b"):
            await asyncio.sleep(2)
            yield lines_block([line])

    bench = Bench(tmp_path, "cat", timeout_ms=1500)
    await bench.session.map(slowly(), bench.sink)
    assert bench.sink.emitted == [(b"a", b""), (b"b", b"")]


async def test_a_line_above_the_limit_names_the_setting(tmp_path):
    bench = Bench(tmp_path, "cat >/dev/null; head -c 3000000 /dev/zero", memory_budget_bytes=8 << 20)
    with pytest.raises(RecordTooLarge, match="memoryBudget"):
        await bench.map_lines(b"x")
    bench = Bench(tmp_path, "cat >/dev/null; head -c 3000000 /dev/zero", memory_budget_bytes=16 << 20)
    await bench.map_lines(b"x")
    assert bench.sink.emitted == [(bytes(3_000_000), b"")]


async def test_a_short_limit_holds_inside_one_read(tmp_path):
    bench = Bench(tmp_path, "cat", memory_budget_bytes=4000)
    with pytest.raises(RecordTooLarge, match="1001 bytes"):
        await bench.map_lines(b"x" * 1000, b"y" * 1001)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("#!/no/such/interpreter\n", "interpreter `/no/such/interpreter` does not exist"),
        ("#!/bin/sh\r\necho\r\n", r"save the file with \\n line ends"),
        ("#!/usr/bin/env nosuchlanguage\n", "`nosuchlanguage` is not on the worker's PATH"),
        ("just text\n", "neither an executable"),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(100), "ELF file for aarch64"),
    ],
)
async def test_a_program_that_cannot_start_says_why(tmp_path, program, content, cause):
    bench = Bench(tmp_path / "work", program(content))
    with pytest.raises(ProgramStartFailed, match=cause):
        await bench.map_lines(b"x")
    assert _is_empty(tmp_path / "work")


async def test_the_inputs_own_error_comes_through(tmp_path):
    async def changed():
        yield lines_block([b"x"])
        raise InputChanged("the object file:///x changed")

    bench = Bench(tmp_path, "cat")
    with pytest.raises(InputChanged):
        await bench.session.map(changed(), bench.sink)
    assert not _alive(bench.observer.process_ids[0])


async def test_the_sinks_own_error_comes_through(tmp_path):
    bench = Bench(tmp_path, "cat; exec sleep 1000")

    async def full(_batch):
        raise InputChanged("the sink is full")

    bench.sink.pairs = full
    with pytest.raises(InputChanged):
        await bench.session.map(stream([lines_block([b"x" * 100] * 100)] * 100), bench.sink)


async def test_short_lines_after_a_long_one_come_in_batches_of_the_usual_size(tmp_path):
    script = "cat >/dev/null; head -c 3000000 /dev/zero | tr '\\0' x; echo; yes x | head -c 8000000"
    bench = Bench(tmp_path, script)
    sizes = []

    async def note(batch: PairBatch) -> None:
        sizes.append((len(batch), batch.size_bytes))

    bench.sink.pairs = note
    await bench.map_lines(b"x")
    assert sum(rows for rows, _ in sizes) == 4_000_001
    assert sum(size_bytes for _, size_bytes in sizes) == 7_000_000
    (first, _), *after = sizes  # the room left behind the long line is filled with short ones
    assert first <= READ_BUFFER_BYTES
    assert max(rows for rows, _ in after) <= READ_BUFFER_BYTES // len(b"x\n")


async def test_a_counter_that_is_refused_fails_the_program(tmp_path):
    def refuse(group: str, name: str, increment: int) -> None:
        raise ProgramProtocolError(f"no {group},{name} += {increment} here")

    bench = Bench(tmp_path, "cat >/dev/null; echo reporter:counter:g,n,1 >&2; exec sleep 1000")
    bench.observer.counter = refuse
    with pytest.raises(ProgramProtocolError, match=r"no g,n \+= 1 here"):
        await bench.map_lines(b"x")


async def test_daemons_are_killed_when_the_program_ends(tmp_path):
    script = "cat; (setsid sh -c 'sleep 1000 & echo $! >&2; wait' &) ; setsid sleep 1001 & echo $! >&2; sleep 0.2"
    bench = Bench(tmp_path, script)
    await bench.map_lines(b"x")
    left = [int(word) for word in bench.observer.log.split()]
    assert len(left) == 2
    assert not any(_alive(process) for process in left)


async def test_cancelling_kills_everything_and_removes_the_directory(tmp_path):
    script = "setsid sh -c 'echo $$ >&2; sleep 1000' & echo $$ >&2; echo ready >&2; exec sleep 1000"
    bench = Bench(tmp_path, script)
    run = asyncio.create_task(bench.map_lines(b"x"))
    while bench.observer.log.count(b"\n") < 3:
        await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not any(_alive(int(word)) for word in bench.observer.log.split() if word.isdigit())
    assert _is_empty(tmp_path)


@pytest.mark.parametrize("protocol", ["text", "frames"])
async def test_cancelling_at_any_moment_leaves_nothing(tmp_path, program, protocol):
    path = program("#!/usr/bin/env python3\nfrom apollo_sdk import run\nrun(map=lambda record, emit: emit(record))\n")
    blocks = [lines_block([b"x" * 100] * 1000)] * 50
    await Bench(tmp_path / "work", path, protocol=protocol).map(*blocks)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for delay_ms in (0, 1, 3, 10, 20, 30, 40, 60, 80, 120):
        bench = Bench(tmp_path / "work", path, protocol=protocol)
        run = asyncio.create_task(bench.map(*blocks))
        await asyncio.sleep(delay_ms / 1000)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert not any(_alive(process) for process in bench.observer.process_ids)
    assert _is_empty(tmp_path / "work")
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


async def test_directories_without_permissions_are_removed(tmp_path):
    bench = Bench(tmp_path, "cat; mkdir -p a/b; touch a/b/c; chmod 0 a/b a")
    await bench.map_lines(b"x")
    assert _is_empty(tmp_path)


async def test_a_slow_sink_holds_the_program_back(tmp_path):
    """While the sink takes nothing, only what fits in buffers is taken from the input."""
    taken = 0
    release = asyncio.Event()

    async def endless():
        nonlocal taken
        for _ in range(64):
            taken += 1
            yield lines_block([b"x" * 1023] * 1024)

    bench = Bench(tmp_path, "cat")

    async def blocked(_batch):
        await release.wait()

    bench.sink.pairs = blocked
    run = asyncio.create_task(bench.session.map(endless(), bench.sink))
    before = -1
    while taken == 0 or taken != before:
        before = taken
        await asyncio.sleep(0.3)
    assert taken < 20
    release.set()
    assert (await run).input_records == 64 * 1024


def _is_empty(directory: Path) -> bool:
    return not list(directory.iterdir())


def _alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
