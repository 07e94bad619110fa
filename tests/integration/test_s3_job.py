"""A whole job from S3 to S3, through the command line and real workers."""

import gzip
import json
import subprocess

import pytest

from support.apollo_cli import apollo

TEXT = b"".join(b"the quick %d fox\r\njumps over %d\n" % (i % 97, i % 13) for i in range(20_000))
MAPPER = r"""shell:tr -s ' ' '\n' | sed 's/$/\t1/'"""


@pytest.fixture(scope="module")
def counted():
    """word -> count, by coreutils."""
    script = r"""tr -d '\r' | tr -s ' ' '\n' | LC_ALL=C sort | uniq -c"""
    lines = subprocess.run(script, shell=True, input=TEXT * 2, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    return {word: int(count) for count, word in (line.split() for line in lines)}


def test_word_count_from_s3_to_s3(s3_server, s3_bucket, counted):
    client = s3_server.client()
    client.put_object(Bucket=s3_bucket, Key="in/plain text.txt", Body=TEXT)
    client.put_object(Bucket=s3_bucket, Key="in/packed.gz", Body=gzip.compress(TEXT))
    client.put_object(Bucket=s3_bucket, Key="in/_hidden", Body=b"hidden")
    arguments = ["--mapper", MAPPER, "--reducer", "builtin:sum", "--reducers", 3, "--split-size", "200KiB"]
    arguments += ["--input", f"s3://{s3_bucket}/in/", "--output", f"s3://{s3_bucket}/out", "--json"]

    outcome = apollo("run", *arguments, **s3_server.environment)

    assert outcome.status == 0, outcome.stderr
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=s3_bucket, Prefix="out/")["Contents"]]
    assert keys == ["out/_SUCCESS", "out/part-r-00000", "out/part-r-00001", "out/part-r-00002"]
    contents = {key: client.get_object(Bucket=s3_bucket, Key=key)["Body"].read() for key in keys}
    lines = b"".join(contents[key] for key in keys[1:]).splitlines()
    assert {word: int(count) for word, count in (line.split(b"\t") for line in lines)} == counted
    manifest = json.loads(contents["out/_SUCCESS"])
    assert [part["size"] for part in manifest["parts"]] == [len(contents[key]) for key in keys[1:]]
    assert manifest["counters"]["apollo"]["input_records"] == 80_000
    assert manifest["counters"]["apollo"]["input_bytes"] == len(TEXT) + len(gzip.compress(TEXT))
    assert client.list_multipart_uploads(Bucket=s3_bucket).get("Uploads", []) == []

    again = apollo("run", *arguments, **s3_server.environment)
    assert again.status == 1
    assert "out" in again.stderr
    assert "overwrite" in again.stderr


@pytest.mark.parametrize("output", ["in/", "/in"])
def test_an_output_never_takes_the_place_of_the_input(s3_server, s3_bucket, output):
    """This store takes both for one place, though only the first is listed as what it holds."""
    client = s3_server.client()
    client.put_object(Bucket=s3_bucket, Key="in/part-m-00000", Body=TEXT)
    arguments = ["--mapper", "shell:cat", "--reducers", 0, "--overwrite", "--input", f"s3://{s3_bucket}/in"]
    outcome = apollo("run", *arguments, "--output", f"s3://{s3_bucket}/{output}", **s3_server.environment)
    assert (outcome.status, "holds an input of this job" in outcome.stderr) == (1, True), outcome.stderr
    assert client.get_object(Bucket=s3_bucket, Key="in/part-m-00000")["Body"].read() == TEXT


def test_what_is_wrong_with_s3_is_said(s3_server, s3_bucket):
    arguments = ["--mapper", "shell:cat", "--reducers", 0, "--output", f"s3://{s3_bucket}/out"]
    missing = apollo("run", *arguments, "--input", f"s3://{s3_bucket}/none.txt", **s3_server.environment)
    assert (missing.status, "none.txt" in missing.stderr) == (1, True), missing.stderr
    no_bucket = apollo("run", *arguments, "--input", "s3://no-such-bucket/x", **s3_server.environment)
    assert (no_bucket.status, "no-such-bucket" in no_bucket.stderr) == (1, True), no_bucket.stderr
    wrong = s3_server.environment | {"AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    denied = apollo("run", *arguments, "--input", f"s3://{s3_bucket}/x", **wrong)
    assert (denied.status, "credentials" in denied.stderr) == (1, True), denied.stderr
    for outcome in (missing, no_bucket, denied):
        assert "Traceback" not in outcome.stderr
        assert "not-the-secret" not in outcome.stderr + outcome.stdout
