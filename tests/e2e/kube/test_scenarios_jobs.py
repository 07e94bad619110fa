"""Jobs with nothing in their way: the examples, two at once, one that is stopped, and how soon a program works."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from apollo_client.rest import RestClient
from support.apollo_cli import REPOSITORY
from support.cluster import audit
from support.corpus import sorted_lines
from support.installation import COORDINATOR_USER, Installation, attempts_of, ended, job_when, submitted

pytestmark = pytest.mark.timeout(300)

EXAMPLES = REPOSITORY / "examples"
TEXTS = sorted((EXAMPLES / "data").glob("*.txt"))
INPUT = "texts/"


@pytest.fixture(scope="module", autouse=True)
def _texts(installation: Installation) -> None:
    for text in TEXTS:
        installation.put(f"{INPUT}{text.name}", text)


def expected(example: str, *arguments: str) -> bytes:
    command = ["/bin/sh", str(EXAMPLES / example / "expected.sh"), *arguments, *map(str, TEXTS)]
    return sorted_lines(subprocess.run(command, capture_output=True, check=True).stdout)


async def run(installation: Installation, rest: RestClient, *programs: Path, **fields: Any) -> bytes:
    """The sorted output of a mapper and a reducer over the texts."""
    for program in programs:
        await rest.upload(program)
    names = [program.name for program in programs]
    output = f"example-{names[0]}"
    job = await submitted(rest, installation.body(output, INPUT, *names, **fields))
    document = await ended(rest, job)
    assert document["status"] == "succeeded", document
    await installation.nothing_left(job)
    return sorted_lines(installation.output(output))


async def test_word_count_in_python(installation, rest):
    program = EXAMPLES / "word_count/word_count.py"
    assert await run(installation, rest, program, program, nReducers=2) == expected("word_count")


async def test_word_count_in_awk(installation, rest):
    programs = [EXAMPLES / "word_count/mapper.awk", EXAMPLES / "word_count/reducer.awk"]
    assert await run(installation, rest, *programs, combinerName="reducer.awk") == expected("word_count")


async def test_word_count_in_static_c(installation, rest, tmp_path):
    program, sdk = tmp_path / "word_count", REPOSITORY / "sdk/c"
    sources = [EXAMPLES / "word_count/word_count.c", sdk / "apollo.c"]
    subprocess.run(["cc", "-O2", "-static", "-D_GNU_SOURCE", f"-I{sdk}", "-o", program, *sources], check=True)
    assert await run(installation, rest, program, program) == expected("word_count")


async def test_grep_in_python(installation, rest):
    found = await run(installation, rest, EXAMPLES / "grep/grep.py", params={"pattern": "[Ll]iberty"})
    assert found == expected("grep", "[Ll]iberty")


async def test_inverted_index_in_python(installation, rest):
    program = EXAMPLES / "inverted_index/inverted_index.py"
    indexed = await run(installation, rest, program, program, combinerName=program.name, nReducers=3)
    assert indexed == expected("inverted_index")


async def test_two_jobs_at_once(installation, rest, slow_words):
    outputs = ["first", "second"]
    jobs = [await slow_words.submit(rest, output, seconds=2, maxWorkers=1) for output in outputs]
    spans = []
    for job, output in zip(jobs, outputs, strict=True):
        assert (await ended(rest, job))["status"] == "succeeded"
        assert slow_words.counted(output)
        attempts = await attempts_of(rest, job)
        spans.append((attempts[0]["startTime"], attempts[-1]["endTime"]))
        await installation.nothing_left(job)
    (first_began, first_ended), (second_began, second_ended) = spans
    assert first_began < second_ended
    assert second_began < first_ended


async def test_a_stopped_job_leaves_nothing(installation, rest, slow_words):
    job = await slow_words.submit(rest, "stopped", seconds=60)
    await job_when(rest, job, lambda document: document["progress"]["maps"]["running"] == 2)
    assert {left.partition(" ")[0] for left in installation.left_of(job)} == {"Pod", "Secret", "ConfigMap"}
    await rest.stop(job)
    assert (await ended(rest, job))["status"] == "stopped"
    await installation.nothing_left(job)
    assert installation.output("stopped") == b""


async def test_the_first_record_comes_soon(installation, rest, record_property):
    """From the call that creates a worker pod to the moment at which its program has read a record."""
    began = audit.now()
    tells_when = "shell:read -r line && date +%s.%N >&2 && cat"
    job = await submitted(rest, installation.body("timed", INPUT, tells_when, maxWorkers=1))
    assert (await ended(rest, job))["status"] == "succeeded"
    calls = audit.calls_of(installation.namespace.cluster.state, COORDINATOR_USER, began)
    (creation,) = [call for call in calls if (call.verb, call.resource) == ("create", "pods")]
    first, *_ = await attempts_of(rest, job)
    read_at = float(b"".join([chunk async for chunk in rest.log(first["id"])]))
    record_property("pod start to first record, seconds", f"{read_at - creation.at.timestamp():.1f}")
