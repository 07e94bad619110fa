"""The coordinator killed between any two calls of the commit, with real processes and a real S3 server.

Every position takes minutes: `PYTEST_EVERY_CALL=1` asks for them; without it a few are drawn by a fixed seed.
"""

import json
import os
import random
from pathlib import Path

import pytest

from chaos.corpus import partitioned, word_count, write_corpus
from support.coordinator_process import CoordinatorProcess, wait_for
from support.output_watcher import SUCCESS, OutputWatcher
from support.s3_calls import Call
from support.s3_proxy import CallDropped, S3Proxy, running_s3_proxy

PARTS = 3
OLD = {f"part-r-{number:05d}": b"old %d\n" % number for number in range(PARTS + 2)} | {SUCCESS: b'{"job": "older"}'}
SAMPLE = 3
MAPPER = "shell:awk '{ for (i = 2; i <= NF; i++) print $i \"\\t\" 1 }'"


class Killer:
    """Kills the coordinator at one call of a commit: before it is passed on, or when its answer is due."""

    def __init__(self, coordinator: CoordinatorProcess) -> None:
        self._coordinator = coordinator
        self.arm(None)

    def arm(self, position: int | None, *, done_first: bool = False) -> None:
        """At the call of this number, from 1, behind the last uploaded part. None: never, only count."""
        self._position, self._done_first = position, done_first
        self._uploaded = 0
        self.commit_calls: list[str] = []
        self.killed_at = ""

    @property
    def armed(self) -> bool:
        return self._position is not None and not self.killed_at

    async def before(self, call: Call) -> None:
        if self._uploaded < PARTS:
            return
        self.commit_calls.append(call.operation)
        if not self._done_first:
            self._strike(call)

    async def after(self, call: Call) -> None:
        if call.operation == "UploadPart":
            self._uploaded += 1
        elif self._done_first:
            self._strike(call)

    def _strike(self, call: Call) -> None:
        if self.armed and len(self.commit_calls) >= (self._position or 0):
            self._coordinator.kill()
            self.killed_at = call.operation
            raise CallDropped


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list[Path]:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "in", "commit")[2:]


@pytest.fixture(scope="module")
def expected(corpus) -> dict[str, bytes]:
    parts = partitioned(word_count(corpus), PARTS)
    return {f"part-r-{number:05d}": content for number, content in enumerate(parts)}


class Trials:
    """Jobs of one kind, each into an output of its own, on one coordinator that is killed now and then."""

    def __init__(self, server, bucket, proxy: S3Proxy, directory: Path, corpus, expected) -> None:
        self.server, self.bucket, self.corpus, self.expected = server, bucket, corpus, expected
        self.client = server.client()
        settings = {**server.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint_url}
        self.coordinator = CoordinatorProcess(directory / "coordinator", settings, workers=1)
        self.killer = Killer(self.coordinator)
        proxy.before, proxy.after = self.killer.before, self.killer.after
        self.count = 0

    def run(self, *, overwrite: bool, position: int | None = None, done_first: bool = False) -> None:
        """One job, judged."""
        self.count += 1
        output = f"out-{self.count}"
        old = OLD if overwrite else {}
        for name, content in old.items():
            self.client.put_object(Bucket=self.bucket, Key=f"{output}/{name}", Body=content)
        self.killer.arm(position, done_first=done_first)
        with OutputWatcher(self.client, self.bucket, output, old, self.expected) as watcher:
            job = self.coordinator.submit(
                mapperName=MAPPER,
                reducerName="builtin:sum",
                nReducers=PARTS,
                partitioner="hadoop",
                speculation=False,
                overwrite=overwrite,
                inputPath=[f"file://{path}" for path in self.corpus],
                outputPath=f"s3://{self.bucket}/{output}",
            )
            shown = self.coordinator.ended(job)
            where = f"{self.killer.killed_at} {position} of {self.killer.commit_calls}, done first: {done_first}"
            assert shown["status"] == "succeeded", f"{where}: {shown}"
            wait_for(lambda: self._cleaned(output), f"the clean-up after {where}")
            found = watcher.parts()
            success = watcher.success()
        assert not watcher.violations, f"{where}: {watcher.violations[:3]}"
        assert watcher.looks > 5
        assert found == self.expected, where
        manifest = json.loads(success or b"{}")
        assert manifest["job"] == job
        assert [part["size"] for part in manifest["parts"]] == [len(content) for content in self.expected.values()]
        assert bool(self.killer.killed_at) == (position is not None), where

    def _cleaned(self, output: str) -> bool:
        """No upload is left, and the clean-up's own listing, the last call of a job, is done; death may come at it."""
        if self.coordinator.dead:
            self.coordinator.start()
        left = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=f"{output}/").get("Uploads", [])
        done = self.killer.commit_calls.count("ListMultipartUploads") >= 2
        return done and not left and not self.killer.armed


@pytest.fixture
def trials(s3_server, s3_bucket, tmp_path, corpus, expected):
    with running_s3_proxy(s3_server.endpoint_url) as proxy:
        made = Trials(s3_server, s3_bucket, proxy, tmp_path, corpus, expected)
        with made.coordinator:
            yield made


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("overwrite", [False, True], ids=["fresh", "overwrite"])
def test_a_commit_is_finished_wherever_the_coordinator_was_killed(trials, overwrite):
    trials.run(overwrite=overwrite)
    calls = trials.killer.commit_calls
    assert calls.count("CompleteMultipartUpload") == PARTS
    assert calls[-2:] == ["PutObject", "ListMultipartUploads"]  # `_SUCCESS` comes last; then the clean-up
    deaths = [(number + 1, done_first) for number in range(len(calls)) for done_first in (False, True)]
    if not os.environ.get("PYTEST_EVERY_CALL"):
        deaths = random.Random(f"deaths {overwrite}").sample(deaths, SAMPLE)
    for position, done_first in deaths:
        trials.run(overwrite=overwrite, position=position, done_first=done_first)
