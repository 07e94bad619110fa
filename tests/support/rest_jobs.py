"""Jobs of an Apollo that runs elsewhere, over its REST API, with the S3 server that they read from and write to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apollo_client.rest import RestClient
from support.seaweedfs import S3Server

BUCKET = "data"
PATIENCE_SECONDS = 240.0
POLL_SECONDS = 0.2
ENDS = ("succeeded", "failed", "stopped")

Document = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """A coordinator with what its jobs need. `s3` is how a test reaches the server."""

    url: str
    s3: S3Server

    @property
    def credentials(self) -> Document:
        """Fields of a job's body: those of the server; none where the environment has them."""
        return {}

    def put(self, key: str, content: bytes | Path) -> None:
        body = content.read_bytes() if isinstance(content, Path) else content
        self.s3.client().put_object(Bucket=BUCKET, Key=key, Body=body)

    def body(self, output: str, inputs: str, mapper: str, reducer: str = "", **fields: Any) -> Document:
        """A job."""
        programs = {"mapperName": mapper, "nReducers": 0} | (
            {"reducerName": reducer, "nReducers": 1} if reducer else {}
        )
        locations = {"inputPath": f"s3://{BUCKET}/{inputs}", "outputPath": f"s3://{BUCKET}/{output}"}
        return {"inputType": "file/txt", "maxWorkers": 2} | locations | self.credentials | programs | fields

    def output(self, name: str) -> bytes:
        """All parts, one after another."""
        store = self.s3.client()
        listed = store.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/part-").get("Contents", [])
        return b"".join(store.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in listed)


async def submitted(rest: RestClient, body: Document) -> str:
    """The id of the new job."""
    return str((await rest.submit(body))["job"]["id"])


async def job_when(rest: RestClient, job: str, reached: Callable[[Document], bool]) -> Document:
    """The job's document as soon as it is so; an AssertionError with it when the job ends before."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not reached(document := await rest.job(job)):
            assert document["status"] not in ENDS, document
            await asyncio.sleep(POLL_SECONDS)
    return document


async def ended(rest: RestClient, job: str) -> Document:
    return await job_when(rest, job, lambda document: document["status"] in ENDS)


async def succeeded(rest: RestClient, job: str) -> Document:
    """The job's document once it has ended well; an AssertionError with it when it ends otherwise."""
    document = await ended(rest, job)
    assert document["status"] == "succeeded", document
    return document


async def troubled(rest: RestClient, job: str, words: str) -> str:
    """What the job says it waits for, once that holds the words."""
    return (await job_when(rest, job, lambda document: words in document.get("trouble", "")))["trouble"]


def maps_completed(count: int) -> Callable[[Document], bool]:
    return lambda document: document["progress"]["maps"]["completed"] >= count


async def attempts_of(rest: RestClient, job: str) -> list[Document]:
    return [attempt async for task in rest.tasks(job) async for attempt in rest.attempts(task["id"])]
