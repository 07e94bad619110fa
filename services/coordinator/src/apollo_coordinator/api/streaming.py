"""Answers that are sent as they are read: bytes of a known size, whole or a range (RFC 9110, section 14)."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus

from aiohttp import hdrs, web

from apollo_common.errors import UnknownJob
from apollo_common.logging import get_logger
from apollo_coordinator.api.problem import ApiProblem

RANGE_HEADERS = {hdrs.RANGE: "Which bytes are wanted, such as bytes=0-1023; without it all are"}

Read = Callable[[int, int], AsyncGenerator[bytes, None]]
"""So many bytes from an offset."""

_log = get_logger(__name__)


async def send_bytes(request: web.Request, size_bytes: int, read: Read, write_timeout_s: float) -> web.StreamResponse:
    """The answer, sent. 416 for a range that begins behind the end; one that is no range is ignored."""
    offset, length_bytes = _range(request, size_bytes)
    whole = length_bytes == size_bytes
    response = web.StreamResponse(status=HTTPStatus.OK if whole else HTTPStatus.PARTIAL_CONTENT)
    response.content_type = "application/octet-stream"
    response.content_length = length_bytes
    response.headers[hdrs.ACCEPT_RANGES] = "bytes"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    if not whole:
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {offset}-{offset + length_bytes - 1}/{size_bytes}"
    await response.prepare(request)
    try:
        async with aclosing(read(offset, length_bytes)) as chunks:
            async for chunk in chunks:
                async with asyncio.timeout(write_timeout_s):
                    await response.write(chunk)
        await response.write_eof()
    except Exception as error:  # noqa: BLE001 - the answer has begun; no problem document can follow
        cut(request, error)
    return response


def cut(request: web.Request, error: Exception) -> None:
    """End an answer that has begun in the only way that tells the client it is not whole."""
    if not isinstance(error, (ConnectionError, TimeoutError, UnknownJob)):
        _log.error("stream failed", path=request.path, exc_info=error)
    if request.transport is not None:
        request.transport.abort()


def _range(request: web.Request, size_bytes: int) -> tuple[int, int]:
    """Offset and length of what is asked for."""
    try:
        asked = request.http_range
    except ValueError:
        return 0, size_bytes
    if asked.start is None and asked.stop is None:
        return 0, size_bytes
    start, stop, _ = asked.indices(size_bytes)
    if start >= stop:
        headers: dict[str, str] = {hdrs.CONTENT_RANGE: f"bytes */{size_bytes}"}
        raise ApiProblem(416, f"There are {size_bytes} bytes: ask for some of these.", headers=headers)
    return start, stop - start
