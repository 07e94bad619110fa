"""Real file systems that are really full: a job waits and says for what, leaves nothing half-written, and goes on.

They are small, and filled by the test, which then gives the space back. To mount them needs root.
"""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.coordinator_process import wait_for
from support.services import Services
from support.small_disk import MIB, SmallDisk, needs_root

pytestmark = needs_root

DISK_BYTES = 32 * MIB
LINES = 100_000
SETTINGS = {"APOLLO_FILE_ROOTS": "/", "APOLLO_FULL_VOLUME_PROBE_SECONDS": "0.3"}


@dataclass(frozen=True)
class Place:
    """What lies on the small disk, in the words that users read, and where."""

    words: str
    below: str
    room_bytes: int = 0  # left when the job begins, less than it needs
    workers: int = 2


SPILL = Place("the intermediate volume", "services/volume/intermediate", room_bytes=MIB)
MERGE = Place("the worker's own disk", "services/volume/worker-0", room_bytes=MIB, workers=1)
OUTPUT = Place("the output's volume", "output", room_bytes=2 * MIB)


class Site:
    def __init__(self, root: Path, disk: SmallDisk, services: Services) -> None:
        self.root = root
        self.disk = disk
        self.services = services

    def submit(self, **fields: Any) -> str:
        return self.services.submit(**self.body(**fields))

    def body(self, **fields: Any) -> dict[str, Any]:
        """A job that sorts: eight maps, whose runs are more than one pass of the reduce can merge."""
        return {
            "inputType": "file/txt",
            "inputPath": f"file://{self.root}/input",
            "outputPath": f"file://{self.root}/output/sorted",
            "mapperName": "shell:cat",
            "reducerName": "shell:cat",
            "nReducers": 1,
            "splitSize": "512KiB",
            "memoryBudget": "8MiB",
        } | fields

    def answer(self, method: str, path: str, body: object = None) -> int:
        """The status alone."""
        content = None if body is None else json.dumps(body).encode()
        return self._answer(method, path, content, "application/json")

    def upload(self) -> int:
        """The same of an artifact's upload."""
        head = b'--line\r\nContent-Disposition: form-data; name="program"; filename="true.sh"\r\n\r\n'
        content = head + b"#!/bin/sh\ntrue\n" + b"\r\n--line--\r\n"
        return self._answer("PUT", "/api/v1/artifacts", content, "multipart/form-data; boundary=line")

    def read_records(self, job: str) -> int:
        """By its accepted maps: more would tell of one that counted twice."""
        records: int = self.services.request("GET", f"/jobs/{job}/counters")["apollo"]["input_records"]
        return records

    def _answer(self, method: str, path: str, content: bytes | None, kind: str) -> int:
        url = f"{self.services.url}{path}"
        request = urllib.request.Request(url, method=method, data=content, headers={"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def job(self, job: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.services.request("GET", f"/jobs/{job}")
        return shown

    def failures(self, job: str) -> list[dict[str, Any]]:
        tasks = self.services.request("GET", f"/jobs/{job}/tasks")
        attempts = [each for task in tasks for each in self.services.request("GET", f"/tasks/{task['id']}/attempts")]
        return [attempt["failure"] for attempt in attempts if "failure" in attempt]

    def sorted_by_coreutils(self) -> bytes:
        command = ["sort", str(self.root / "input")]
        return subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, check=True).stdout

    def output(self) -> bytes:
        return (self.root / "output/sorted/part-r-00000").read_bytes()


@contextmanager
def site(root: Path, place: Place) -> Iterator[Site]:
    lines = [b"%08d\tvalue %d of some length\n" % (number * 7919 % LINES, number) for number in range(LINES)]
    (root / "input").write_bytes(b"".join(lines))
    with (
        SmallDisk(root / place.below, DISK_BYTES) as disk,
        Services(root / "services", SETTINGS, workers=place.workers) as services,
    ):
        yield Site(root, disk, services)


def half_written(disk: SmallDisk) -> list[Path]:
    """Map outputs without their index, scratch files of merges, parts that nobody has accepted."""
    scratch = [path for path in disk.files() if "merge-" in str(path) or path.parent.name == ".apollo-staging"]
    return scratch + [path for path in disk.files() if path.suffix == ".arrow" and not path.with_name("index").exists()]


@pytest.mark.parametrize("place", [SPILL, MERGE, OUTPUT], ids=["spill", "merge", "output"])
def test_a_job_waits_for_room_and_goes_on_by_itself(tmp_path, place):
    with site(tmp_path, place) as here:
        here.disk.fill(leave_bytes=place.room_bytes)
        job = here.submit()
        shown = wait_for(lambda: (found := here.job(job)).get("trouble") and found, "the job's trouble")
        assert shown["status"] == "running"
        assert shown["trouble"].startswith(f"{place.words} is full: it needs about ")
        assert str(tmp_path) not in shown["trouble"]
        wait_for(lambda: len(here.failures(job)) > 2, "attempts that probe")
        wait_for(lambda: not half_written(here.disk), "what they wrote to be gone")

        here.disk.make_room()
        assert here.services.ended(job) == "succeeded"  # though one failure of the program would have been its end
        assert here.output() == here.sorted_by_coreutils()
        failures = here.failures(job)
        assert {failure["reason"] for failure in failures} == {"volume_full"}
        assert {failure["fullVolume"] for failure in failures} == {place.words}
        for failure in failures:
            assert 0 < failure["neededBytes"] <= 16 * MIB
        assert "trouble" not in here.job(job)
        assert not half_written(here.disk)


DATA = Place("the coordinator's volume", "services/volume/data")


def test_the_coordinators_full_volume_loses_no_job_and_takes_none(tmp_path):
    with site(tmp_path, DATA) as here:
        job = here.submit(mapperName=f"shell:cat; until test -e {tmp_path}/full; do sleep 0.1; done")
        here.disk.fill()
        (tmp_path / "full").touch()  # what the maps have done is to be journaled now
        trouble = wait_for(lambda: here.job(job).get("trouble"), "the job's trouble")
        assert (
            trouble == "the coordinator's volume is full: it needs about 1.0 MiB more; free space on it or enlarge it"
        )
        assert here.answer("GET", "/readyz") == 503
        assert here.answer("POST", "/api/v1/jobs", here.body(outputPath=f"file://{tmp_path}/output/other")) == 507
        assert here.upload() == 507
        assert here.answer("GET", "/healthz") == 200

        here.disk.make_room()
        assert here.services.ended(job) == "succeeded"
        assert here.output() == here.sorted_by_coreutils()
        assert here.read_records(job) == LINES
        wait_for(lambda: here.answer("GET", "/readyz") == 200, "the coordinator to take jobs again")
        assert here.upload() == 200


def test_a_coordinator_that_is_killed_while_its_volume_is_full_starts_there_and_goes_on(tmp_path):
    with site(tmp_path, DATA) as here:
        job = here.submit(mapperName=f"shell:cat; until test -e {tmp_path}/full; do sleep 0.1; done")
        here.disk.fill()
        (tmp_path / "full").touch()  # what the maps have done is to be journaled now
        wait_for(lambda: here.job(job).get("trouble"), "the job's trouble")
        here.services.kill("coordinator")
        assert here.disk.free_bytes < 64 << 10
        here.services.start_coordinator(takes_jobs=False)
        assert here.job(job)["status"] in ("running", "committing", "succeeded")  # with what was kept for a start
        assert here.answer("GET", "/readyz") == 503

        here.disk.fill()
        here.services.kill("coordinator")
        here.services.start_coordinator(takes_jobs=False)
        here.disk.make_room()
        assert here.services.ended(job) == "succeeded"
        assert here.output() == here.sorted_by_coreutils()
        assert here.read_records(job) == LINES
