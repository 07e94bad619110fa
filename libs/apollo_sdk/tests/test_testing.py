"""Programs tried without a server."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import apollo_sdk
from apollo_sdk import context, counter, status, sum_in_memory, write
from apollo_sdk.emitter import BATCH_BYTES, PAIR_OVERHEAD_BYTES, Emitter, as_bytes
from apollo_sdk.testing import run_job

LINES = Path(apollo_sdk.__file__).read_bytes().splitlines()


def count_words(record, emit):
    for word in record.split():
        emit(word, 1)


def add_up(key, values, emit):
    emit(key, sum(int(value) for value in values))


def test_a_program_that_is_merely_started_says_how_it_is_tried(tmp_path):
    program = tmp_path / "my words.py"
    program.write_text("from apollo_sdk import run\nrun(map=lambda record, emit: emit(record))\n")
    path = str(Path(apollo_sdk.__file__).parents[1])
    started = {"capture_output": True, "text": True, "env": {"PATH": "/usr/bin:/bin", "PYTHONPATH": path}}
    shown = subprocess.run([sys.executable, program], check=False, **started)
    assert (shown.returncode, shown.stdout) == (1, "")
    (command,) = (line.strip() for line in shown.stderr.splitlines() if "map < input" in line)
    piped = subprocess.run(
        ["/bin/sh", "-c", command.partition(" |")[0].replace("< input", "")],
        input="b\na\n", check=True, **started,
    )  # fmt: skip
    assert piped.stdout == "b\t\na\t\n"


def expected_counts() -> list[tuple[bytes, bytes]]:
    counts = Counter(word for line in LINES for word in line.split())
    return sorted((word, str(count).encode()) for word, count in counts.items())


def test_word_count():
    assert run_job(count_words, add_up, ["a b", b"a\n"]) == [(b"a", b"2"), (b"b", b"1")]
    assert run_job(count_words, add_up, LINES) == expected_counts()
    assert run_job(count_words, add_up, LINES, combine=add_up) == expected_counts()


def test_word_count_summed_in_memory():
    @sum_in_memory
    def by_block(block, totals):
        totals.count(block.data.split())

    @sum_in_memory
    def by_record(record, totals):
        for word in record.split():
            totals(word)

    assert run_job(map_block=by_block, reduce=add_up, lines=LINES) == expected_counts()
    assert run_job(by_record, add_up, LINES) == expected_counts()
    assert len(run_job(by_record, None, LINES)) == len(expected_counts())


def test_sums_are_emitted_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr("apollo_sdk.totals.KEYS_LIMIT", 3)

    @sum_in_memory
    def mapper(record, totals):
        totals(record)

    assert run_job(mapper, None, ["a", "a", "b", "c", "a"]) == [(b"a", b"2"), (b"b", b"1"), (b"c", b"1"), (b"a", b"1")]


def test_values_keep_the_order_of_emission_and_keys_sort_as_unsigned_bytes():
    def mapper(record, emit):
        emit(record[:1], record)

    def join(key, values, emit):
        emit(key, b",".join(values))

    lines = [b"\xff1", b"a2", b"a1", b"\x001"]
    assert run_job(mapper, join, lines) == [(b"\0", b"\x001"), (b"a", b"a2,a1"), (b"\xff", b"\xff1")]


def test_context_counters_status_and_raw_output():
    def mapper(record, emit):
        counter("lines", "all")
        status(f"at {context.offset}")
        emit(context.params["tag"], context.input)
        write(record + b"!")

    result = run_job(mapper, None, ["ab", "c"], params={"tag": "t"}, input="file:///x")
    assert result == [(b"t", b"file:///x")] * 2
    assert result.counters == {"lines": {"all": 2}}
    assert result.statuses == ["at 0", "at 3"]
    assert result.written == b"ab!c!"


def test_a_missing_function_is_named():
    with pytest.raises(AssertionError, match="role `map`"):
        run_job(None, add_up, ["x"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("é", b"\xc3\xa9"),
        (7, b"7"),
        (-0.5, b"-0.5"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"xy")[:1], b"x"),
        (b"", b""),
    ],
)
def test_emit_takes_bytes_text_and_numbers(content, expected):
    assert as_bytes(content) == expected


@pytest.mark.parametrize("content", [None, True, [1]])
def test_emit_refuses_other_types_by_name(content):
    with pytest.raises(TypeError, match=type(content).__name__):
        as_bytes(content)


def test_pairs_are_delivered_in_bounded_batches_and_large_ones_alone():
    batches = []
    emitter = Emitter(lambda keys, values: batches.append(list(zip(keys, values, strict=True))))
    emitter.emit(b"k", bytes(BATCH_BYTES // 2))
    emitter.emit(b"large", bytes(BATCH_BYTES))
    for _ in range(BATCH_BYTES // PAIR_OVERHEAD_BYTES + 1):
        emitter.emit(b"")
    emitter.flush()
    assert [len(batch) for batch in batches] == [1, 1, BATCH_BYTES // PAIR_OVERHEAD_BYTES, 1]


def test_a_program_works_in_a_shell_pipe(tmp_path):
    program = tmp_path / "wc.py"
    program.write_text(
        "from apollo_sdk import run\n"
        "def map(record, emit): [emit(word, 1) for word in record.split()]\n"
        "def reduce(key, values, emit): emit(key, sum(map_int(values)))\n"
        "def map_int(values): return (int(value) for value in values)\n"
        "run(map=map, reduce=reduce)\n"
    )
    pipe = f"{sys.executable} {program} map | LC_ALL=C sort | {sys.executable} {program} reduce"
    environment = {"PYTHONPATH": str(Path(apollo_sdk.__file__).parents[1]), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(pipe, shell=True, input=b"b a\na", env=environment, capture_output=True, check=True)
    assert done.stdout == b"a\t2\nb\t1\n"
    alone = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, check=False)
    assert alone.returncode == 1
    assert b"apollo run --mapper" in alone.stderr
