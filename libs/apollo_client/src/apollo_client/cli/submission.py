"""Uploads what a job needs and submits it."""

import asyncio
import copy
import hashlib
from collections.abc import Callable, Coroutine
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click

from apollo_client.cli.joboptions import FLAG_OF, PROGRAM, PROGRAM_FIELDS, JobRequest, flag_of
from apollo_client.cli.wording import field_in_command_words
from apollo_client.errors import FieldError, MapOutputsGone, RequestRefused
from apollo_client.rest import Document, RestClient
from apollo_common.errors import ApolloError

INTERRUPTED_SUBMISSION_SECONDS = 5
MAX_NAME_BYTES = 255
_DIGEST_DIGITS = 8
_STATUSES_OF_INPUT = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_GATEWAY)
_CHECK_INPUT = "check inputPath"
_NO_WEB_PAGE = "An http:// or https:// location is an S3 server's: to read a page of the web, fetch it first."


class JobRefused(click.UsageError):
    """What is wrong with a job's `fields`, in the words of the command line."""

    def __init__(self, fields: tuple[FieldError, ...]) -> None:
        super().__init__("\n".join(map(field_in_command_words, fields)))
        self.fields = fields


async def submit_job(client: RestClient, request: JobRequest) -> Document:
    """Upload, submit; the accepted job. An interrupt in between leaves no job behind. JobRefused, RequestRefused."""
    return await _submit(client, request, client.submit)


async def submit_redrive(client: RestClient, job: str, request: JobRequest) -> Document:
    """The same for the redrive of a job. Also MapOutputsGone."""
    return await _submit(client, request, partial(client.redrive, job))


async def _submit(
    client: RestClient, request: JobRequest, send: Callable[[Document], Coroutine[Any, Any, Document]]
) -> Document:
    body = copy.deepcopy(request.body)
    names = {path: await upload_program(client, path) for path in dict.fromkeys(request.programs.values())}
    for field, path in request.programs.items():
        _place(body, field, names[path])
    for path in request.side_files:
        await _upload(client, path, path.name, await _digest(path), side_file=True)
    answer = asyncio.ensure_future(send(body))
    try:
        accepted = await asyncio.shield(answer)
    except asyncio.CancelledError:
        await _abandon(client, answer)
        raise
    except MapOutputsGone:
        raise
    except RequestRefused as error:
        if error.status == HTTPStatus.UNPROCESSABLE_ENTITY and error.fields:
            raise JobRefused(error.fields) from error
        if error.status == HTTPStatus.NOT_FOUND and (unknown := _unknown_programs(error, request)):
            raise RequestRefused("\n".join(unknown), status=error.status, fields=error.fields) from error
        raise RequestRefused(_of_inputs(error, request), status=error.status, fields=error.fields) from error
    job: Document = accepted["job"]
    return job


def _place(body: Document, field: str, value: str) -> None:
    """Sets a field such as `mapperName` or `inputs.2.mapperName`."""
    *outer, last = field.split(".")
    inside: Any = body
    for part in outer:
        inside = inside[int(part) if part.isdecimal() else part]
    inside[last] = value


async def upload_program(client: RestClient, path: Path) -> str:
    """Upload a program under its file name with the start of its digest; the name.

    So that two users' `map.py` never replace each other, and the same bytes are uploaded once.
    """
    digest = await _digest(path)
    suffix = f"-{digest[:_DIGEST_DIGITS]}{path.suffix}"
    stem = path.stem.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode(errors="ignore")
    name = stem + suffix
    await _upload(client, path, name, digest, side_file=False)
    return name


async def _upload(client: RestClient, path: Path, name: str, digest: str, *, side_file: bool) -> None:
    known = await client.artifact(name)
    if known is not None and known["hash"] == digest:
        return
    try:
        await client.upload(path, name=name, side_file=side_file)
    except RequestRefused as error:
        raise RequestRefused(f"{path}: {error}", status=error.status, fields=error.fields) from error


async def _digest(path: Path) -> str:
    def read() -> str:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    return await asyncio.to_thread(read)


async def _abandon(client: RestClient, answer: asyncio.Future[Document]) -> None:
    """Stop the job that a submission under way may still bring."""
    try:
        async with asyncio.timeout(INTERRUPTED_SUBMISSION_SECONDS):
            await client.stop((await answer)["job"]["id"])
    except (TimeoutError, ApolloError):
        answer.cancel()


def _unknown_programs(error: RequestRefused, request: JobRequest) -> list[str]:
    """What the coordinator took for names of artifacts may have been meant as files."""
    return [
        f"{flag_of(field.field)} {request.body[field.field]}: this is neither a file here nor an artifact of the "
        f"coordinator. A program is {PROGRAM}."
        for field in error.fields
        if field.field in PROGRAM_FIELDS
    ]


def _of_inputs(error: RequestRefused, request: JobRequest) -> str:
    """What the coordinator says, with the option that named the inputs and what may have been meant."""
    text = str(error)
    if "inputs" in request.body and text.endswith(_CHECK_INPUT):
        text = f"{text.removesuffix(_CHECK_INPUT)}check {FLAG_OF['inputs']}"
    return f"{text.rstrip('.')}. {_NO_WEB_PAGE}" if _may_mean_a_web_page(error, request) else text


def _may_mean_a_web_page(error: RequestRefused, request: JobRequest) -> bool:
    """Whether an input is read from an S3 server whose address may have been meant as a site's."""
    of_input = {field.field for field in error.fields} <= {"inputPath"} and error.status in _STATUSES_OF_INPUT
    inputs = request.body.get("inputs")
    locations = [given["inputPath"] for given in inputs] if inputs else request.body.get("inputPath", ())
    return of_input and any(location.startswith(("http://", "https://")) for location in locations)
