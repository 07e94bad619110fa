"""The calls that a coordinator makes to its workers, and nothing else: `python -m benchmarks.bare_calls CALLS`.

Reads the workers' addresses from standard input as a JSON list, and prints the seconds of processor time. What a
coordinator takes beyond that is its own: scheduling, journal, log, HTTP.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator

from apollo_common.assignment import Split, SplitPiece, encode_split
from apollo_common.grpc import GrpcChannel
from apollo_proto.apollo.v1 import MapWork, Program, ProgramSource, TaskAssignment, TaskKind, WorkerStub


async def call_all(addresses: list[str], calls: int) -> float:
    """As many calls as asked for, one at a time to each worker. Seconds of processor time."""
    channels = [GrpcChannel(host, int(port)) for host, _, port in (address.rpartition(":") for address in addresses)]
    numbers = iter(range(calls))
    began = time.process_time()
    await asyncio.gather(*(_call_one(WorkerStub(channel), numbers) for channel in channels))
    seconds = time.process_time() - began
    for channel in channels:
        channel.close()
    return seconds


async def _call_one(worker: WorkerStub, numbers: Iterator[int]) -> None:
    for number in numbers:
        async for _ in worker.run_task(_assignment(number)):
            pass


def _assignment(number: int) -> TaskAssignment:
    split = Split((SplitPiece("file:///tmp/input", number, 1, 1, "v"),))
    return TaskAssignment(
        job_id="job",
        task_id=f"job-m-{number:05d}",
        attempt_id=f"job-m-{number:05d}-0",
        task_index=number,
        kind=TaskKind.MAP,
        program=Program(source=ProgramSource.BUILTIN, name="builtin:identity"),
        map=MapWork(split=encode_split(split), partitioner="hash", partitions=1, output_path=f"job/{number}"),
    )


if __name__ == "__main__":
    print(asyncio.run(call_all(json.load(sys.stdin), int(sys.argv[1]))))
