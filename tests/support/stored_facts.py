"""One fact of every durable kind with no field left at its default, and how a journal keeps them.

`stored_facts.json` beside this holds a row for each as it was first written, from version 0.1.0 on: every later version
has to read them. Rows are only appended: for a new kind, and for a new field a further fact of its kind. Run this file
to print all rows as the present code writes them.
"""

import json
from dataclasses import replace
from pathlib import Path

from apollo_common.assignment import PartUpload, Split, SplitPiece
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_common.timings import Timings
from apollo_coordinator.core import facts
from apollo_coordinator.core.adoption import AdoptedOutput, Adoption, BadRecordRange
from apollo_coordinator.core.codec import encode
from apollo_coordinator.core.model import AttemptOutput, Failure, JobStatus, LargestGroup, RecordPlace, TaskTotals
from apollo_coordinator.core.plan import SplitPolicy
from apollo_coordinator.core.pod_overrides import PodOverrides, Toleration
from apollo_coordinator.core.spec import JobInput, JobSpec, KeyRules, ProgramRef, ProgramSource, SideFileRef, TextFields
from apollo_coordinator.core.summary import JobSummary

STORED = Path(__file__).with_suffix(".json")
STORED_SUMMARY = Path(__file__).with_name("stored_summary.json")

JOB = JobId("k3v9d2m7q4xa")
MAP = AttemptId("k3v9d2m7q4xa-m-00001-2")
REDUCE = AttemptId("k3v9d2m7q4xa-r-00000-0")
SAMPLE = AttemptId("k3v9d2m7q4xa-s-00001-0")
WORKER = WorkerId("worker-7")
FAILURE = Failure(
    "program_exited",
    "the réducer died",
    retryable=False,
    task="k3v9d2m7q4xa-m-00001",
    attempt=MAP,
    program="map.py",
    exit_status=3,
    signal=9,
    input="s3://bucket/in.gz from byte 7",
    stderr_tail="boom\n",
)
PODS = PodOverrides(
    requests={"cpu": "500m"},
    limits={"memory": "2Gi"},
    image="worker:2",
    node_selector={"disk": "fast"},
    tolerations=(Toleration("spot", "Exists", "true", "NoExecute", 60), Toleration("pool")),
    priority_class_name="high",
    service_account_name="readers",
    labels={"example.com/team": "data"},
)
SPEC = JobSpec(
    input_paths=("s3://bucket/in*", "file:///data/é"),
    output_path="s3://bucket/out",
    mapper=ProgramRef(ProgramSource.ARTIFACT, "map.py", "ab" * 32, "frames", "pipe"),
    reducer=ProgramRef(ProgramSource.BUILTIN, "builtin:sum"),
    combiner=ProgramRef(ProgramSource.SHELL, "sort | uniq -c", stdio="pipe"),
    n_reducers=3,
    name="words",
    input_type="file/jsonl",
    use_ssl=False,
    split_size_bytes=123_456,
    overwrite=True,
    params={"k": "v"},
    env={"LANG": "C"},
    files=(SideFileRef("words.txt", "cd" * 32),),
    max_attempts=7,
    timeout_seconds=60,
    partitioner="field:2",
    output_format="jsonl",
    compression="zstd",
    max_workers=5,
    memory_budget_bytes=99_000_000,
    priority=-3,
    speculation=False,
    keep_intermediate=True,
    max_bad_records=11,
    ignore_input=True,
    credentials_secret="storage-login",
    idempotency_key="retry-1",
    body_digest="ef" * 32,
)
INPUTS = (
    JobInput("s3://bucket/in*", SPEC.mapper, "csv:;"),
    JobInput("file:///data/é", ProgramRef(ProgramSource.SHELL, "cat"), "whole"),
)
OUTPUT = AttemptOutput(
    path="k3v9d2m7q4xa/k3v9d2m7q4xa-m-00001/k3v9d2m7q4xa-m-00001-2",
    url="s3://bucket/out/part-r-00000",
    upload_id="upload-1",
    parts=(PartUpload(1, "etag-1", 5), PartUpload(2, "etag-2", 6)),
    size_bytes=11,
    records=4,
    sha256="01" * 32,
)
TIMINGS = Timings(read_ms=1, merge_ms=2, send_ms=3, program_ms=4000, receive_ms=5, sort_ms=6, write_ms=7, commit_ms=8)
SPLITS = (
    Split(
        (SplitPiece("s3://bucket/in.gz", 7, 8, 15, "v1", "gzip"), SplitPiece("file:///data/é", 0, 3, 3, "v0")),
        "fixed:3",
    ),
    Split((SplitPiece("s3://bucket/in2", 0, 9, 9, "v2"),), "whole"),
)
FIRST = JobId("w8c5n3x6h2tz")
ADOPTION = Adoption(
    (
        AdoptedOutput(AttemptId(f"{FIRST}-m-00000-1"), f"{FIRST}/{FIRST}-m-00000/{FIRST}-m-00000-1", 77, 5),
        BadRecordRange(AttemptId(f"{FIRST}-m-00000-1"), 1, 2, 33),
    ),
    {"apollo": {"input_records": 10}},
    "eJxjYGBgAAAABAAB",
)
FACTS: tuple[facts.DurableFact, ...] = (
    facts.JobAccepted(1, JOB, SPEC),
    facts.JobStarted(2, JOB),
    facts.MapsPlanned(3, JOB, SPLITS),
    facts.AttemptStarted(4, MAP, WORKER),
    facts.UploadOpened(5, REDUCE, "s3://bucket/out/part-r-00000", "upload-1"),
    facts.AttemptAccepted(6, REDUCE, OUTPUT, {"apollo": {"input_records": 10}, "mine": {"n": -1}}),
    facts.AttemptFailed(7, MAP, FAILURE),
    facts.AttemptLost(8, MAP, FAILURE),
    facts.AttemptCancelled(9, MAP, "another one was first"),
    facts.MapOutputLost(10, MAP, FAILURE),
    facts.CommitStarted(11, JOB),
    facts.JobEnded(12, JOB, JobStatus.FAILED, FAILURE),
    facts.JobCleaned(13, JOB),
    facts.AttemptStarted(14, REDUCE, WORKER, speculative=True),
    facts.JobAccepted(15, JOB, replace(SPEC, job_timeout_seconds=3600)),
    facts.AttemptReattached(16, MAP, WORKER),
    facts.JobAccepted(17, JOB, replace(SPEC, user="alice")),
    facts.JobAccepted(18, JOB, replace(SPEC, kubernetes=PODS)),
    facts.JobAccepted(19, JOB, replace(SPEC, network=True)),
    facts.JobAccepted(20, JOB, replace(SPEC, brings_credentials=True)),
    facts.JobAccepted(21, JOB, replace(SPEC, text=TextFields("::", 2, "=", ",", 3, " "))),
    facts.JobAccepted(22, JOB, replace(SPEC, keys=KeyRules("::", "-k1,1 -k2,2nr", 1))),
    facts.MapsPlanned(23, JOB, SPLITS, sampled=(0, 1)),
    facts.AttemptAccepted(24, SAMPLE, replace(OUTPUT, sample="eJxjYGBgAAAABAAB"), {}),
    facts.SplittersChosen(25, JOB, "eJxjYGBgAAAABAAB"),
    facts.JobAccepted(26, JOB, replace(SPEC, part_prefix="part-")),
    facts.JobAccepted(
        27,
        JOB,
        replace(SPEC, record_format="csv:;", inputs=INPUTS, split_policy=SplitPolicy.PACKED, allow_no_input=True),
    ),
    facts.MapsPlanned(28, JOB, tuple(replace(split, job_input=1) for split in SPLITS)),
    facts.AttemptAccepted(29, MAP, OUTPUT, {"apollo": {"input_records": 1}}, TIMINGS),
    facts.JobAccepted(30, JOB, replace(SPEC, redrive_of=FIRST)),
    facts.MapsPlanned(31, JOB, SPLITS, adoption=ADOPTION),
    facts.AttemptFailed(32, MAP, replace(FAILURE, fingerprint="0123456789abcdef")),
    facts.AttemptFailed(
        33, MAP, replace(FAILURE, reason="volume_full", full_volume="the intermediate volume", needed_bytes=1 << 20)
    ),
    facts.AttemptFailed(34, MAP, replace(FAILURE, bad_record=RecordPlace("s3://bucket/in", 9, 4, "bad\n"))),
    facts.AttemptStarted(80, MAP, WORKER, workers=4, worker_joined_ms=3),
    facts.AttemptAccepted(
        81, REDUCE, OUTPUT, {"apollo": {}}, replace(TIMINGS, start_ms=9, search_ms=8), 12, LargestGroup("hot", 7, 9)
    ),
    facts.JobAccepted(82, JOB, replace(SPEC, remap_of=FIRST)),
)

SUMMARY = JobSummary(
    JOB,
    SPEC,
    created_ms=1,
    status=JobStatus.FAILED,
    started_ms=2,
    ended_ms=3,
    planned=True,
    counters={"apollo": {"input_records": 10}},
    totals=TaskTotals(5, 4, 3, 2),
    failure=FAILURE,
)

if __name__ == "__main__":
    rows = [dict(zip(("kind", "body"), encode(fact), strict=True)) for fact in FACTS]
    print(json.dumps(rows, indent=1, ensure_ascii=False))  # noqa: T201
