"""The coordinator's REST API, called. The only file that knows aiohttp's client; its errors are mapped here.

A call that may be repeated without harm is retried while the coordinator is away: reads, uploads, stops, and
submissions, which carry an idempotency key for that purpose.
"""

import asyncio
import json
import random
import re
import socket
import ssl
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from apollo_client.errors import CoordinatorUnreachable, FieldError, MapOutputsGone, NotACoordinator, RequestRefused
from apollo_client.sse import EventParser, JobEvent
from apollo_common.addresses import is_loopback

Document = dict[str, Any]

DEFAULT_URL = "http://127.0.0.1:4750"
UNIX_SCHEME = "unix://"

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
# The coordinator sends a comment at least this often on a quiet event stream; beyond it the connection is dead.
EVENTS_SILENCE_SECONDS = 90
# How long a call waits for a coordinator that does not answer, and for one that answered before (it may be restarting).
PATIENCE_SECONDS = 2.0
RESTART_PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
MAX_ANSWER_BYTES = 64 << 20
PAGE_SIZE = 1000

_ADDRESS = re.compile(r"https?://[^/?#@\s]+/?|unix:///\S.*")
_RETRIED_STATUSES = frozenset({429, 502, 503, 504})
_PROBLEM_JSON = "application/problem+json"
_MAP_OUTPUTS_GONE = "urn:apollo:problem:map_outputs_gone"
_ANOTHER = "Another coordinator is named with --coordinator or APOLLO_COORDINATOR."
_CAUSES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (ssl.SSLCertVerificationError, "The certificate of {url} is not trusted: {cause}."),
    (ssl.SSLError, "What listens at {url} speaks no TLS: write http:// if the coordinator is meant to be called so."),
    (socket.gaierror, "The name in {url} does not resolve."),
    # The latter of a Unix socket.
    ((ConnectionRefusedError, FileNotFoundError), "Nothing listens at {url}. Start a coordinator with {command}."),
    (aiohttp.ConnectionTimeoutError, "Nothing answers at {url}; is the address right, and does no firewall stop it?"),
    (TimeoutError, "Something listens at {url}, but it does not answer: the coordinator may be stopped or overloaded."),
    (aiohttp.ClientResponseError, "What listens at {url} does not speak HTTP; is it a coordinator?"),
    (
        aiohttp.ClientError,
        "What listens at {url} broke the connection off: it may be no coordinator, or one that wants https://.",
    ),
    (OSError, "{url} cannot be reached: {cause.strerror}."),
)
"""Why no answer came, by the error, and what may be done about it. The first that fits counts."""


class RestClient:
    """One coordinator, spoken with over HTTP. Use it as an async context manager.

    `url` is http(s)://host:port, or unix:///path for a Unix socket. `token` goes into the Authorization header.
    Every method raises CoordinatorUnreachable, NotACoordinator or RequestRefused.
    """

    def __init__(self, url: str = DEFAULT_URL, *, token: str | None = None) -> None:
        if not _ADDRESS.fullmatch(url):
            raise NotACoordinator(f"{url!r} is no address of a coordinator; write one like {DEFAULT_URL}.")
        self.url = url.rstrip("/")
        self._socket_path = url.removeprefix(UNIX_SCHEME) if url.startswith(UNIX_SCHEME) else None
        # Over a Unix socket the host is a mere word.
        self._base = "http://localhost" if self._socket_path else self.url
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self._patience_seconds = PATIENCE_SECONDS

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(path=self._socket_path) if self._socket_path else aiohttp.TCPConnector()
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=READ_TIMEOUT_SECONDS
        )
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    # Jobs

    async def submit(self, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> Document:
        """POST a job; the answer is {job, mProgram, rProgram}. The same key and body give the same job."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return await self._document("POST", "/api/v1/jobs", json=body, headers=headers)

    async def redrive(self, job: str, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> Document:
        """Map the bad records of a job again; the answer is that of `submit`. MapOutputsGone."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        try:
            return await self._document("POST", f"/api/v1/jobs/{_segment(job)}/redrive", json=body, headers=headers)
        except RequestRefused as error:
            if error.document.get("type") != _MAP_OUTPUTS_GONE:
                raise
            raise MapOutputsGone(error) from error

    async def job(self, job: str) -> Document:
        return await self._document("GET", f"/api/v1/jobs/{_segment(job)}")

    def jobs(self) -> AsyncIterator[Document]:
        """In order of creation."""
        return self._list("/api/v1/jobs")

    def failures(self, job: str) -> AsyncIterator[Document]:
        """By cause, in order of each cause's first."""
        return self._list(f"/api/v1/jobs/{_segment(job)}/failures")

    async def stop(self, job: str) -> Document:
        return await self._document("DELETE", f"/api/v1/jobs/{_segment(job)}")

    async def timings(self, job: str) -> dict[str, dict[str, int]]:
        """Milliseconds by task type and step."""
        return await self._document("GET", f"/api/v1/jobs/{_segment(job)}/timings")

    async def explanation(self, job: str) -> list[Document]:
        """Why it is as slow as it is: {finding, text, figures, setting?, fix?}, the most important first."""
        answer = await self._document("GET", f"/api/v1/jobs/{_segment(job)}/explanation")
        lines: list[Document] = answer["lines"]
        return lines

    async def counters(self, job: str) -> dict[str, dict[str, int]]:
        return await self._document("GET", f"/api/v1/jobs/{_segment(job)}/counters")

    def bad_records(self, job: str) -> AsyncIterator[Document]:
        """Those that the job has skipped, in order of their numbers, which count from 1."""
        return self._list(f"/api/v1/jobs/{_segment(job)}/bad-records")

    async def bad_record(self, job: str, number: int) -> Document:
        """What is known of one that is there. RequestRefused when it has gone meanwhile."""
        path = f"/api/v1/jobs/{_segment(job)}/bad-records?limit=1&after={number - 1}"
        content, _ = await self._call("GET", path)
        found: list[Document] = self._parsed(content, list)
        if not found:
            raise RequestRefused(f"job {job} has no bad record {number}", status=HTTPStatus.NOT_FOUND)
        return found[0]

    async def bad_record_bytes(self, job: str, number: int) -> bytes:
        """As the mapper got them, of a line without its end."""
        content, _ = await self._call("GET", f"/api/v1/jobs/{_segment(job)}/bad-records/{number}")
        return content

    def tasks(self, job: str) -> AsyncIterator[Document]:
        """Map tasks, then reduce tasks."""
        return self._list(f"/api/v1/jobs/{_segment(job)}/tasks")

    def attempts(self, task: str) -> AsyncIterator[Document]:
        return self._list(f"/api/v1/tasks/{_segment(task)}/attempts")

    def workers(self) -> AsyncIterator[Document]:
        return self._list("/api/v1/workers")

    async def events(self, job: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """What happened with id > after, then what happens, until the job has ended.

        A broken connection is resumed without a gap; CoordinatorUnreachable when the coordinator stays away for a
        minute, or has answered nothing yet and is away.
        """
        last, deadline, pause = after, None, FIRST_PAUSE_SECONDS
        while True:
            parser = EventParser()
            try:
                async with self._answer(
                    "GET",
                    f"/api/v1/jobs/{_segment(job)}/events",
                    headers={"Accept": "text/event-stream", "Last-Event-ID": str(last)},
                    timeout=aiohttp.ClientTimeout(
                        sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=EVENTS_SILENCE_SECONDS
                    ),
                ) as response:
                    async for chunk in response.content.iter_any():
                        deadline, pause = None, FIRST_PAUSE_SECONDS
                        for event in parser.feed(chunk):
                            last = event.id or last
                            yield event
                    return
            except (aiohttp.ClientError, TimeoutError, CoordinatorUnreachable) as error:
                now = time.monotonic()
                deadline = deadline or now + self._patience_seconds
                if now > deadline:
                    raise self._unreachable(error) from error
            except ValueError as error:
                raise NotACoordinator(f"What answers at {self.url} sends no events of a job: {error}.") from error
            pause = await _pause(pause)

    async def log(self, attempt: str, *, follow: bool = False) -> AsyncIterator[bytes]:
        """What an attempt's program wrote to standard error; with `follow` until the attempt ends.

        A broken connection is resumed behind what has come; CoordinatorUnreachable when it stays away for a minute.
        """
        path = f"/api/v1/attempts/{_segment(attempt)}/logs" + ("?follow=true" if follow else "")
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_SECONDS)
        received, deadline, pause = 0, None, FIRST_PAUSE_SECONDS
        while True:
            to_skip = received  # a log is always told from its beginning
            try:
                async with self._answer("GET", path, timeout=timeout) as response:
                    async for chunk in response.content.iter_any():
                        deadline, pause = None, FIRST_PAUSE_SECONDS
                        news, to_skip = chunk[to_skip:], max(0, to_skip - len(chunk))
                        received += len(news)
                        if news:
                            yield news
                    return
            except (aiohttp.ClientError, TimeoutError, CoordinatorUnreachable) as error:
                now = time.monotonic()
                deadline = deadline or now + self._patience_seconds
                if now > deadline:
                    raise self._unreachable(error) from error
            pause = await _pause(pause)

    # Artifacts

    async def upload(self, path: Path, *, name: str | None = None, side_file: bool = False) -> Document:
        """Upload a file, streamed; the answer is {name, type, size, hash}. Replaces an artifact of that name."""
        target = "/api/v1/artifacts" + ("?type=file" if side_file else "")

        @contextmanager
        def form() -> Iterator[Document]:
            # Opened again for every try. Unquoted: the file name travels as UTF-8 and is the artifact's name.
            with path.open("rb") as content:
                data = aiohttp.FormData(quote_fields=False)
                data.add_field("program", content, filename=name or path.name)
                yield {"data": data}

        return await self._document("PUT", target, body=form)

    def artifacts(self) -> AsyncIterator[Document]:
        return self._list("/api/v1/artifacts")

    async def artifact(self, name: str) -> Document | None:
        """The artifact, or None when there is none of that name."""
        try:
            return await self._document("GET", f"/api/v1/artifacts/{_segment(name)}")
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    async def delete_artifact(self, name: str) -> None:
        await self._call("DELETE", f"/api/v1/artifacts/{_segment(name)}", retried=False)

    # Replays

    async def replay(self, task: str, attempt: int | None = None) -> Document:
        """What a worker was told of an attempt: {attempt, artifacts, assignment}. None: the last that failed."""
        asked = "" if attempt is None else f"?attempt={attempt}"
        return await self._document("GET", f"/api/v1/tasks/{_segment(task)}/replay{asked}")

    def artifact_bytes(self, digest: str) -> AsyncGenerator[bytes, None]:
        return self._bytes(f"/api/v1/artifact-bytes/{_segment(digest)}", 0, None)

    def map_output(self, attempt: str, file: str, offset: int, length_bytes: int) -> AsyncGenerator[bytes, None]:
        """Of the file `data` or `index`; less where it ends."""
        return self._bytes(f"/api/v1/attempts/{_segment(attempt)}/map-output/{_segment(file)}", offset, length_bytes)

    # HTTP

    async def _bytes(self, path: str, offset: int, length_bytes: int | None) -> AsyncGenerator[bytes, None]:
        """A broken connection is resumed behind what has come; CoordinatorUnreachable when it stays away."""
        last = "" if length_bytes is None else offset + length_bytes - 1
        deadline, pause = None, FIRST_PAUSE_SECONDS
        while length_bytes is None or offset <= int(last):
            # Of a file that may be empty nothing but the whole can be asked for.
            headers = {"Range": f"bytes={offset}-{last}"} if offset or last else {}
            try:
                async with self._answer("GET", path, headers=headers) as response:
                    if offset and response.status != HTTPStatus.PARTIAL_CONTENT:
                        raise NotACoordinator(
                            f"What answers at {self.url} sends files only from their beginning: is there a proxy in "
                            "between that drops Range?"
                        )
                    async for chunk in response.content.iter_any():
                        deadline, pause = None, FIRST_PAUSE_SECONDS
                        offset += len(chunk)
                        yield chunk
                    return
            except (aiohttp.ClientError, TimeoutError, CoordinatorUnreachable) as error:
                now = time.monotonic()
                deadline = deadline or now + self._patience_seconds
                if now > deadline:
                    raise self._unreachable(error) from error
            pause = await _pause(pause)

    async def _list(self, path: str) -> AsyncIterator[Document]:
        url: str | None = f"{path}?limit={PAGE_SIZE}"
        while url:
            content, url = await self._call("GET", url)
            for document in self._parsed(content, list):
                yield document

    async def _document(self, method: str, path: str, **options: Any) -> Document:
        content, _ = await self._call(method, path, **options)
        document: Document = self._parsed(content, dict)
        return document

    def _parsed(self, content: bytes, kind: type) -> Any:
        try:
            document = json.loads(content)
        except ValueError as error:
            raise NotACoordinator(f"What answers at {self.url} does not speak JSON; is it a coordinator?") from error
        if not isinstance(document, kind):
            raise NotACoordinator(f"What answers at {self.url} is no coordinator: it sent {document!r:.80}.")
        return document

    async def _call(
        self,
        method: str,
        path: str,
        *,
        retried: bool = True,
        body: Callable[[], AbstractContextManager[Document | None]] = nullcontext,
        **options: Any,
    ) -> tuple[bytes, str | None]:
        """What an answer of status 2xx holds, and the path of the next page.

        Asked for again while the coordinator is away, if `retried`; `body` makes the request's body for each try.
        """
        deadline = time.monotonic() + self._patience_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                with body() as sent:
                    async with self._answer(method, path, **(sent or {}), **options) as response:
                        return await self._bounded(response), _next_page(response)
            except (aiohttp.ClientError, TimeoutError, CoordinatorUnreachable) as error:
                if not retried or time.monotonic() > deadline:
                    raise self._unreachable(error) from error
            pause = await _pause(pause)

    @asynccontextmanager
    async def _answer(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request, one answer of status 2xx. Raises aiohttp's errors, RequestRefused, CoordinatorUnreachable."""
        if self._session is None:
            raise RuntimeError("a RestClient is used as an async context manager")
        async with self._session.request(method, self._base + path, allow_redirects=False, **options) as response:
            # The coordinator's own 502 speaks of a job's storage, which it has tried often enough.
            own_502 = response.status == 502 and response.content_type == _PROBLEM_JSON
            if response.status in _RETRIED_STATUSES and not own_502:
                raise CoordinatorUnreachable(str(await self._refusal(response)))
            if response.status >= 300:
                raise await self._refusal(response)
            self._patience_seconds = RESTART_PATIENCE_SECONDS
            yield response

    async def _refusal(self, response: aiohttp.ClientResponse) -> RequestRefused:
        try:
            problem = json.loads(await self._bounded(response))
            fields = tuple(
                FieldError(entry["field"], entry["message"], entry.get("fix") or "")
                for entry in problem.get("errors") or ()
            )
            message = problem.get("detail") or problem["title"]
            if response.status == 422:
                message = _sentences(message, fields)
        except (ValueError, KeyError, TypeError, AttributeError):
            return RequestRefused(
                f"What answers at {self.url} said {response.status} {response.reason}; is it a coordinator?",
                status=response.status,
            )
        if response.status == 401:
            fix = "The one in APOLLO_TOKEN does not do: get a new one." if self._token else "Set APOLLO_TOKEN to yours."
            message = f"{message} {fix}"
        return RequestRefused(message, status=response.status, fields=fields, document=problem)

    async def _bounded(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise NotACoordinator(f"What answers at {self.url} sent more than {MAX_ANSWER_BYTES} bytes at once.")
        return bytes(content)

    def _unreachable(self, error: Exception) -> CoordinatorUnreachable:
        if isinstance(error, CoordinatorUnreachable):
            return error
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        said = next(sentence for kind, sentence in _CAUSES if isinstance(cause, kind))
        return CoordinatorUnreachable(
            f"{said.format(url=self.url, cause=cause, command=_starting(self.url))} {_ANOTHER}"
        )


def _starting(url: str) -> str:
    """The command for a coordinator at this address, as far as it is of this machine."""
    place = URL(url)
    if place.port in (None, URL(DEFAULT_URL).port) or not is_loopback(place.host or ""):
        return "`apollo up`"
    return f"`apollo up --port {place.port}`, and with the --data-dir that it had"


async def _pause(seconds: float) -> float:
    """Sleep for about that long; the answer is how long to sleep next time."""
    await asyncio.sleep(seconds * random.uniform(0.5, 1))  # noqa: S311  # jitter is no secret
    return min(2 * seconds, LONGEST_PAUSE_SECONDS)


def _sentences(detail: str, fields: tuple[FieldError, ...]) -> str:
    """What the coordinator says of a request that is not valid, with each field's fix, and nothing twice."""
    said = [detail]
    for field in fields:
        if field.message not in detail:
            said.append(field.sentences(field.field))
        elif field.fix not in detail:
            said.append(field.fix)
    return " ".join(said)


def _next_page(response: aiohttp.ClientResponse) -> str | None:
    """Path and query only: the token goes nowhere else than to the address that the user gave."""
    link = response.links.get("next")
    url = link.get("url") if link is not None else None
    return url.raw_path_qs if isinstance(url, URL) else None


def _segment(text: str) -> str:
    return quote(text, safe="")
