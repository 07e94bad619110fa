"""What jobs meet while they run: a worker dies, hangs or loses its network; the coordinator dies."""

from collections import Counter

import pytest

from support.compose.waiting import eventually
from support.rest_jobs import attempts_of, job_when, maps_completed, succeeded

pytestmark = pytest.mark.timeout(400)

WORKERS = 4
MAPS = 3  # fewer than workers: one takes over at once


@pytest.fixture(autouse=True)
async def _all_workers_are_there(rest):
    """Before each scenario: the one before has taken some away."""

    async def states() -> list[str]:
        return [worker["status"] async for worker in rest.workers()]

    await eventually(states, ["idle"] * WORKERS)


async def submit_held_maps(project, rest, slow_words, output, *, free=0) -> str:
    """None ends before the gate of the output's name is open, but for `free` ones; no backup helps an attempt."""
    split = slow_words.INPUT_BYTES // MAPS
    fields = {"maxWorkers": WORKERS, "splitSize": split, "speculation": False}
    return await slow_words.submit_held(rest, output, project.gate(output), free=free, **fields)


async def busy_worker(project, rest, job) -> tuple[str, str]:
    """The id of a worker that runs an attempt of the job now, and its container."""
    await job_when(rest, job, lambda document: document["progress"]["maps"]["running"] > 0)
    addresses = {worker["id"]: worker["address"] async for worker in rest.workers()}
    attempt = next(each for each in await attempts_of(rest, job) if each["status"] == "running")
    return attempt["worker"], project.worker_at(addresses[attempt["worker"]])


async def lost_only_at(rest, job, worker) -> None:
    """The worker's attempt was lost, none failed, and each task was accepted once."""
    attempts = await attempts_of(rest, job)
    assert {each["worker"] for each in attempts if each["status"] == "lost"} == {worker}
    assert {each["status"] for each in attempts} <= {"succeeded", "lost"}
    accepted = Counter(each["task"] for each in attempts if each["status"] == "succeeded")
    assert set(accepted.values()) == {1}


async def test_a_worker_is_killed_in_mid_job(project, rest, slow_words):
    job = await submit_held_maps(project, rest, slow_words, "worker-killed")
    worker, container = await busy_worker(project, rest, job)
    project.kill(container)
    project.open_gate("worker-killed")
    await succeeded(rest, job)
    assert slow_words.counted("worker-killed")
    await lost_only_at(rest, job, worker)


async def test_the_coordinator_is_killed_in_mid_job(project, rest, slow_words):
    job = await submit_held_maps(project, rest, slow_words, "coordinator-killed", free=1)
    await job_when(rest, job, maps_completed(1))
    before = {each["id"] for each in await attempts_of(rest, job) if each["status"] == "succeeded"}
    assert before
    project.kill("apollo-coordinator-1")
    project.open_gate("coordinator-killed")
    await succeeded(rest, job)
    assert slow_words.counted("coordinator-killed")
    attempts = await attempts_of(rest, job)
    tasks = [each["task"] for each in attempts]
    assert all(tasks.count(each["task"]) == 1 for each in attempts if each["id"] in before), "accepted work ran again"
    assert "failed" not in {each["status"] for each in attempts}


@pytest.mark.parametrize("harm", ["paused", "cut_off"])
async def test_a_worker_falls_silent(project, rest, slow_words, harm):
    """It hangs with its connections open, or goes on without a network: what it says later counts for nothing."""
    output = f"worker-{harm}"
    job = await submit_held_maps(project, rest, slow_words, output)
    worker, container = await busy_worker(project, rest, job)
    with getattr(project, harm)(container):
        project.open_gate(output)
        await succeeded(rest, job)
    assert slow_words.counted(output)
    await lost_only_at(rest, job, worker)
