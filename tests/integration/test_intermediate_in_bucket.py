"""Jobs whose map outputs lie in a bucket, on one coordinator with real workers, behind a proxy that may spoil calls."""

import os
import secrets
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from apollo_common.ids import new_job_id
from chaos.corpus import partitioned, word_count, write_corpus
from support.apollo_cli import apollo
from support.coordinator_process import CoordinatorProcess, wait_for
from support.ports import free_port
from support.s3_faults import Fault, FaultPlan, Rule
from support.s3_proxy import CallDropped, running_s3_proxy

PARTS = 3
PREFIX = "shuffle/here"
MAPPER = "shell:awk '{ for (i = 2; i <= NF; i++) print $i \"\\t\" 1 }'"

pytestmark = pytest.mark.timeout(300)


class Site:
    """Input and output are files; only map outputs go through the proxy."""

    def __init__(self, server, proxy, directory: Path) -> None:
        self.proxy, self.client = proxy, server.client()
        self.bucket = f"test-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=self.bucket)
        self.directory = directory
        self.corpus = write_corpus(directory / "in", "bucket")
        self.expected = partitioned(word_count(self.corpus), PARTS)
        self.coordinator = CoordinatorProcess(
            directory / "coordinator",
            {
                **server.environment,
                "AWS_ENDPOINT_URL_S3": proxy.endpoint_url,
                "APOLLO_INTERMEDIATE_DIR": f"s3://{self.bucket}/{PREFIX}/",
            },
        )
        self.outputs = 0

    def submit(self, **body) -> str:
        self.outputs += 1
        return self.coordinator.submit(
            **{
                "mapperName": MAPPER,
                "reducerName": "builtin:sum",
                "nReducers": PARTS,
                "partitioner": "hadoop",
                "splitSize": "100KiB",
                "speculation": False,
                "inputPath": [path.as_uri() for path in self.corpus],
                "outputPath": (self.directory / f"out-{self.outputs}").as_uri(),
            }
            | body
        )

    def output(self) -> tuple[bytes, ...]:
        """Of the last job."""
        return tuple(
            (self.directory / f"out-{self.outputs}" / f"part-r-{part:05d}").read_bytes() for part in range(PARTS)
        )

    def keys(self, below: str = "") -> list[str]:
        """Objects and uploads below the prefix, but for the coordinator's mark."""
        where = {"Bucket": self.bucket, "Prefix": f"{PREFIX}/{below}"}
        found = self.client.list_objects_v2(**where).get("Contents", [])
        found += self.client.list_multipart_uploads(**where).get("Uploads", [])
        return [each["Key"] for each in found if "/apollo-coordinator-" not in each["Key"]]

    def wait_clean(self) -> None:
        wait_for(lambda: not self.keys(), "nothing to be left of the jobs")

    def attempts(self, job: str, kind: str) -> dict[str, list[str]]:
        """Attempts' statuses by task."""
        tasks = self.coordinator.request("GET", f"/jobs/{job}/tasks")
        return {
            task["id"]: [each["status"] for each in self.coordinator.request("GET", f"/tasks/{task['id']}/attempts")]
            for task in tasks
            if task["type"] == kind
        }


@pytest.fixture(scope="module")
def running(s3_server, tmp_path_factory):
    with running_s3_proxy(s3_server.endpoint_url, FaultPlan(seed=4)) as proxy:
        site = Site(s3_server, proxy, tmp_path_factory.mktemp("site"))
        with site.coordinator:
            yield site


@pytest.fixture
def site(running):
    before, after = running.proxy.before, running.proxy.after
    yield running
    running.proxy.plan.replace([])
    running.proxy.before, running.proxy.after = before, after


def test_a_job_shuffles_through_the_bucket_and_leaves_nothing_there(site):
    calls = len(site.proxy.calls)
    shown = site.coordinator.ended(site.submit())
    assert shown["status"] == "succeeded", shown
    assert site.output() == site.expected
    written = {call.key for call in site.proxy.calls[calls:] if call.operation == "PutObject"}
    maps = {key.split("/")[-2] for key in written}
    assert len(maps) > 5
    assert {key.rpartition("/")[2] for key in written} == {"data.arrow", "index"}
    site.wait_clean()


def test_kept_map_outputs_are_where_the_job_says(site):
    job = site.submit(keepIntermediate=True)
    shown = site.coordinator.ended(job)
    assert shown["status"] == "succeeded", shown
    assert shown["intermediateLocation"] == f"s3://{site.bucket}/{PREFIX}/{job}"
    kept = site.keys()
    assert {key.rpartition("/")[2] for key in kept} == {"data.arrow", "index"}
    assert all(key.startswith(f"{PREFIX}/{job}/{job}-m-") for key in kept)
    for key in kept:
        site.client.delete_object(Bucket=site.bucket, Key=key)


@pytest.mark.parametrize("harm", ["removed", "damaged"])
def test_a_map_output_that_cannot_be_read_is_made_again_and_no_other(site, harm):
    harmed = []

    async def before(call):
        if call.operation == "GetObject" and call.key.endswith("-m-00002-0/data.arrow") and not harmed:
            harmed.append(call.key)
            content = site.client.get_object(Bucket=site.bucket, Key=call.key)["Body"].read()
            if harm == "removed":
                site.client.delete_object(Bucket=site.bucket, Key=call.key)
            else:
                site.client.put_object(Bucket=site.bucket, Key=call.key, Body=b"\x55" * len(content))

    site.proxy.before = before
    job = site.submit()
    shown = site.coordinator.ended(job)
    assert shown["status"] == "succeeded", shown
    assert site.output() == site.expected
    assert harmed
    again = {task: len(attempts) for task, attempts in site.attempts(job, "mapper").items() if len(attempts) > 1}
    assert list(again) == [f"{job}-m-00002"]
    site.wait_clean()


def test_a_full_bucket_holds_the_job_until_there_is_room(site):
    site.proxy.plan.replace([Rule(Fault.FULL, frozenset({"PutObject"}), key=f"{PREFIX}/*")])
    job = site.submit(maxAttempts=1)
    trouble = wait_for(lambda: site.coordinator.job(job).get("trouble"), "the trouble")
    assert site.bucket in trouble
    assert "no space or quota left" in trouble
    site.proxy.plan.replace([])
    shown = site.coordinator.ended(job)
    assert shown["status"] == "succeeded", shown
    assert site.output() == site.expected
    site.wait_clean()


def test_a_bucket_that_refuses_fails_the_job_with_its_name(site):
    site.proxy.plan.replace([Rule(Fault.FORBIDDEN, frozenset({"PutObject"}), key=f"{PREFIX}/*")])
    shown = site.coordinator.ended(site.submit())
    assert (shown["status"], shown["failure"]["reason"]) == ("failed", "storage_access_denied")
    assert f"s3://{site.bucket}/{PREFIX}/" in shown["failure"]["message"]
    site.proxy.plan.replace([])
    site.wait_clean()


def test_a_stopped_job_leaves_nothing_in_the_bucket(site):
    job = site.submit(reducerName="shell:cat > /dev/null; sleep 600")
    wait_for(lambda: any("in-progress" in each["status"] for each in _reduces(site, job)), "a reduce")
    assert site.keys(job)
    assert site.coordinator.request("DELETE", f"/jobs/{job}")["status"] == "stopped"
    site.wait_clean()


def test_a_bucket_that_is_not_there_is_named_at_the_start(s3_server, tmp_path):
    where = {**s3_server.environment, "APOLLO_INTERMEDIATE_DIR": "s3://no-such-bucket/map-outputs"}
    outcome = apollo("up", "--port", free_port(), "--data-dir", tmp_path / "data", **where)
    assert outcome.status == 1
    assert "s3://no-such-bucket/map-outputs/" in outcome.stderr
    assert "is in no bucket that exists" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_what_a_crash_leaves_is_finished_or_swept(site):
    """Both workers die at their first uploads, the coordinator while reduces fetch; a stranger's job lies there too."""
    stranger = f"{PREFIX}/{new_job_id()}/m/0/data.arrow"
    site.client.put_object(Bucket=site.bucket, Key=stranger, Body=b"of a coordinator that knew it")
    site.client.create_multipart_upload(Bucket=site.bucket, Key=f"{stranger}.partial")
    deaths = []

    async def after(call):
        if call.operation == "PutObject" and call.key.endswith("/data.arrow") and "worker" not in deaths:
            deaths.append("worker")
            for pid in site.coordinator.worker_pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise CallDropped

    async def before(call):
        if call.operation == "GetObject" and "coordinator" not in deaths:
            deaths.append("coordinator")
            site.coordinator.kill()

    site.proxy.before, site.proxy.after = before, after
    shown = site.coordinator.ended(site.submit())
    assert shown["status"] == "succeeded", shown
    assert deaths == ["worker", "coordinator"]
    assert site.output() == site.expected
    site.wait_clean()


def _reduces(site, job: str):
    return [task for task in site.coordinator.request("GET", f"/jobs/{job}/tasks") if task["type"] == "reducer"]
