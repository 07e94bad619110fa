"""Whole attempts on a real worker process: words counted over file://, checked against coreutils."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from apollo_common.assignment import MapOutputRef
from apollo_common.ids import attempt_id, map_task_id, reduce_task_id
from apollo_coordinator.core.spec import MIB, JobSpec, ProgramRef, ProgramSource, SideFileRef
from apollo_coordinator.order import (
    AttemptCancelled,
    AttemptFailed,
    AttemptLog,
    AttemptStarted,
    IntermediatePlace,
)
from apollo_coordinator.pools.process import worker_command
from apollo_coordinator.ports import WorkerUp
from apollo_coordinator.rpc.link import GrpcWorkerLink
from support.corpus import coreutils_word_count, sorted_lines, write_python_sources
from support.desk import JOB, Desk, done_of
from support.pools import process_pool, running

WORDS = r"""tr -s ' \t\r\v\f\n' '\n' | grep -v '^$' | awk '{print $1 "\t1"}'"""
SUM = r"""awk -F '\t' '
    $1 "" != key "" && NR > 1 { print key "\t" n; n = 0 }
    { key = $1; n += $2 }
    END { if (NR) print key "\t" n }'
"""


def shell(command: str) -> ProgramRef:
    return ProgramRef(ProgramSource.SHELL, command, stdio="pipe")


def builtin(name: str) -> ProgramRef:
    return ProgramRef(ProgramSource.BUILTIN, f"builtin:{name}")


SPEC = JobSpec(
    ("file:///in",), "file:///out", shell(WORDS), shell(SUM), env={"LC_ALL": "C"}, memory_budget_bytes=16 * MIB
)


@pytest.fixture
async def desk(tmp_path) -> AsyncIterator[Desk]:
    (tmp_path / "out").mkdir()
    pool = process_pool(tmp_path, connector=GrpcWorkerLink, command=worker_command())
    async with running(pool) as heard:
        (up,) = await heard.until(WorkerUp)
        yield Desk(pool.link(up.worker), tmp_path)


async def test_words_are_counted_as_coreutils_counts_them(desk):
    text = write_python_sources(desk.directory / "text", 3 * MIB)
    spec = replace(SPEC, n_reducers=2, combiner=builtin("sum"))
    reports, output = await desk.map(spec, text)
    mapped = done_of(reports)
    assert isinstance(reports[0], AttemptStarted)
    counters = mapped.counters["apollo"]
    assert counters["input_records"] == text.read_bytes().count(b"\n") + (not text.read_bytes().endswith(b"\n"))
    assert counters["input_bytes"] == 3 * MIB
    assert counters["map_output_records"] == len(text.read_bytes().split())
    assert counters["shuffle_bytes"] == sum(mapped.partition_bytes) > 0
    assert counters["combine_output_records"] <= counters["spilled_records"] < counters["map_output_records"]

    parts = []
    groups = 0
    for partition in range(2):
        reduced = done_of(await desk.reduce(spec, [output], partition=partition))
        groups += reduced.counters["apollo"]["reduce_input_groups"]
        assert reduced.counters["apollo"]["output_records"] == reduced.output_records
        parts.append(await desk.publish(reduce_task_id(JOB, partition), reduced))
    expected = coreutils_word_count(text)
    assert sorted_lines(b"".join(parts)) == sorted_lines(expected)
    assert groups == expected.count(b"\n")


async def test_map_outputs_go_through_a_bucket_with_the_access_of_the_assignment(desk, s3_server, s3_bucket):
    """The worker's own environment knows neither the server nor its keys."""
    desk = replace(desk, intermediate=IntermediatePlace(f"s3://{s3_bucket}/map outputs", s3_server.access))
    text = write_python_sources(desk.directory / "text", MIB)
    reports, output = await desk.map(SPEC, text)
    assert done_of(reports).counters["apollo"]["shuffle_bytes"] > 0
    assert not (desk.directory / "volume").exists()
    listed = s3_server.client().list_objects_v2(Bucket=s3_bucket)["Contents"]
    assert [each["Key"] for each in listed] == [f"map outputs/{output.path}/{name}" for name in ("data.arrow", "index")]
    reduced = done_of(await desk.reduce(SPEC, [output], partition=0))
    found = await desk.publish(reduce_task_id(JOB, 0), reduced)
    assert sorted_lines(found) == sorted_lines(coreutils_word_count(text))


async def test_builtin_reducers_need_no_program(desk):
    text = desk.directory / "text"
    text.write_text("b\t1\na\t2\nb\t40\n")
    spec = replace(SPEC, mapper=builtin("identity"), reducer=builtin("sum"))
    reports, output = await desk.map(spec, text)
    assert reports[0] == AttemptStarted(0)
    done_of(reports)
    done = done_of(await desk.reduce(spec, [output], partition=0))
    assert await desk.publish(reduce_task_id(JOB, 0), done) == b"a\t2\nb\t41\n"


async def test_a_reduce_of_more_runs_than_its_memory_holds_keeps_the_order_of_values(desk):
    spec = replace(SPEC, mapper=builtin("identity"), reducer=builtin("identity"), memory_budget_bytes=8 * MIB)
    texts = [desk.directory / f"text-{index}" for index in range(4)]
    outputs = []
    for index, text in enumerate(texts):
        text.write_text("".join(f"{row % 20_000:05}\t{index}.{row:05}\n" for row in range(30_000)))
        reports, output = await desk.map(spec, text, index=index)
        done_of(reports)
        outputs.append(output)
    done = done_of(await desk.reduce(spec, outputs, partition=0))
    sort = await asyncio.create_subprocess_exec(
        *("sort", "-s", "-t", "\t", "-k1,1", *texts), stdout=asyncio.subprocess.PIPE, env={"LC_ALL": "C"}
    )
    assert await desk.publish(reduce_task_id(JOB, 0), done) == (await sort.communicate())[0]


async def test_a_map_only_attempt_writes_its_part(desk):
    text = desk.directory / "text"
    text.write_text("one\ntwo\nthree\n")
    spec = replace(SPEC, mapper=shell("grep -c ''"), reducer=None, n_reducers=0, output_format="raw")
    reports, _ = await desk.map(spec, text)
    assert await desk.publish(map_task_id(JOB, 0), done_of(reports)) == b"3\n"


async def test_an_artifact_runs_with_its_side_file_parameters_and_environment(desk, tmp_path):
    program = b'#!/bin/sh\necho "saw $APOLLO_PARAM_WORD $COLOUR" >&2\ncat side.txt\ncat > /dev/null\n'
    side = b"k\tfrom the side file\n"
    digests = []
    for content in (program, side):
        digests.append(hashlib.sha256(content).hexdigest())
        (tmp_path / "upload").write_bytes(content)
        await desk.link.install(digests[-1], tmp_path / "upload")
    spec = replace(
        SPEC,
        mapper=ProgramRef(ProgramSource.ARTIFACT, "map.sh", digests[0], stdio="pipe"),
        reducer=None,
        n_reducers=0,
        files=(SideFileRef("side.txt", digests[1]),),
        params={"word": "hello"},
        env={"COLOUR": "green"},
    )
    (tmp_path / "text").write_text("x\n")
    reports, _ = await desk.map(spec, tmp_path / "text")
    assert await desk.publish(map_task_id(JOB, 0), done_of(reports)) == b"k\tfrom the side file\n"
    assert b"".join(report.content for report in reports if isinstance(report, AttemptLog)) == b"saw hello green\n"


async def test_a_program_that_fails_is_told_with_status_and_standard_error(desk):
    (desk.directory / "text").write_text("x\n")
    spec = replace(SPEC, mapper=shell("cat > /dev/null; echo 'no such dictionary' >&2; exit 7"))
    reports, output = await desk.map(spec, desk.directory / "text")
    failed = reports[-1]
    assert isinstance(failed, AttemptFailed)
    assert (failed.reason, failed.exit_status, failed.retryable) == ("program_exited", 7, True)
    assert failed.stderr_tail == "no such dictionary\n"
    assert not (desk.directory / "volume" / output.path).exists()


async def test_a_reduce_names_the_map_output_that_it_cannot_read(desk):
    lost = MapOutputRef(map_task_id(JOB, 4), attempt_id(map_task_id(JOB, 4), 1), "corrupt")
    directory = desk.directory / "volume" / "corrupt"
    directory.mkdir(parents=True)
    (directory / "index").write_bytes(os.urandom(100))
    (directory / "data.arrow").write_bytes(b"")
    failed = (await desk.reduce(SPEC, [lost], partition=0))[-1]
    assert isinstance(failed, AttemptFailed)
    assert (failed.reason, failed.lost_map_task, failed.lost_map_attempt) == ("fetch_failed", lost.task, lost.attempt)


async def test_an_artifact_that_is_not_installed_is_asked_for(desk):
    (desk.directory / "text").write_text("x\n")
    spec = replace(SPEC, mapper=ProgramRef(ProgramSource.ARTIFACT, "map.py", "0" * 64))
    failed = (await desk.map(spec, desk.directory / "text"))[0][-1]
    assert isinstance(failed, AttemptFailed)
    assert (failed.reason, failed.retryable) == ("artifact_missing", True)


async def test_a_cancelled_attempt_leaves_neither_program_nor_output(desk):
    text = desk.directory / "text"
    text.write_text("x\n")
    spec = replace(SPEC, mapper=shell("cat > /dev/null; sleep 600; echo never"))
    mapping = asyncio.create_task(desk.map(spec, text))
    async with asyncio.timeout(30):
        while not _in_session_of_a_program(desk.directory):
            await asyncio.sleep(0.02)
    await desk.link.cancel(attempt_id(map_task_id(JOB, 0), 0), "the job was stopped")
    assert isinstance((await mapping)[0][-1], AttemptCancelled)
    assert not _in_session_of_a_program(desk.directory)
    assert not list((desk.directory / "volume").glob("**/data.arrow"))


def _in_session_of_a_program(directory: Path) -> list[str]:
    """Processes that work below `directory`, where this test's programs have theirs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if "/attempts/" in (where := str((process / "cwd").readlink())) and where.startswith(str(directory)):
                found.append(where)
    return found
