"""Jobs with bad records, and their redrives, on real workers: what comes out is what the better mapper gives of all."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from support.coordinator_process import CoordinatorProcess

PARTS = 2
LINES = 400
BAD_EVERY = 100  # 1 %
SPLIT_BYTES = 1600  # some three of them
FRAGILE = "awk '/BAD/ { exit 3 } { print $1 \"\\t\" $2 }'"
FIXED = 'awk \'/BAD/ { sub(/BAD/, "", $2) } { print $1 "\\t" $2 }\''

pytestmark = pytest.mark.timeout(300)


class Site:
    """One coordinator and an input on disk; map outputs lie on its volume, or in a bucket."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        self.directory = directory
        self.input = directory / "in.txt"
        self.input.write_text("".join(_line(number) for number in range(LINES)))
        self.coordinator = CoordinatorProcess(directory / "coordinator", settings)

    def body(self, output: str, **fields: Any) -> dict[str, Any]:
        return {
            "inputPath": self.input.as_uri(),
            "outputPath": (self.directory / output).as_uri(),
            "mapperName": f"shell:{FRAGILE}",
            "reducerName": "builtin:sum",
            "nReducers": PARTS,
            "splitSize": SPLIT_BYTES,
            "maxBadRecords": 100,
            "keepIntermediate": True,
        } | fields

    def first(self, output: str, **fields: Any) -> str:
        """A job that has succeeded without its bad records."""
        job = self.coordinator.submit(**self.body(output, **fields))
        shown = self.coordinator.ended(job)
        assert (shown["status"], shown["badRecords"]) == ("succeeded", LINES // BAD_EVERY), shown
        return job

    @cached_property
    def kept(self) -> str:
        """A job with bad records, whose output is `kept`, and whose map outputs no test harms."""
        return self.first("kept")

    def redrive(self, job: str, output: str, **fields: Any) -> dict[str, Any]:
        return self.coordinator.request(
            "POST",
            f"/jobs/{job}/redrive",
            {"mapperName": f"shell:{FIXED}", "outputPath": (self.directory / output).as_uri()} | fields,
        )

    def redriven(self, job: str, output: str, **fields: Any) -> dict[str, Any]:
        answer = self.redrive(job, output, **fields)
        assert "job" in answer, answer
        shown = self.coordinator.ended(answer["job"]["id"])
        assert shown["status"] == "succeeded", shown
        return shown

    def map_outputs(self, job: str) -> Path:
        return Path(self.coordinator.job(job)["intermediateLocation"].removeprefix("file://"))

    def parts(self, output: str) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.directory / output).glob("part-*"))]

    def mapped(self, mapper: str) -> bytes:
        """By the program alone, in one go."""
        return subprocess.run(["sh", "-c", f"{mapper} '{self.input}'"], capture_output=True, check=False).stdout


def _line(number: int) -> str:
    bad = "BAD" if number % BAD_EVERY == 7 else ""
    return f"key{number * 7 % 31} {bad}{number}\n"


def sums(pairs: bytes) -> bytes:
    script = "awk -F'\\t' '{ s[$1] += $2 } END { for (k in s) print k \"\\t\" s[k] }' | LC_ALL=C sort"
    return subprocess.run(["sh", "-c", script], input=pairs, capture_output=True, check=True).stdout


def in_order(lines: bytes) -> bytes:
    return subprocess.run(["sort"], input=lines, env={"LC_ALL": "C"}, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def on_volume(tmp_path_factory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("volume"), {})
    with site.coordinator:
        yield site


@pytest.fixture(scope="module")
def in_bucket(s3_server, tmp_path_factory) -> Iterator[Site]:
    bucket = f"test-{secrets.token_hex(6)}"
    s3_server.client().create_bucket(Bucket=bucket)
    settings = {
        **s3_server.environment,
        "AWS_ENDPOINT_URL_S3": s3_server.endpoint_url,
        "APOLLO_INTERMEDIATE_DIR": f"s3://{bucket}/shuffle/",
    }
    site = Site(tmp_path_factory.mktemp("bucket"), settings)
    with site.coordinator:
        yield site


@pytest.fixture(params=["on_volume", "in_bucket"])
def site(request) -> Site:
    return request.getfixturevalue(request.param)


def test_a_redrive_gives_what_the_fixed_mapper_gives_of_everything(site):
    job = site.kept
    good = b"".join(line for line in site.mapped(FIXED).splitlines(keepends=True) if _is_good(line))
    assert in_order(b"".join(site.parts("kept"))) == sums(good)
    shown = site.redriven(job, "sums-redriven")
    assert shown["redriveOf"] == job
    assert in_order(b"".join(site.parts("sums-redriven"))) == sums(site.mapped(FIXED))
    whole = site.coordinator.ended(
        site.coordinator.submit(**site.body("sums-of-all", mapperName=f"shell:{FIXED}", maxBadRecords=0))
    )
    assert site.parts("sums-redriven") == site.parts("sums-of-all")
    counters = [site.coordinator.request("GET", f"/jobs/{each['id']}/counters")["apollo"] for each in (shown, whole)]
    told = [
        {name: each[name] for name in ("input_records", "map_output_records", "output_records")} for each in counters
    ]
    assert told[0] == told[1]
    tasks = site.coordinator.request("GET", f"/jobs/{shown['id']}/tasks")
    assert sum("adoptedFrom" in task for task in tasks) == whole["progress"]["maps"]["total"]
    assert {task["attempts"] for task in tasks if "adoptedFrom" in task} == {0}
    assert all(task["badRecordsOf"].startswith(job) for task in tasks if "badRecordsOf" in task)
    manifest = json.loads((site.directory / "sums-redriven/_SUCCESS").read_text())
    assert (manifest["job"], manifest["spec"]["redriveOf"]) == (shown["id"], job)
    assert site.coordinator.request("GET", f"/jobs/{shown['id']}/explanation")["lines"]


def _is_good(pair: bytes) -> bool:
    return int(pair.split()[1]) % BAD_EVERY != 7


def test_a_reducer_that_heeds_the_order_of_values_gets_the_same_of_each_key(on_volume):
    job = on_volume.first("pairs", reducerName="builtin:identity", partitioner="range")
    on_volume.redriven(job, "pairs-redriven")
    parts = on_volume.parts("pairs-redriven")
    assert in_order(b"".join(parts)) == in_order(on_volume.mapped(FIXED))
    keys = [line.split(b"\t")[0] for part in parts for line in part.splitlines()]
    assert keys == sorted(keys), "the splitters of the first job cut its redrive too"
    assert len(parts) == PARTS
    assert all(parts)


@pytest.mark.parametrize(
    ("record_format", "see"),
    [("hadoop-offset", "$3"), ("csv: ", "$2")],
)
def test_records_of_any_format_come_back_as_they_were(on_volume, record_format, see):
    name = record_format.partition("-")[0].partition(":")[0]
    fragile = f"shell:awk '/BAD/ {{ exit 3 }} {{ print {see} \"\\t\" $0 }}'"
    fixed = f"shell:awk '{{ print {see} \"\\t\" $0 }}'"
    shape = {"inputFormat": record_format, "reducerName": "builtin:identity"}
    job = on_volume.first(name, **shape, mapperName=fragile)
    on_volume.redriven(job, f"{name}-redriven", mapperName=fixed)
    whole = on_volume.coordinator.submit(**on_volume.body(f"{name}-of-all", **shape, mapperName=fixed, maxBadRecords=0))
    assert on_volume.coordinator.ended(whole)["status"] == "succeeded"
    redriven, of_all = (on_volume.parts(f"{name}-{what}") for what in ("redriven", "of-all"))
    assert in_order(b"".join(redriven)) == in_order(b"".join(of_all))
    assert b"BAD" in b"".join(redriven)


def test_a_map_only_job_gives_what_its_bad_records_give(on_volume):
    job = on_volume.first("map-only", nReducers=0, reducerName=None, keepIntermediate=False)
    on_volume.redriven(job, "map-only-redriven")
    both = b"".join([*on_volume.parts("map-only"), *on_volume.parts("map-only-redriven")])
    assert in_order(both) == in_order(on_volume.mapped(FIXED))
    assert len(b"".join(on_volume.parts("map-only-redriven")).splitlines()) == LINES // BAD_EVERY


def test_map_outputs_that_are_damaged_or_gone_are_told_with_what_to_do(on_volume):
    job = on_volume.first("harmed")
    for file in on_volume.map_outputs(job).glob("*-m-00001/*/*"):
        os.truncate(file, 3)
    answer = on_volume.redrive(job, "harmed-redriven")
    shown = on_volume.coordinator.ended(answer["job"]["id"])
    assert (shown["status"], shown["failure"]["reason"]) == ("failed", "fetch_failed")
    assert f"apollo redrive {job} --remap" in shown["failure"]["message"]
    shutil.rmtree(on_volume.map_outputs(job))
    refused = on_volume.redrive(job, "harmed-redriven")
    assert (refused["status"], refused["type"]) == (409, "urn:apollo:problem:map_outputs_gone")
    assert refused["inputBytes"] == on_volume.input.stat().st_size
    assert refused["mapTasks"] == -(-refused["inputBytes"] // SPLIT_BYTES)
    assert refused["mapMilliseconds"] > 0
    shown = on_volume.redriven(job, "harmed-redriven", remap=True)
    assert "redriveOf" not in shown
    assert in_order(b"".join(on_volume.parts("harmed-redriven"))) == sums(on_volume.mapped(FIXED))


def test_a_record_that_is_still_bad_is_skipped_again_and_a_redrive_is_not_redriven(on_volume):
    job = on_volume.kept
    shown = on_volume.redriven(job, "still-redriven", mapperName=f"shell:{FRAGILE}")
    assert shown["badRecords"] == LINES // BAD_EVERY
    assert on_volume.parts("still-redriven") == on_volume.parts("kept")
    refused = on_volume.redrive(shown["id"], "still-again")
    assert (refused["status"], refused["type"]) == (409, "urn:apollo:problem:redrive_of_redrive")
    assert job in refused["detail"]


def test_a_redrive_goes_on_after_a_kill_and_its_key_gives_the_same_job(on_volume):
    site = on_volume
    job = site.kept
    body = {"mapperName": f"shell:sleep 1; {FIXED}", "outputPath": (site.directory / "killed-redriven").as_uri()}
    path, headers = f"/jobs/{job}/redrive", {"Idempotency-Key": "once"}
    first = site.coordinator.request("POST", path, body, headers)["job"]["id"]
    site.coordinator.kill()
    site.coordinator.start()
    assert site.coordinator.request("POST", path, body, headers)["job"]["id"] == first
    assert site.coordinator.ended(first)["status"] == "succeeded"
    assert in_order(b"".join(site.parts("killed-redriven"))) == sums(site.mapped(FIXED))
