"""Jobs from S3 to S3 through a proxy that makes calls go wrong, on one coordinator with real workers."""

import os
import secrets
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from chaos.corpus import partitioned, word_count, write_corpus
from support.coordinator_process import CoordinatorProcess, wait_for
from support.output_watcher import SUCCESS, OutputWatcher
from support.s3_faults import Fault, FaultPlan, Rule, everywhere
from support.s3_proxy import CallDropped, running_s3_proxy

PARTS = 3
OLD = {f"part-r-{number:05d}": b"old %d\n" % number for number in range(PARTS + 2)} | {SUCCESS: b'{"job": "older"}'}
MAPPER = "shell:awk '{ for (i = 2; i <= NF; i++) print $i \"\\t\" 1 }'"
SLOW_MAPPER = f"{MAPPER}; sleep 0.2"

pytestmark = pytest.mark.timeout(300)


class Site:
    """One coordinator behind one proxy; each job has an output of its own."""

    def __init__(self, server, proxy, directory: Path) -> None:
        self.proxy, self.client = proxy, server.client()
        self.bucket = f"test-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=self.bucket)
        corpus = write_corpus(directory / "in", "faults")
        for path in corpus:
            self.client.put_object(Bucket=self.bucket, Key=f"in/{path.name}", Body=path.read_bytes())
        parts = partitioned(word_count(corpus), PARTS)
        self.expected = {f"part-r-{number:05d}": content for number, content in enumerate(parts)}
        self.coordinator = CoordinatorProcess(
            directory / "coordinator", {**server.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint_url}
        )

    def submit(self, output: str, **body) -> str:
        return self.coordinator.submit(
            **{
                "mapperName": MAPPER,
                "reducerName": "builtin:sum",
                "nReducers": PARTS,
                "partitioner": "hadoop",
                "splitSize": "64KiB",
                "inputPath": f"s3://{self.bucket}/in/",
                "outputPath": f"s3://{self.bucket}/{output}",
            }
            | body
        )

    def write_old(self, output: str) -> None:
        for name, content in OLD.items():
            self.client.put_object(Bucket=self.bucket, Key=f"{output}/{name}", Body=content)

    def watched(self, output: str, old=None, new=None) -> OutputWatcher:
        return OutputWatcher(self.client, self.bucket, output, old or {}, self.expected if new is None else new)

    def wait_cleaned(self, output: str) -> None:
        prefix = f"{output}/"
        wait_for(
            lambda: not self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix).get("Uploads"),
            "every upload to be aborted",
        )


@pytest.fixture(scope="module")
def running(s3_server, tmp_path_factory):
    with running_s3_proxy(s3_server.endpoint_url, FaultPlan(seed=4)) as proxy:
        site = Site(s3_server, proxy, tmp_path_factory.mktemp("site"))
        with site.coordinator:
            yield site


@pytest.fixture
def site(running):
    hooks = running.proxy.before, running.proxy.after
    running.proxy.plan.injected.clear()
    yield running
    running.proxy.plan.replace([])
    running.proxy.before, running.proxy.after = hooks


def test_a_job_gets_over_what_passes(site):
    """About every tenth call goes wrong."""
    site.proxy.plan.replace(everywhere(0.012, seconds=0.5))
    outputs = [f"weather-{number}" for number in range(3)]
    jobs = [site.submit(output) for output in outputs]
    with site.watched(outputs[0]) as watcher:
        assert [site.coordinator.ended(job)["status"] for job in jobs] == ["succeeded"] * 3
    assert not watcher.violations
    assert sum(site.proxy.plan.injected.values()) > 5
    for output in outputs:
        with site.watched(output) as watcher:
            assert watcher.parts() == site.expected
        site.wait_cleaned(output)


@pytest.mark.parametrize(
    ("operation", "named"), [("UploadPart", "upload_part"), ("CreateMultipartUpload", "create_multipart_upload")]
)
def test_a_refused_part_fails_the_job_and_leaves_the_old_output(site, operation, named):
    """Nor is anything left of uploads that nobody ever heard of, because the answer to their beginning was lost."""
    output = f"refused-{operation}"
    site.write_old(output)
    refused = Rule(Fault.FORBIDDEN, frozenset({operation}), key=f"{output}/part-r-00001")
    unheard = Rule(Fault.LOST_ANSWER, frozenset({"CreateMultipartUpload"}), key=f"{output}/*", nth=frozenset({1, 3}))
    site.proxy.plan.replace([refused, unheard])
    with site.watched(output, OLD, {}) as watcher:
        shown = site.coordinator.ended(site.submit(output, overwrite=True))
        site.wait_cleaned(output)
        found, success = watcher.parts(), watcher.success()
    assert (shown["status"], shown["failure"]["reason"]) == ("failed", "storage_access_denied")
    assert site.proxy.plan.injected[Fault.LOST_ANSWER.value] == 2
    for word in (f"{output}/part-r-00001", "AccessDenied", named):
        assert word in shown["failure"]["message"]
    assert not watcher.violations
    assert found | {SUCCESS: success} == OLD


def test_a_stopped_job_leaves_the_old_output(site):
    output = "stopped"
    site.write_old(output)
    rule = Rule(Fault.HANG, frozenset({"UploadPart"}), key=f"{output}/part-r-00002", seconds=20)
    site.proxy.plan.replace([rule])
    with site.watched(output, OLD, {}) as watcher:
        job = site.submit(output, overwrite=True)
        wait_for(lambda: site.proxy.plan.injected, "an upload that hangs")
        assert site.coordinator.request("DELETE", f"/jobs/{job}")["status"] == "stopped"
        site.wait_cleaned(output)
        found, success = watcher.parts(), watcher.success()
    assert not watcher.violations
    assert found | {SUCCESS: success} == OLD


def test_a_refused_publication_fails_the_job_with_its_cause(site):
    output = "unpublished"
    rule = Rule(Fault.FORBIDDEN, frozenset({"CompleteMultipartUpload"}), key=f"{output}/part-r-00001")
    site.proxy.plan.replace([rule])
    with site.watched(output) as watcher:
        shown = site.coordinator.ended(site.submit(output))
        site.wait_cleaned(output)
        assert watcher.success() is None
    assert (shown["status"], shown["failure"]["reason"]) == ("failed", "storage_access_denied")
    for word in ("part-r-00001", "AccessDenied", "complete_multipart_upload"):
        assert word in shown["failure"]["message"]
    assert not watcher.violations


def test_a_publication_that_never_succeeds_shows_its_trouble_and_can_be_given_up(site):
    output = "endless"
    rule = Rule(Fault.INTERNAL_ERROR, frozenset({"CompleteMultipartUpload"}), key=f"{output}/part-r-00001")
    site.proxy.plan.replace([rule])
    with site.watched(output) as watcher:
        job = site.submit(output)
        trouble = wait_for(lambda: site.coordinator.job(job).get("trouble"), "the trouble")
        assert site.coordinator.job(job)["status"] == "committing"
        for word in ("part-r-00001", "InternalError", "complete_multipart_upload"):
            assert word in trouble
        stopped = site.coordinator.request("DELETE", f"/jobs/{job}")
        assert (stopped["status"], stopped["failure"]["reason"]) == ("stopped", "output_incomplete")
        site.wait_cleaned(output)
        assert watcher.success() is None
        assert "part-r-00001" not in watcher.parts()
        site.proxy.plan.replace([])
        again = site.coordinator.ended(site.submit(output, overwrite=True))
        assert again["status"] == "succeeded"
        assert watcher.parts() == site.expected
    assert not watcher.violations


@pytest.mark.parametrize("content", [b"", b"short\n", None], ids=["emptied", "shorter", "rewritten"])
def test_an_input_that_changes_under_the_job_is_an_error(site, content):
    key = f"changing-{secrets.token_hex(3)}/c.txt"
    before = site.client.get_object(Bucket=site.bucket, Key="in/c.txt")["Body"].read()
    site.client.put_object(Bucket=site.bucket, Key=key, Body=before)
    changed = []

    async def change_once(call):
        if call.operation == "GetObject" and call.key == key and not changed:
            changed.append(call)
            body = before[::-1] if content is None else content
            site.client.put_object(Bucket=site.bucket, Key=key, Body=body)

    site.proxy.before = change_once
    output = f"of-{key.partition('/')[0]}"
    shown = site.coordinator.ended(site.submit(output, inputPath=f"s3://{site.bucket}/{key}"))
    assert changed
    assert (shown["status"], shown["failure"]["reason"]) == ("failed", "input_changed")
    assert key in shown["failure"]["message"]
    site.wait_cleaned(output)


def test_workers_killed_while_they_upload_publish_nothing_twice_and_nothing_by_halves(site):
    """Both workers die at the first uploads: before the server has a piece, and when it has it but nobody knows."""
    output = "killed"
    deaths = []

    def strike(moment):
        async def kill(call):
            turn = moment == ("before", "after")[len(deaths) % 2]
            if turn and call.operation == "UploadPart" and call.key.startswith(output) and len(deaths) < 4:
                deaths.append(moment)
                for pid in site.coordinator.worker_pids():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                raise CallDropped

        return kill

    site.proxy.before, site.proxy.after = strike("before"), strike("after")
    site.write_old(output)
    with site.watched(output, OLD) as watcher:
        shown = site.coordinator.ended(
            site.submit(output, overwrite=True, mapperName=SLOW_MAPPER, maxAttempts=20, speculation=True)
        )
        assert shown["status"] == "succeeded", shown
        site.wait_cleaned(output)
        assert watcher.parts() == site.expected
    assert not watcher.violations
    assert deaths == ["before", "after", "before", "after"]
