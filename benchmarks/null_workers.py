"""Workers that speak the protocol and do no work: `python -m benchmarks.null_workers NAME COUNT`.

Each is a gRPC server on a port of its own, many in one process. Prints their addresses as one JSON line and serves
until its standard input ends.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from apollo_common.assignment import encode_counters, encode_part_uploads
from apollo_common.grpc import GrpcServer
from apollo_common.storage.open import Stores
from apollo_common.storage.port import StorageAccess, Upload
from apollo_proto.apollo.v1 import (
    Accepted,
    CancelTaskRequest,
    CancelTaskResponse,
    DescribeRequest,
    DescribeResponse,
    Done,
    OutputTarget,
    Progress,
    Running,
    TaskAssignment,
    TaskEvent,
    WorkerBase,
)

HOST = "127.0.0.1"
WORK_SECONDS = 0.02
_COUNTERS = encode_counters({"apollo": {"input_records": 1, "input_bytes": 1, "map_output_records": 1}})


class NullWorker(WorkerBase):
    def __init__(self, name: str, stores: Stores) -> None:
        self._name = name
        self._stores = stores

    async def describe(self, message: DescribeRequest) -> DescribeResponse:  # noqa: ARG002 - the service's signature
        return DescribeResponse(worker_id=self._name)

    async def run_task(self, message: TaskAssignment) -> AsyncIterator[TaskEvent]:
        yield _event(message, 1, accepted=Accepted())
        yield _event(message, 2, running=Running(process_id=1))
        await asyncio.sleep(WORK_SECONDS)
        yield _event(message, 3, progress=Progress(input_bytes=1, input_bytes_total=1, counters=_COUNTERS))
        parts = await self._upload(message.output) if message.output is not None else b""
        yield _event(message, 4, done=Done(counters=_COUNTERS, output_parts=parts))

    async def cancel_task(self, message: CancelTaskRequest) -> CancelTaskResponse:  # noqa: ARG002 - as above
        return CancelTaskResponse()

    async def _upload(self, output: OutputTarget) -> bytes:
        """An empty part."""
        store = await self._stores.open(output.url, StorageAccess())
        return encode_part_uploads([await store.upload_part(Upload(output.url, output.upload_id), 1, b"")])


def _event(task: TaskAssignment, sequence: int, **story: Any) -> TaskEvent:
    return TaskEvent(job_id=task.job_id, task_id=task.task_id, attempt_id=task.attempt_id, sequence=sequence, **story)


async def serve(name: str, count: int) -> None:
    stores = Stores()
    servers = [GrpcServer([NullWorker(f"{name}-{number}", stores)]) for number in range(count)]
    addresses = [f"{HOST}:{await server.listen_on(HOST, 0)}" for server in servers]
    print(json.dumps(addresses), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
