"""Calls to a real S3 server as the metrics tell of them, also when a proxy spoils some."""

import pytest
from prometheus_client import CollectorRegistry

from apollo_common.errors import StorageAccessDenied
from apollo_common.metrics.storage import StorageMetrics
from apollo_common.storage.port import StorageAccess
from apollo_common.storage.s3 import S3Store
from support.s3_faults import Fault, Rule
from support.s3_proxy import S3Proxy

CONTENT = bytes(range(256)) * 8_000  # 2 chunks


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
async def proxy(s3_server):
    async with S3Proxy(s3_server.endpoint_url) as running:
        yield running


@pytest.fixture
async def store(s3_server, proxy, registry):
    access = StorageAccess(proxy.endpoint_url, "", s3_server.access_key_id, s3_server.secret_access_key)
    opened = S3Store(access, StorageMetrics(registry))
    yield opened
    await opened.close()


def requests(registry, operation, result):
    labels = {"operation": operation, "result": result}
    return registry.get_sample_value("apollo_s3_requests_total", labels)


async def test_calls_are_counted_by_operation_and_result(store, registry, s3_bucket):
    url = f"s3://{s3_bucket}/a"
    await store.put(url, CONTENT)
    await store.stat(url)
    await store.stat(url)
    assert await store.stat(f"s3://{s3_bucket}/nothing") is None
    assert [chunk async for chunk in store.read(url, offset=len(CONTENT))] == []
    assert b"".join([chunk async for chunk in store.read(url, offset=1)]) == CONTENT[1:]
    assert requests(registry, "put_object", "ok") == 1
    assert requests(registry, "head_object", "ok") == 2
    assert requests(registry, "head_object", "object_not_found") == 1
    assert requests(registry, "get_object", "ok") == 2
    assert registry.get_sample_value("apollo_s3_sent_bytes_total") == len(CONTENT)
    assert registry.get_sample_value("apollo_s3_received_bytes_total") == len(CONTENT) - 1
    durations = {"operation": "head_object"}
    assert registry.get_sample_value("apollo_s3_request_duration_seconds_count", durations) == 3


async def test_repeats_and_resumed_bodies_are_counted(store, registry, proxy, s3_bucket):
    url = f"s3://{s3_bucket}/a"
    proxy.plan.rules = [
        Rule(Fault.SLOW_DOWN, frozenset({"PutObject"}), times=1),
        Rule(Fault.CUT_ANSWER, frozenset({"GetObject"}), times=1),
    ]
    await store.put(url, CONTENT)
    assert b"".join([chunk async for chunk in store.read(url)]) == CONTENT
    assert registry.get_sample_value("apollo_s3_request_retries_total", {"operation": "put_object"}) == 1
    assert requests(registry, "put_object", "ok") == 1
    assert registry.get_sample_value("apollo_s3_read_resumes_total") == 1


async def test_what_fails_is_counted_by_its_reason(store, registry, proxy, s3_bucket):
    proxy.plan.rules = [Rule(Fault.FORBIDDEN)]
    assert requests(registry, "head_object", "storage_access_denied") == 0, "rate() sees no first one otherwise"
    with pytest.raises(StorageAccessDenied):
        await store.stat(f"s3://{s3_bucket}/a")
    assert requests(registry, "head_object", "storage_access_denied") == 1
