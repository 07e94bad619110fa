"""`apollo redrive` as a real process against the coordinator's real HTTP API, whose jobs the test drives."""

import asyncio
import json
import os
import pty

import pytest

from apollo_common.assignment import Split, SplitPiece
from apollo_common.ids import JobId, attempt_id, map_task_id
from apollo_common.timings import Timings
from apollo_coordinator.core.model import JobStatus, Task, TaskKind, TaskStatus
from support.api_jobs import submit, upload_programs
from support.api_server import running_api
from support.apollo_cli import command, environment

SKIPPED = {"apollo": {"bad_records": 2}}


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path / "coordinator") as running:
        await upload_programs(running)
        yield running


async def succeeded(api, **changes):
    """The id of a job whose one map task has skipped records."""
    status, document = await submit(api, **{"keepIntermediate": True, "maxBadRecords": 5} | changes)
    assert status == 201, document
    job = api.jobs.job(JobId(document["job"]["id"]))
    task = map_task_id(job.id, 0)
    split = Split((SplitPiece("s3://in/books/a", 0, 3 << 20, 3 << 20, "v"),))
    job.maps = [Task(task, 0, TaskKind.MAP, TaskStatus.COMPLETED, split, accepted=attempt_id(task, 2))]
    job.maps[0].counters = job.counters = SKIPPED
    job.map_timings = Timings(program_ms=61_000)
    api.jobs.end(job, JobStatus.SUCCEEDED)
    return job.id


@pytest.fixture
def redrive(api, tmp_path):
    async def redrive(*arguments, answer: str | None = None, verb: str = "redrive"):
        """Status, standard output and error. `answer`: what a terminal's user types; None: there is no terminal."""
        ours, theirs = pty.openpty() if answer is not None else (-1, asyncio.subprocess.DEVNULL)
        process = await asyncio.create_subprocess_exec(
            *command(verb, *arguments), cwd=tmp_path, stdin=theirs,
            env=environment(APOLLO_COORDINATOR=f"http://127.0.0.1:{api.port}"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            if answer is not None:
                os.close(theirs)
                os.write(ours, answer.encode())
            out, err = await process.communicate()
        finally:
            if answer is not None:
                os.close(ours)
        return process.returncode, out.decode(), err.decode()

    return redrive


def made(api, out):
    return api.jobs.job(JobId(out.strip())).spec


async def test_a_program_is_uploaded_and_the_new_job_is_told(api, redrive, tmp_path):
    job = await succeeded(api, name="words")
    (tmp_path / "mended.sh").write_text("#!/bin/sh\ncat\n")
    status, out, err = await redrive(job, "--mapper", "mended.sh", "--output", "s3://out/again", "--name", "mine")
    assert (status, err) == (0, "")
    spec = made(api, out)
    assert spec.mapper.name.startswith("mended-")
    assert (spec.redrive_of, spec.output_path, spec.name, spec.overwrite) == (job, "s3://out/again", "mine", False)
    assert f"redrives  {job}" in (await redrive(out.strip(), verb="job"))[1].splitlines()
    status, out, _ = await redrive(job, "--mapper", "shell:cat", "--output", "there", "--overwrite", "--json")
    document = json.loads(out)
    assert (status, document["redriveOf"], document["name"]) == (0, job, "words")
    assert document["outputLocation"]["location"] == f"file://{tmp_path}/there"


async def test_a_map_only_job_is_told_what_the_output_is_to_hold(api, redrive):
    job = await succeeded(api, nReducers=0, reducerName=None)
    status, out, err = await redrive(job, "--mapper", "shell:cat", "--output", "s3://out/again")
    assert (status, made(api, out).n_reducers) == (0, 0)
    assert "is to hold what its bad records give, and no more" in err


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
async def test_at_a_terminal_it_is_asked_before_all_is_mapped_again(api, redrive, answer, status):
    job = await succeeded(api, keepIntermediate=False)
    ended, out, err = await redrive(job, "--mapper", "shell:cat", "--output", "s3://out/again", answer=answer)
    assert ended == status, err
    assert "3.0 MiB in 1 map task, which took 1 min 01 s of its workers' time" in err
    assert "[y/N]" in err
    if status == 0:
        assert made(api, out).redrive_of == ""
    assert len(api.jobs.jobs()) == (2 if status == 0 else 1)


async def test_without_a_terminal_it_says_how_to_go_on(api, redrive):
    job = await succeeded(api, keepIntermediate=False)
    place = ("--mapper", "shell:cat", "--output", "s3://out/again")
    status, out, err = await redrive(job, *place)
    assert (status, out) == (1, "")
    assert "To go on, give --yes" in err
    assert len(api.jobs.jobs()) == 1
    status, out, err = await redrive(job, *place, "--yes")
    assert (status, made(api, out).mapper.name) == (0, "cat")
    assert "3.0 MiB in 1 map task" in err
    assert "To go on" not in err
    status, out, err = await redrive(job, *place, "--overwrite", "--remap")
    assert (status, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--mapper", "builtin:sum", "--output", "s3://out/x"), 2, "--mapper"),
        (("--mapper", "absent", "--output", "s3://out/x"), 1, "neither a file here nor an artifact"),
        (("--mapper", "./absent", "--output", "s3://out/x"), 2, "there is no such file"),
        (("--mapper", "shell:cat", "--output", "ftp://x"), 2, "--output"),
        (("--mapper", "shell:cat"), 2, "--output"),
    ],
)
async def test_what_is_wrong_is_said_in_the_words_of_the_command(api, redrive, arguments, status, said):
    job = await succeeded(api)
    ended, _, err = await redrive(job, *arguments)
    assert (ended, said in err) == (status, True), err


async def test_a_job_that_cannot_be_redriven_says_why(api, redrive):
    job = await succeeded(api)
    api.jobs.job(job).counters = {}
    status, _, err = await redrive(job, "--mapper", "shell:cat", "--output", "s3://out/x")
    assert (status, "has skipped no records" in err) == (1, True)
    status, _, err = await redrive("nobody", "--mapper", "shell:cat", "--output", "s3://out/x")
    assert (status, "no job nobody" in err) == (1, True)
