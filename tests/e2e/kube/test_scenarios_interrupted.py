"""What a job meets while it runs: its pods are deleted, its coordinator is replaced, its node is drained or lost."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from support.cluster.cluster import NODE
from support.installation import COORDINATOR_POD
from support.rest_jobs import attempts_of, ended, job_when, maps_completed, troubled

pytestmark = pytest.mark.timeout(400)

WORKERS = "app.kubernetes.io/component=worker"


async def test_worker_pods_are_deleted_in_mid_job(installation, rest, slow_words):
    job = await slow_words.submit(rest, "pods-deleted")
    await job_when(rest, job, maps_completed(1))
    before = installation.pods_of(job)
    installation.namespace.kubectl("delete", "pods", "--selector", WORKERS, "--grace-period=0", "--force")
    assert (await ended(rest, job))["status"] == "succeeded"
    assert slow_words.counted("pods-deleted")
    attempts = await attempts_of(rest, job)
    assert not {attempt["worker"] for attempt in attempts} <= before.keys()
    assert "failed" not in {attempt["status"] for attempt in attempts}
    await installation.nothing_left(job)


async def test_the_coordinators_pod_is_deleted_in_mid_job(installation, rest, slow_words):
    job = await slow_words.submit(rest, "coordinator-deleted")
    await job_when(rest, job, maps_completed(1))
    before = installation.pods_of(job)
    installation.namespace.kubectl("delete", "pod", COORDINATOR_POD, "--grace-period=0", "--force")
    assert (await ended(rest, job))["status"] == "succeeded"
    assert slow_words.counted("coordinator-deleted")
    attempts = await attempts_of(rest, job)
    assert {attempt["worker"] for attempt in attempts} <= before.keys(), "its pods were not taken up again"
    await installation.nothing_left(job)


async def test_the_node_is_drained(installation, rest, slow_words):
    """And is the only one: the job waits until it takes pods again."""
    cluster = installation.namespace.cluster
    job = await slow_words.submit(rest, "drained")
    await job_when(rest, job, maps_completed(1))
    try:
        emptied = ("--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={WORKERS}", "--timeout=120s")
        cluster.kubectl("drain", NODE, *emptied)
        assert not installation.pods_of(job).keys() & {attempt["worker"] for attempt in await attempts_of(rest, job)}
        assert "1 node(s) were unschedulable" in await troubled(rest, job, "no node takes it")
    finally:
        cluster.kubectl("uncordon", NODE)
    assert (await ended(rest, job))["status"] == "succeeded"
    assert slow_words.counted("drained")
    assert "failed" not in {attempt["status"] for attempt in await attempts_of(rest, job)}
    await installation.nothing_left(job)


async def test_the_kubelet_stops_and_workers_freeze(installation, slow_words):
    """As a machine that hangs: Kubernetes gives its node up, and the machine comes back with all it ran."""
    cluster = installation.namespace.cluster
    async with installation.client(past_the_service=True) as rest:
        job = await slow_words.submit(rest, "frozen")
        await job_when(rest, job, maps_completed(1))
        frozen = _processes_of(installation.pods_of(job))
        cluster.kill_kubelet()
        try:
            _signal(frozen, signal.SIGSTOP)
            later = await slow_words.submit(rest, "meanwhile", seconds=0)
            await troubled(rest, job, "untolerated taint")
        finally:
            _signal(frozen, signal.SIGCONT)
            cluster.start_kubelet()
        for waited, output in ((job, "frozen"), (later, "meanwhile")):
            assert (await ended(rest, waited))["status"] == "succeeded"
            assert slow_words.counted(output)
            await installation.nothing_left(waited)


def _processes_of(pods: dict) -> list[int]:
    """Of their containers, as this machine sees them: a cgroup's path names its pod."""
    uids = [pod["metadata"]["uid"] for pod in pods.values()]
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            groups = (entry / "cgroup").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if any(uid in groups for uid in uids):
            found.append(int(entry.name))
    assert found
    return found


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
