"""The API's description of itself: complete, consistent, and readable without the internet."""

import re

import pytest

from support.api_server import running_api


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        yield running


async def test_every_route_is_described(api):
    async with api.http.get("/openapi.json") as answer:
        assert answer.content_type == "application/json"
        document = await answer.json()
    assert document["openapi"].startswith("3.1")
    assert {path: sorted(calls) for path, calls in document["paths"].items()} == {
        "/api/v1/artifacts": ["get", "put"],
        "/api/v1/artifacts/{name}": ["delete", "get"],
        "/api/v1/jobs": ["get", "post"],
        "/api/v1/jobs/{id}": ["delete", "get"],
        "/api/v1/jobs/{id}/tasks": ["get"],
        "/api/v1/jobs/{id}/failures": ["get"],
        "/api/v1/jobs/{id}/counters": ["get"],
        "/api/v1/jobs/{id}/timings": ["get"],
        "/api/v1/jobs/{id}/bad-records": ["get"],
        "/api/v1/jobs/{id}/bad-records/{number}": ["get"],
        "/api/v1/jobs/{id}/explanation": ["get"],
        "/api/v1/jobs/{id}/redrive": ["post"],
        "/api/v1/jobs/{id}/events": ["get"],
        "/api/v1/tasks/{id}/attempts": ["get"],
        "/api/v1/attempts/{id}/logs": ["get"],
        "/api/v1/attempts/{id}/map-output/{file}": ["get"],
        "/api/v1/tasks/{id}/replay": ["get"],
        "/api/v1/artifact-bytes/{digest}": ["get"],
        "/api/v1/workers": ["get"],
        "/api/v1/events": ["get"],
        "/healthz": ["get"],
        "/readyz": ["get"],
        "/metrics": ["get"],
    }
    operations = [call for calls in document["paths"].values() for call in calls.values()]
    assert len({call["operationId"] for call in operations}) == len(operations)
    assert all(call["summary"] for call in operations)
    schemas = document["components"]["schemas"]
    assert {"inputPath", "useSSL", "nReducers", "splitSize"} <= schemas["JobBody"]["properties"].keys()
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', str(document).replace("'", '"')):
        assert reference in schemas


async def test_the_page_needs_nothing_from_elsewhere(api):
    async with api.http.get("/docs") as answer:
        assert answer.content_type == "text/html"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        page = await answer.text()
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert "<script" not in page
    for text in ("/api/v1/jobs/{id}/events", "JobBody", "nReducers", "outputStorageCredentials", "problem+json"):
        assert text in page
    assert "light dark" in page
