"""Jobs with nothing in their way: the examples, two at once, one that is stopped, and how soon a program works."""

import pytest

from support.cluster import audit
from support.examples import EXAMPLES, TEXTS_INPUT, put_texts
from support.installation import COORDINATOR_USER, Installation
from support.rest_jobs import attempts_of, ended, job_when, submitted

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def _texts(installation: Installation) -> None:
    put_texts(installation)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
async def test_an_example(installation, rest, example, tmp_path):
    job, output = await example.run(installation, rest, tmp_path)
    assert output == example.expected()
    await installation.nothing_left(job)


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
    job = await submitted(rest, installation.body("timed", TEXTS_INPUT, tells_when, maxWorkers=1))
    assert (await ended(rest, job))["status"] == "succeeded"
    calls = audit.calls_of(installation.namespace.cluster.state, COORDINATOR_USER, began)
    (creation,) = [call for call in calls if (call.verb, call.resource) == ("create", "pods")]
    first, *_ = await attempts_of(rest, job)
    read_at = float(b"".join([chunk async for chunk in rest.log(first["id"])]))
    record_property("pod start to first record, seconds", f"{read_at - creation.at.timestamp():.1f}")
