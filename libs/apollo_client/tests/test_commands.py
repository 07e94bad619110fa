"""The commands as real processes against the coordinator's real HTTP API, whose jobs the test drives."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from apollo_client.cli.log_lines import MAX_LINE_BYTES
from apollo_client.cli.root import cli
from apollo_common.errors import InputNotFound, StorageAccessDenied
from apollo_common.ids import AttemptId, WorkerId
from apollo_common.timings import Timings
from apollo_coordinator.core.explanation.findings import Line
from apollo_coordinator.core.model import Attempt, AttemptStatus, Failure, JobStatus, TaskStatus, Worker
from support.api_server import running_api
from support.apollo_cli import command, environment

JOB = ("--mapper", "shell:cat", "--reducer", "builtin:sum", "--input", "s3://in/x", "--output", "s3://out/y")


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path / "coordinator") as running:
        yield running


@dataclass
class Ended:
    status: int
    out: str
    err: str

    @property
    def documents(self):
        return [json.loads(line) for line in self.out.splitlines()]


class Running:
    """One `apollo` process."""

    def __init__(self, process):
        self.process = process

    async def end(self) -> Ended:
        out, err = await self.process.communicate()
        return Ended(self.process.returncode, out.decode(), err.decode())


@pytest.fixture
def start(api, tmp_path):
    async def start(*arguments, stdout=asyncio.subprocess.PIPE):
        process = await asyncio.create_subprocess_exec(
            *command(*arguments), cwd=tmp_path, env=environment(APOLLO_COORDINATOR=f"http://127.0.0.1:{api.port}"),
            stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return Running(process)

    return start


@pytest.fixture
def apollo(start):
    async def run(*arguments):
        return await (await start(*arguments)).end()

    return run


def damage_the_log(api, attempt: Attempt):
    """Where bytes should be is a directory. The attempt has ended: of another, nothing is refused before it begins."""
    attempt.status = AttemptStatus.FAILED
    (api.root / "logs" / api.jobs.jobs()[0].id / attempt.id / "000000000000").mkdir(parents=True)


async def submitted(api):
    """The first job, as soon as it is there."""
    while not api.jobs.jobs():
        await asyncio.sleep(0.02)
    return api.jobs.jobs()[0]


async def test_submit_prints_the_id_alone(api, apollo):
    ended = await apollo("submit", *JOB)
    assert (ended.status, ended.out) == (0, f"{api.jobs.jobs()[0].id}\n"), ended


async def test_submit_uploads_programs_under_names_that_replace_nothing(api, apollo, tmp_path):
    (tmp_path / "map.sh").write_text("#!/bin/sh\ncat\n")
    await api.upload("map.sh", b"#!/bin/sh\nsomebody else's\n")
    (tmp_path / "stop.txt").write_text("the\n")
    for _ in range(2):
        assert (await apollo("submit", *JOB, "--mapper", "map.sh", "--file", "stop.txt")).status == 0
    spec = api.jobs.jobs()[0].spec
    assert spec.mapper.name == f"map-{spec.mapper.digest[:8]}.sh"
    assert [file.name for file in spec.files] == ["stop.txt"]
    names = [artifact.name for artifact in await api.artifacts.all()]
    assert sorted(names) == sorted(["map.sh", spec.mapper.name, "stop.txt"])


async def test_submit_uploads_the_mapper_of_each_input(api, apollo, tmp_path):
    for name in ("users", "orders"):
        (tmp_path / f"{name}.sh").write_text(f"#!/bin/sh\nsed s/^/{name}/\n")
    inputs = [("users.sh", "csv", "s3://in/u"), ("orders.sh", "lines", "s3://in/o"), ("users.sh", "jsonl", "s3://in/v")]
    words = [word for given in inputs for word in ("--input-with", *given)]
    ended = await apollo("submit", *words, "--reducer", "builtin:sum", "--output", "s3://out/y")
    assert ended.status == 0, ended
    spec = api.jobs.jobs()[0].spec
    assert [given.mapper.name.partition("-")[0] for given in spec.inputs] == ["users", "orders", "users"]
    assert len(await api.artifacts.all()) == 2
    refused = await apollo(
        "submit", "--input-with", "shell:cat", "xml", "s3://in/u", *JOB[2:4], "--output", "s3://out/y"
    )
    assert refused.status == 2
    assert "--input-with: There is no such input format: 'xml'. Use one of lines" in refused.err


async def test_waiting_ends_with_the_job(api, start):
    waiting = await start("submit", "--wait", "--json", *JOB)
    job = await submitted(api)
    api.jobs.start(job, maps=2, reduces=1)
    api.jobs.end(job, JobStatus.SUCCEEDED)
    ended = await waiting.end()
    assert ended.status == 0, ended
    assert ended.documents[-1]["status"] == "succeeded"
    assert [document["kind"] for document in ended.documents[:-1]] == ["job_submitted", "job_started", "job_ended"]
    assert f"Job {job.id} succeeded" in ended.err


async def test_a_waiting_submit_says_first_which_job_it_is(api, start):
    waiting = await start("submit", "--wait", *JOB)
    job = await submitted(api)
    assert await waiting.process.stderr.readline() == f"Job {job.id} is submitted.\n".encode()
    api.jobs.end(job, JobStatus.SUCCEEDED)
    assert (await waiting.end()).out == ""


async def test_a_job_shows_what_runs_and_what_is_tried_again(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    api.jobs.start(job, maps=2, reduces=1)
    attempt = job.maps[0].attempts[0]
    attempt.input_bytes, attempt.input_bytes_total, attempt.program_status = 30, 120, "loading"
    failed = AttemptId(f"{job.id}-m-00001-0")
    job.maps[1].attempts.append(
        Attempt(
            failed, WorkerId("w2"), 1, AttemptStatus.FAILED, failure=Failure("program_exited", "it ended with status 3")
        )
    )
    shown = (await apollo("job", job.id)).out
    assert re.search(
        rf"^running   {attempt.id} on {attempt.worker} for .*, was given 25 % of its input, says: loading$",
        shown,
        re.MULTILINE,
    )
    assert f"retried   {job.id}-m-00001 after 1 of its attempts: it ended with status 3\n" in shown


async def test_a_job_shows_what_it_was_told_of_its_input_and_its_keys(api, apollo):
    keys = ("--partitioner", "field:1", "--key-order", "-k1,1 -k2,2n", "--group-key-fields", "1")
    told = ("--reducer", "shell:cat", *keys, "--output", "s3://out/y")
    users = ("--input-with", "shell:cut -f1", "csv:;", "s3://in/users")
    orders = ("--input-with", "shell:cut -f2", "lines", "s3://in/orders")
    shown = (await apollo("job", (await apollo("submit", *users, *orders, *told)).out.strip())).out.splitlines()
    assert [line for line in shown if line.startswith(("input", "mapper", "part", "key", "group"))] == [
        "input     s3://in/users, format csv:;, mapper shell:cut -f1",
        "input     s3://in/orders, mapper shell:cut -f2",
        "partition field:1",
        "key order -k1,1 -k2,2n",
        "groups    field 1",
    ]
    shown = (
        await apollo("job", (await apollo("submit", *JOB, "--input-format", "jsonl")).out.strip())
    ).out.splitlines()
    assert [line for line in shown if line.startswith(("input", "mapper", "part", "key", "group"))] == [
        "input     s3://in/x, format jsonl",
        "mapper    shell:cat",
    ]


async def test_a_job_shows_why_what_runs_was_started_again(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    api.jobs.start(job, maps=1, reduces=1)
    task = job.maps[0]
    (runs,) = task.attempts
    ended = [
        (AttemptStatus.FAILED, Failure("program_exited", "it ended with status 3")),
        (AttemptStatus.LOST, Failure("worker_unreachable", "worker at 127.0.0.1:1 was silent for too long")),
        (AttemptStatus.CANCELLED, None),
    ]
    task.attempts = [
        Attempt(AttemptId(f"{task.id}-{number}"), WorkerId("w2"), 1, status, failure=failure)
        for number, (status, failure) in enumerate(ended)
    ]
    task.attempts.append(replace(runs, id=AttemptId(f"{task.id}-3")))
    shown = (await apollo("job", job.id)).out
    retried = [line for line in shown.splitlines() if line.startswith("retried")]
    assert retried == [f"retried   {task.id} after 2 of its attempts: worker at 127.0.0.1:1 was silent for too long"]
    assert f"running   {task.id}-3 on" in shown


async def test_a_job_says_who_has_the_workers_it_waits_for(api, apollo):
    first, second = [api.jobs.job((await apollo("submit", *JOB)).out.strip()) for _ in range(2)]
    for job in (first, second):
        api.jobs.start(job, maps=1, reduces=1)
    attempt = first.maps[0].attempts[0]
    second.maps[0].status = TaskStatus.SCHEDULED
    second.maps[0].attempts.clear()
    busy, idle = Worker(attempt.worker, "w1:8090", attempt=attempt.id), Worker(WorkerId("w2"), "w2:8090")
    says = f"\nwaiting   the only worker is at work for other jobs: {first.id}\n"
    api.jobs.given_workers = [busy]
    assert says in (await apollo("job", second.id)).out
    assert "waiting" not in (await apollo("job", first.id)).out
    for others in ([], [busy, idle], [replace(busy, job=first.id)]):
        api.jobs.given_workers = others
        assert "waiting" not in (await apollo("job", second.id)).out


async def test_timings_say_where_time_went_and_of_which_attempts(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    api.jobs.start(job, maps=2, reduces=1)
    assert (await apollo("job", job.id, "--timings")).out.endswith("No attempt has told where its time went.\n")
    attempt = job.maps[0].attempts[0]
    attempt.timings = Timings(read_ms=2_500, program_ms=7_400, sort_ms=100)
    job.map_timings = attempt.timings.plus(Timings(program_ms=90_000))
    shown = (await apollo("job", job.id, "--timings")).out.splitlines()
    table = [line.split("  ") for line in shown[-13:]]
    rows = {cells[0]: [cell.strip() for cell in cells[1:] if cell] for cells in table}
    assert rows["STEP"] == ["MAP", "SHARE", "WHAT"]  # no reduce has told anything
    assert rows["read"] == ["2.5 s", "2 %", "Apollo waits for input, or for map outputs"]
    assert rows["program"] == [
        "1 min 37 s",
        "97 %",
        "the program works, or the built-in in its place: Apollo waits for it",
    ]
    assert rows["merge"][:2] == ["0.0 s", "0 %"]
    assert rows[attempt.id] == ["10.0 s", "program 74 %, read 25 %"]


async def test_explain_says_why_a_job_is_slow_in_the_words_of_the_command_line(api, apollo):
    job = (await apollo("submit", *JOB)).out.strip()
    lines = [Line("max-workers", "Too few.", {"workers": 2}, "maxWorkers", "Raise maxWorkers from 2 to 8.")]
    api.jobs.given_explanation = [*lines, Line("balanced", "All is well.")]
    assert (await apollo("explain", job)).out == "Too few. Raise --workers from 2 to 8.\nAll is well.\n"
    (document,) = (await apollo("explain", job, "--json")).documents
    assert document["lines"][0]["setting"] == "maxWorkers"
    refused = await apollo("explain", "nosuchjob")
    assert (refused.status, refused.out) == (1, "")


async def test_a_replay_that_does_not_begin_leaves_its_output_as_it_was(apollo, tmp_path):
    (tmp_path / "kept").write_text("of yesterday")
    refused = await apollo("replay", "nosuchjob", "m-0", "--output", "kept")
    assert (refused.status, refused.out) == (3, "")
    assert "nosuchjob" in refused.err
    assert (tmp_path / "kept").read_text() == "of yesterday"
    refused = await apollo("replay", "nosuchjob", "m-0", "--output", "nowhere/new")
    assert (refused.status, "--output nowhere/new: No such file or directory." in refused.err) == (2, True)


def test_a_replay_of_two_attempts_at_once_is_wrong_usage():
    done = CliRunner().invoke(cli, ["replay", "j", "m-00000-1", "--attempt", "0"])
    assert (done.exit_code, "'m-00000-1' is attempt 1, and --attempt says 0" in done.output) == (2, True)


async def test_no_job_runs_whose_bad_records_could_not_be_saved(api, apollo, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "something").touch()
    refused = await apollo("run", *JOB, "--bad-records", "kept")
    assert (refused.status, refused.err) == (1, "apollo: kept is not empty: name a directory that is, or a new one\n")
    assert not api.jobs.jobs()


async def test_the_slowest_attempts_are_in_the_order_of_what_they_took(api, apollo):
    """A task counts from its start to its end, and its attempts may have worked for only some of that time."""
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    api.jobs.start(job, maps=5, reduces=2)
    tasks = [*job.maps, *job.reduces]
    spent_ms = (300, 1_100, 200, 900, 500, 40_000, 50_000)
    for task, ended_ms, program_ms in zip(
        tasks, (9_000, 8_000, 7_000, 6_000, 5_000, 9_000, 8_000), spent_ms, strict=True
    ):
        timings = Timings(program_ms=program_ms)
        task.started_ms, task.ended_ms = 1_000, ended_ms
        task.attempts = [
            Attempt(AttemptId(f"{task.id}-0"), WorkerId("w1"), 1_000, AttemptStatus.SUCCEEDED, timings=timings)
        ]
    shown = (await apollo("job", job.id, "--timings")).out
    slowest = shown.partition("SLOWEST (3 of each phase)")[2].splitlines()[1:]
    expected = [(job.maps[1], "1.1 s"), (job.maps[3], "0.9 s"), (job.maps[4], "0.5 s")]
    expected += [(job.reduces[1], "50.0 s"), (job.reduces[0], "40.0 s")]
    assert [line.split()[:3] for line in slowest] == [[f"{task.id}-0", *took.split()] for task, took in expected]


async def test_timings_as_a_document_come_before_the_job(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    job.reduce_timings = Timings(merge_ms=3)
    timings, shown = (await apollo("job", job.id, "--timings", "--json")).documents
    assert timings["timings"]["reducer"]["merge"] == 3
    assert set(timings["timings"]["mapper"].values()) == {0}
    assert shown["id"] == job.id


@pytest.mark.parametrize("address", ["127.0.0.1:4750", "ftp://localhost"])
async def test_what_is_no_address_of_a_coordinator_is_wrong_usage(apollo, address):
    ended = await apollo("jobs", "--coordinator", address)
    assert ended.status == 2, ended
    assert "write one like http://" in ended.err


def test_a_full_disk_behind_standard_output_is_said_in_words():
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command("version"), env=environment(), stdout=full, stderr=subprocess.PIPE, check=False)
    assert ended.stderr == b"apollo: The output cannot be written: No space left on device.\n"
    assert ended.returncode == 1


async def test_a_failed_job_is_explained_with_status_1(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    job.failure = Failure(
        "program_exited", "map.sh exited with status 3.", program="map.sh", exit_status=3, stderr_tail="no such luck\n"
    )
    api.jobs.end(job, JobStatus.FAILED)
    ended = await apollo("wait", job.id)
    assert ended.status == 1, ended
    assert "map.sh exited with status 3." in ended.err
    assert "| no such luck" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_run_stops_its_job(api, start, number):
    running = await start("run", *JOB)
    job = await submitted(api)
    api.jobs.start(job, maps=1, reduces=1)
    assert b"running" in await running.process.stderr.readuntil(b"running")
    running.process.send_signal(number)
    running.process.send_signal(number)
    ended = await running.end()
    assert ended.status == 128 + number, ended
    assert "Traceback" not in ended.err
    assert job.status is JobStatus.STOPPED


async def test_an_interrupted_wait_leaves_the_job_alone(api, apollo, start):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    waiting = await start("wait", job.id)
    await waiting.process.stderr.readuntil(b"queued")
    waiting.process.send_signal(signal.SIGINT)
    ended = await waiting.end()
    assert ended.status == 130
    assert ended.err.endswith(f"The job goes on. Wait for it again with `apollo wait {job.id}`.\n")
    assert job.status is JobStatus.QUEUED


async def test_wrong_usage_is_status_2_in_the_words_of_the_command_line(api, apollo):
    ended = await apollo("submit", *JOB, "--partitioner", "rnage")
    assert ended.status == 2, ended
    assert "--partitioner" in ended.err
    assert "Traceback" not in ended.err
    assert api.jobs.jobs() == []


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--memory-budget", "1MiB", "An attempt cannot work with so little. Give 8MiB or more."),
        ("--env", "APOLLO_ROLE=map", "Choose another name, or use --param."),
        ("--credentials-secret", "mine", "Leave it out for the coordinator's own keys.\n"),
        ("--input", "https://key:secret@host/in/x", "Put the access key and its secret into the coordinator's envir"),
    ],
)
async def test_what_is_wrong_is_said_of_options_and_of_what_they_can_do(apollo, option, value, words):
    ended = await apollo("submit", *JOB, option, value)
    assert ended.status == 2, ended
    assert f"{option}: " in ended.err
    assert words in ended.err


async def test_what_a_job_file_gets_wrong_is_said_of_the_file(apollo, tmp_path):
    (tmp_path / "job.yaml").write_text("partitioner: rnage\nmemory-budget: 1\n")
    ended = await apollo("submit", *JOB, "--job-file", "job.yaml", "--memory-budget", "2")
    assert ended.status == 2, ended
    wrong = ended.err.partition("Error: ")[2].splitlines()
    assert {line.rpartition(": ")[0] for line in wrong} == {"--memory-budget", "--job-file job.yaml: partitioner"}


async def test_failures_and_troubles_name_options(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    job.trouble = "the limit is 100 bytes, a quarter of the job's memoryBudget; raise memoryBudget"
    trouble = (await apollo("job", job.id)).out
    assert (
        "it waits: the limit is 100 bytes, a quarter of the job's --memory-budget; raise --memory-budget\n" in trouble
    )
    job.failure = Failure("program_read_nothing", "nothing was read; set ignoreInput if that is meant")
    api.jobs.end(job, JobStatus.FAILED)
    assert "nothing was read; give --ignore-input if that is meant\n" in (await apollo("wait", job.id)).err
    (document,) = (await apollo("job", "--json", job.id)).documents
    assert document["failure"]["message"] == job.failure.message


async def test_a_run_whose_coordinator_is_away_says_how_to_do_without(apollo):
    options = (*JOB, "--coordinator", "http://127.0.0.1:9")
    assert "with APOLLO_COORDINATOR unset, `apollo run` runs the job here." in (await apollo("run", *options)).err
    assert "`apollo run` runs" not in (await apollo("submit", *options)).err


async def test_a_program_that_is_nowhere_is_named_with_its_option_and_status_1(apollo, tmp_path):
    ended = await apollo("submit", *JOB, "--mapper", "nobody.py")
    assert ended.status == 1, ended
    assert "--mapper nobody.py: this is neither a file here nor an artifact" in ended.err
    (tmp_path / "job.yaml").write_text("combiner: nobody.py\n")
    ended = await apollo("submit", *JOB, "--job-file", "job.yaml")
    assert "apollo: --job-file job.yaml: combiner nobody.py: this is neither" in ended.err


@pytest.mark.parametrize(
    "command",
    [("job",), ("wait",), ("stop",), ("counters",), ("logs",), ("artifacts", "rm")],
    ids=" ".join,
)
def test_an_empty_name_is_wrong_usage(command):
    refused = CliRunner().invoke(cli, [*command, ""])
    assert refused.exit_code == 2
    assert re.search(r"Error: (JOB|JOB\|TASK\|ATTEMPT|NAME) is empty; ", refused.output), refused.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rum"], "No such command 'rum'. Did you mean run?"),
        (["frobnicate"], "No such command 'frobnicate'."),
        (["run", *JOB, "--reducers", "two"], "'two' is not a valid whole number."),
        (["run", *JOB, "--group-key-fields", "x"], "'x' is not a valid whole number."),
        (["run", *JOB, "--key-order", "-k", "1,1"], "put all parts into quotes, as in '-k1,1 -k2,2nr'"),
        (
            ["run", "--input-with", "cat.py", "x.tsv", "--reducer", "cat.py", "--output", "y"],
            "'--reducer' stands where PROGRAM, FORMAT or PATH should; give all three",
        ),
        (["up", "--workers", "-1"], "-1 is not in the range 0<=x<=1000."),
        (["up", "--host", "nowhere.invalid"], "--host nowhere.invalid: this name does not resolve"),
    ],
)
def test_wrong_usage_says_what_is_wrong(arguments, said):
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 2
    assert said in refused.output


async def test_who_takes_an_s3_server_for_the_web_is_told(api, apollo):
    hint = "to read a page of the web, fetch it first"
    for last_word in ("credentials", "credentials."):
        api.jobs.refuse = StorageAccessDenied(f"s3://a/b at the S3 server https://site needs {last_word}")
        shown = (await apollo("submit", *JOB[:4], "--input", "https://site/a/b", *JOB[6:])).err
        assert "needs credentials. An http:// or https:// location is" in shown
        assert hint in shown
    words = ("--input-with", "shell:cat", "lines", "https://site/a/b", *JOB[2:4], *JOB[6:])
    assert hint in (await apollo("submit", *words)).err
    assert hint not in (await apollo("submit", *JOB)).err


async def test_an_input_that_is_missing_is_told_of_the_option_that_names_it(api, apollo):
    api.jobs.refuse = InputNotFound("nothing is at s3://in/x; check inputPath")
    ended = await apollo("submit", "--input-with", "shell:cat", "csv", "s3://in/x", *JOB[2:4], *JOB[6:])
    assert (ended.status, ended.err) == (1, "apollo: nothing is at s3://in/x; check --input-with\n")
    assert (await apollo("submit", *JOB)).err == "apollo: nothing is at s3://in/x; check --input\n"


async def test_a_working_directory_that_is_gone_is_said_to_be(tmp_path):
    script = (
        f"cd gone && rmdir ../gone && exec {sys.executable} -m apollo_client submit {shlex.join(JOB[:6])} --output y"
    )
    (tmp_path / "gone").mkdir()
    shell = await asyncio.create_subprocess_shell(
        script, cwd=tmp_path, env=environment(), stderr=asyncio.subprocess.PIPE
    )
    _, err = await shell.communicate()
    assert err == b"apollo: The working directory is gone: change into another one.\n"


async def test_lists_and_single_jobs(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB, "--name", "mine")).out.strip())
    api.jobs.start(job, maps=2, reduces=1)
    listed = await apollo("jobs")
    assert all(text in listed.out for text in (job.id, "running", "mine", "s3://out/y")), listed
    assert [document["id"] for document in (await apollo("jobs", "--json")).documents] == [job.id]
    shown = await apollo("job", job.id)
    assert "map 0/2" in shown.out
    assert "1 mapper in-progress" in shown.out
    assert (await apollo("--coordinator", "http://127.0.0.1:9", "job", job.id)).status == 1


async def test_stopping_twice_is_fine_and_an_ended_job_is_not_stopped(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    assert (await apollo("stop", job.id)).status == 0
    assert (await apollo("stop", job.id)).status == 0
    api.jobs.end(job, JobStatus.SUCCEEDED)
    refused = await apollo("stop", job.id)
    assert refused.status == 1, refused
    assert "has ended" in refused.err


async def test_counters_are_a_table_or_a_document(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    job.counters = {"words": {"long": 12}}
    table = await apollo("counters", job.id)
    assert ["words", "long", "12"] in [line.split() for line in table.out.splitlines()]
    (document,) = (await apollo("counters", "--json", job.id)).documents
    assert document["words"] == {"long": 12}


async def test_logs_are_followed_line_by_line(api, apollo, start):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    api.jobs.start(job, maps=1, reduces=1)
    attempt = job.maps[0].attempts[0].id
    following = await start("logs", "-f", job.id)
    await api.logs.append(attempt, b"first\nsec", 0)
    assert await following.process.stdout.readline() == f"{attempt} | first\n".encode()
    await api.logs.append(attempt, b"ond\n", len(b"first\nsec"))
    assert await following.process.stdout.readline() == f"{attempt} | second\n".encode()
    await api.logs.close_attempt(attempt)
    api.jobs.end(job, JobStatus.SUCCEEDED)
    assert (await following.end()).status == 0
    assert (await apollo("logs", attempt)).out == "first\nsecond\n"


async def test_logs_that_are_empty_are_said_to_be(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB, "--max-bad-records", "2")).out.strip())
    api.jobs.start(job, maps=1, reduces=1)
    attempt = job.maps[0].attempts[0].id
    await api.logs.close_attempt(attempt)
    for what in (attempt, job.id):
        ended = await apollo("logs", what)
        assert (ended.status, ended.out) == (0, "")
        assert ended.err.startswith("No program has written to standard error.")
        assert f"`apollo bad {job.id}`" in ended.err
    assert (await apollo("logs", "--json", job.id)).err == ""


async def test_logs_are_followed_no_further_when_their_reader_has_left(api, apollo, start):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    api.jobs.start(job, maps=1, reduces=1)
    attempt = job.maps[0].attempts[0].id
    reader, writer = os.pipe()
    following = await start("logs", "-f", job.id, stdout=writer)
    os.close(writer)
    await api.logs.append(attempt, b"first\n", 0)
    assert await asyncio.to_thread(os.read, reader, 100) == f"{attempt} | first\n".encode()
    os.close(reader)
    await api.logs.append(attempt, b"second\n", len(b"first\n"))
    _, err = await following.process.communicate()
    assert (following.process.returncode, err) == (128 + signal.SIGPIPE, b"")
    assert job.status is JobStatus.RUNNING


async def test_logs_are_followed_no_further_when_one_of_them_cannot_be_read(api, apollo):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    api.jobs.start(job, maps=1, reduces=1)
    damage_the_log(api, job.maps[0].attempts[0])
    ended = await apollo("logs", "-f", job.id)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("apollo: ")
    assert job.status is JobStatus.RUNNING


async def test_a_log_that_cannot_be_read_fails_no_job(api, start):
    running = await start("run", "--logs", *JOB)
    job = await submitted(api)
    api.jobs.start(job, maps=2, reduces=1)
    damaged = job.maps[0].attempts[0]
    damage_the_log(api, damaged)
    api.jobs.tell(job, "attempt-started", attempt=damaged.id)
    said = f"The log of {damaged.id} cannot be shown: "
    assert said.encode() in await running.process.stderr.readuntil(said.encode())
    other = Attempt(AttemptId(f"{job.id}-m-00001-0"), WorkerId("w2"), 4000, AttemptStatus.SUCCEEDED)
    job.maps[1].attempts.append(other)
    await api.logs.append(other.id, b"I went on\n", 0)
    api.jobs.tell(job, "attempt-started", attempt=other.id)
    api.jobs.end(job, JobStatus.SUCCEEDED)
    ended = await running.end()
    assert ended.status == 0, ended
    assert f"{other.id} | I went on\n" in ended.err
    assert f"Job {job.id} succeeded" in ended.err


async def test_a_long_line_that_does_not_end_is_told_in_pieces(api, apollo, start):
    job = api.jobs.job((await apollo("submit", *JOB)).out.strip())
    api.jobs.start(job, maps=1, reduces=1)
    attempt = job.maps[0].attempts[0].id
    following = await start("logs", "-f", job.id)
    await api.logs.append(attempt, b"x" * (MAX_LINE_BYTES + 1), 0)
    shown = await following.process.stdout.readexactly(MAX_LINE_BYTES)
    assert shown.startswith(f"{attempt} | xxx".encode())
    await api.logs.close_attempt(attempt)
    api.jobs.end(job, JobStatus.SUCCEEDED)
    assert (await following.end()).status == 0


async def test_artifacts_are_pushed_listed_and_removed(apollo, tmp_path):
    (tmp_path / "map.sh").write_text("#!/bin/sh\ncat\n")
    assert (await apollo("artifacts", "push", "map.sh")).status == 0
    (listed,) = (await apollo("artifacts", "ls", "--json")).documents
    assert listed["name"] == "map.sh"
    assert "map.sh" in (await apollo("artifacts", "ls")).out
    assert (await apollo("artifacts", "rm", "map.sh")).status == 0
    gone = await apollo("artifacts", "rm", "map.sh")
    assert gone.status == 1, gone
    assert "map.sh" in gone.err


async def test_a_reader_that_leaves_is_no_error(api, apollo, tmp_path):
    for _ in range(3):
        await apollo("submit", *JOB)
    pipeline = f"{sys.executable} -m apollo_client jobs --json | head -n 0"
    address = {"APOLLO_COORDINATOR": f"http://127.0.0.1:{api.port}", "PYTHONUNBUFFERED": "1"}
    shell = await asyncio.create_subprocess_shell(pipeline, env=environment(**address), stderr=asyncio.subprocess.PIPE)
    _, err = await shell.communicate()
    assert b"Traceback" not in err, err
