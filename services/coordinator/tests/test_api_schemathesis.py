"""What the OpenAPI document allows and forbids, sent by schemathesis to a real server in a thread of its own."""

import asyncio
import threading
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from support.api_server import running_api

EXAMPLES = 15  # for each call, of what it allows and again of what it does not
OPERATIONS = (
    *(
        "GET /api/v1/artifacts",
        "PUT /api/v1/artifacts",
        "GET /api/v1/artifacts/{name}",
        "DELETE /api/v1/artifacts/{name}",
    ),
    *("GET /api/v1/jobs", "POST /api/v1/jobs", "GET /api/v1/jobs/{id}", "DELETE /api/v1/jobs/{id}"),
    *("GET /api/v1/jobs/{id}/tasks", "GET /api/v1/jobs/{id}/counters", "GET /api/v1/jobs/{id}/events"),
    *("GET /api/v1/jobs/{id}/timings", "GET /api/v1/jobs/{id}/bad-records"),
    "GET /api/v1/jobs/{id}/bad-records/{number}",
    *("GET /api/v1/jobs/{id}/explanation", "GET /api/v1/jobs/{id}/failures", "POST /api/v1/jobs/{id}/redrive"),
    *("GET /api/v1/tasks/{id}/replay", "GET /api/v1/artifact-bytes/{digest}"),
    "GET /api/v1/attempts/{id}/map-output/{file}",
    *("GET /api/v1/tasks/{id}/attempts", "GET /api/v1/attempts/{id}/logs", "GET /api/v1/workers"),
    *("GET /healthz", "GET /readyz", "GET /metrics"),
)
ENDLESS = ("GET /api/v1/events",)  # test_api_streams.py reads them
REFUSING = (
    *("GET /api/v1/artifacts", "GET /api/v1/jobs", "POST /api/v1/jobs", "GET /api/v1/jobs/{id}/tasks"),
    *("GET /api/v1/tasks/{id}/attempts", "GET /api/v1/attempts/{id}/logs", "GET /api/v1/workers"),
)  # the others have nothing that could be wrong


class ServerThread(threading.Thread):
    """The API on an event loop of its own, because schemathesis calls it synchronously."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._port = 0

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with running_api(self._root) as api:
            await api.upload("map.sh")
            self._port = api.port
            self._ready.set()
            await self._end.wait()

    def __enter__(self) -> str:
        self.start()
        assert self._ready.wait(30)
        return f"http://127.0.0.1:{self._port}"

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self.join(30)


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    with ServerThread(tmp_path_factory.mktemp("api")) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        yield {result.ok().label: result.ok() for result in schema.get_all_operations()}


def test_no_operation_is_forgotten(operations):
    assert sorted(operations) == sorted((*OPERATIONS, *ENDLESS))


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_is_allowed_is_answered_as_described(operations, label):
    run(operations[label], GenerationMode.POSITIVE)


@pytest.mark.parametrize("label", REFUSING)
def test_what_is_not_allowed_is_refused_as_described(operations, label):
    run(operations[label], GenerationMode.NEGATIVE)


def run(operation, mode):
    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case):
        # A body that the schema allows may still be refused: its artifacts need not exist.
        case.call_and_validate(timeout=20, excluded_checks=[positive_data_acceptance])

    check()
