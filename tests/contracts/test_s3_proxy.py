"""The fault proxy itself: what it passes on is untouched, and every fault is what it says, seen by a plain client."""

import hashlib

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from support.s3_calls import parse_call
from support.s3_faults import Fault, FaultPlan, Rule, everywhere
from support.s3_proxy import CallDropped, running_s3_proxy

CONTENT = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(10_000))
KEY = "a b/é%2F+#?.txt"


@pytest.fixture
def through(s3_server):
    """A function: the proxy's endpoint -> a boto3 client that tries once."""

    def connect(proxy):
        return boto3.client(
            "s3",
            endpoint_url=proxy.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=s3_server.access_key_id,
            aws_secret_access_key=s3_server.secret_access_key,
            config=Config(
                s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=10, connect_timeout=5
            ),
        )

    return connect


def body(client, bucket, key=KEY):
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_everything_passes_unharmed_and_is_named(s3_server, s3_bucket, through):
    with running_s3_proxy(s3_server.endpoint_url) as proxy:
        client = through(proxy)
        client.put_object(Bucket=s3_bucket, Key=KEY, Body=CONTENT)
        assert client.head_object(Bucket=s3_bucket, Key=KEY)["ContentLength"] == len(CONTENT)
        assert body(client, s3_bucket) == CONTENT
        ranged = client.get_object(Bucket=s3_bucket, Key=KEY, Range="bytes=10-19")
        assert ranged["Body"].read() == CONTENT[10:20]
        upload = client.create_multipart_upload(Bucket=s3_bucket, Key="m", Metadata={"a": "b"})["UploadId"]
        part = client.upload_part(Bucket=s3_bucket, Key="m", UploadId=upload, PartNumber=1, Body=CONTENT)
        assert client.list_multipart_uploads(Bucket=s3_bucket)["Uploads"][0]["UploadId"] == upload
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(Bucket=s3_bucket, Key="m", UploadId=upload, MultipartUpload=parts)
        listed = client.list_objects_v2(Bucket=s3_bucket)["Contents"]
        assert sorted(each["Key"] for each in listed) == sorted([KEY, "m"])
        client.delete_objects(Bucket=s3_bucket, Delete={"Objects": [{"Key": KEY}, {"Key": "m"}]})
        with pytest.raises(ClientError, match="404"):
            client.head_object(Bucket=s3_bucket, Key=KEY)
        assert [call.operation for call in proxy.calls] == [
            "PutObject", "HeadObject", "GetObject", "GetObject", "CreateMultipartUpload", "UploadPart",
            "ListMultipartUploads", "CompleteMultipartUpload", "ListObjectsV2", "DeleteObjects", "HeadObject",
        ]  # fmt: skip
        assert proxy.calls[0].key == KEY
        assert not proxy.plan.injected


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault.INTERNAL_ERROR, "InternalError"), (Fault.SLOW_DOWN, "SlowDown"), (Fault.FORBIDDEN, "AccessDenied")],
)
def test_an_error_in_the_servers_place_has_no_effect(s3_server, s3_bucket, through, fault, code):
    plan = FaultPlan([Rule(fault, frozenset({"PutObject"}), times=1)])
    with running_s3_proxy(s3_server.endpoint_url, plan) as proxy:
        client = through(proxy)
        with pytest.raises(ClientError, match=code):
            client.put_object(Bucket=s3_bucket, Key=KEY, Body=CONTENT)
        assert "Contents" not in client.list_objects_v2(Bucket=s3_bucket)
        client.put_object(Bucket=s3_bucket, Key=KEY, Body=CONTENT)
        assert body(client, s3_bucket) == CONTENT
        assert plan.injected == {fault.value: 1}


@pytest.mark.parametrize(
    ("fault", "done"), [(Fault.CUT_REQUEST, False), (Fault.LOST_ANSWER, True), (Fault.HANG, False)]
)
def test_a_broken_call_was_done_or_was_not(s3_server, s3_bucket, through, fault, done):
    plan = FaultPlan([Rule(fault, frozenset({"PutObject"}), key="a*", nth=frozenset({2}), seconds=0.2)])
    with running_s3_proxy(s3_server.endpoint_url, plan) as proxy:
        client = through(proxy)
        client.put_object(Bucket=s3_bucket, Key="b", Body=b"old")
        client.put_object(Bucket=s3_bucket, Key=KEY, Body=b"old")
        with pytest.raises(BotoCoreError):
            client.put_object(Bucket=s3_bucket, Key=KEY, Body=CONTENT)
        assert body(client, s3_bucket) == (CONTENT if done else b"old")


def test_an_answer_is_cut_or_slow(s3_server, s3_bucket, through):
    s3_server.client().put_object(Bucket=s3_bucket, Key=KEY, Body=CONTENT)
    plan = FaultPlan([Rule(Fault.CUT_ANSWER, nth=frozenset({1})), Rule(Fault.TRICKLE, seconds=0.1)])
    with running_s3_proxy(s3_server.endpoint_url, plan) as proxy:
        client = through(proxy)
        with pytest.raises(BotoCoreError):
            body(client, s3_bucket)
        assert body(client, s3_bucket) == CONTENT
        assert plan.injected == {"cut-answer": 1, "trickle": 1}


def test_hooks_see_a_call_before_and_after_and_may_drop_it(s3_server, s3_bucket, through):
    seen = []

    async def before(call):
        seen.append(("before", call.operation, call.key))
        if call.key == "dropped":
            raise CallDropped

    async def after(call):
        seen.append(("after", call.operation, call.key))

    with running_s3_proxy(s3_server.endpoint_url, before=before, after=after) as proxy:
        client = through(proxy)
        client.put_object(Bucket=s3_bucket, Key="kept", Body=b"")
        with pytest.raises(BotoCoreError):
            client.put_object(Bucket=s3_bucket, Key="dropped", Body=b"")
    assert seen == [("before", "PutObject", "kept"), ("after", "PutObject", "kept"), ("before", "PutObject", "dropped")]
    assert [each["Key"] for each in s3_server.client().list_objects_v2(Bucket=s3_bucket)["Contents"]] == ["kept"]


def test_a_seed_gives_the_same_faults_again():
    calls = [parse_call(number, "GET", f"/bucket/{number}") for number in range(2000)]
    first, again, other = (FaultPlan(everywhere(0.01), seed) for seed in (1, 1, 2))
    chosen = [[rule and rule.fault for rule in map(plan.choose, calls)] for plan in (first, again, other)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert set(first.injected) == {fault.value for fault in Fault} - {"forbidden", "expired", "skewed", "full"}
