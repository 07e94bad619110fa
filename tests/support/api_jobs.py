"""Jobs over the HTTP API: a body that is right, with changes, and what an answer says is wrong."""

from typing import Any

from support.api_server import RunningApi

BODY = {
    "inputPath": "s3://in/books/",
    "outputPath": "s3://out/words",
    "mapperName": "map.sh",
    "reducerName": "reduce.sh",
    "nReducers": 2,
}


async def upload_programs(api: RunningApi) -> None:
    await api.upload("map.sh")
    await api.upload("reduce.sh", b"#!/bin/sh\nuniq -c\n")


async def submit(api: RunningApi, *, headers: dict[str, str] | None = None, **changes: Any) -> tuple[int, Any]:
    return await api.call("POST", "/api/v1/jobs", json={**BODY, **changes}, headers=headers)


def fields(document: dict[str, Any]) -> list[str]:
    return [error["field"] for error in document["errors"]]
