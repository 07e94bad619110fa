"""A reverse proxy in front of a real S3 server that makes calls go wrong by rule.

    async with S3Proxy(server.endpoint_url, FaultPlan(everywhere(0.01), seed=7)) as proxy:
        ...  # clients use proxy.endpoint_url with the server's credentials

`running_s3_proxy` does the same in a thread, for tests that start processes; `python -m support.s3_proxy` is a process
of its own. Requests are passed on with the Host header that the client signed, so that signatures stay valid.
"""

import argparse
import asyncio
import io
import json
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from support.s3_calls import Call, parse_call
from support.s3_faults import TRANSIENT, Fault, FaultPlan, Rule, everywhere

MAX_BODY_BYTES = 64 << 20
TRICKLE_PIECES = 50
UPSTREAM_TIMEOUT_SECONDS = 60

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}
_ERRORS = {
    Fault.INTERNAL_ERROR: (500, "InternalError", "We encountered an internal error. Please try again."),
    Fault.SLOW_DOWN: (503, "SlowDown", "Please reduce your request rate."),
    Fault.FORBIDDEN: (403, "AccessDenied", "Access Denied"),
    Fault.EXPIRED: (400, "ExpiredToken", "The provided token has expired."),
    Fault.SKEWED: (
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the server's is too large.",
    ),
    Fault.FULL: (507, "XMinioStorageFull", "Storage backend has reached its minimum free drive threshold."),
    Fault.ERROR_IN_200: (200, "InternalError", "We encountered an internal error. Please try again."),
}


class CallDropped(Exception):
    """Raised by a hook: the client gets a reset."""


async def _no_hook(_call: Call) -> None:
    return


Hook = Callable[[Call], Awaitable[None]]


class S3Proxy:
    """See the module. `before` runs before a call is passed on, `after` when the server has answered, before the client
    has; both run also for calls that a rule spoils. `calls` lists what came, in order."""

    def __init__(
        self, target: str, plan: FaultPlan | None = None, *, before: Hook = _no_hook, after: Hook = _no_hook
    ) -> None:
        self._target = target
        self.plan = plan or FaultPlan()
        self.before, self.after = before, after
        self.calls: list[Call] = []
        self.endpoint_url = ""

    async def start(self, port: int = 0) -> None:
        timeout = aiohttp.ClientTimeout(total=UPSTREAM_TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(auto_decompress=False, timeout=timeout)
        self._closing = asyncio.Event()
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.endpoint_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        self._closing.set()
        await self._runner.cleanup()
        await self._session.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        call = parse_call(len(self.calls) + 1, request.method, request.raw_path)
        self.calls.append(call)
        rule = self.plan.choose(call)
        try:
            await self.before(call)
            return await self._answer(request, call, rule)
        except (CallDropped, aiohttp.ClientError, TimeoutError, OSError):
            return _reset(request)

    async def _answer(self, request: web.Request, call: Call, rule: Rule | None) -> web.StreamResponse:
        fault = rule.fault if rule else None
        if fault in _ERRORS:
            await request.read()
            return _error(call, *_ERRORS[fault])
        if rule and fault is Fault.HANG:
            await self._pause(rule.seconds)
            return _reset(request)
        body = await request.read()
        if fault is Fault.CUT_REQUEST and body:
            await self._pass_on(request, _half(body), len(body))
        status, headers, content = await self._pass_on(request, body, len(body))
        await self.after(call)
        if fault in (Fault.LOST_ANSWER, Fault.CUT_REQUEST):  # a request without a body cannot be cut
            return _reset(request)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        if fault is Fault.CUT_ANSWER:
            await response.write(content[: len(content) // 2])
            if request.transport is not None:
                request.transport.close()
            return response
        if rule and fault is Fault.TRICKLE:
            step = len(content) // TRICKLE_PIECES + 1
            for start in range(0, len(content), step):
                await response.write(content[start : start + step])
                await self._pause(rule.seconds / TRICKLE_PIECES)
        else:
            await response.write(content)
        await response.write_eof()
        return response

    async def _pass_on(
        self, request: web.Request, body: bytes | AsyncIterator[bytes], length_bytes: int
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        if request.method in ("PUT", "POST"):
            headers["Content-Length"] = str(length_bytes)
        url = URL(self._target + request.raw_path, encoded=True)
        async with self._session.request(
            request.method,
            url,
            headers=headers,
            data=io.BytesIO(body) if isinstance(body, bytes) else body,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as answer:
            content = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            if "Content-Length" in answer.headers:
                kept["Content-Length"] = answer.headers["Content-Length"]
            return answer.status, kept, content

    async def _pause(self, seconds: float) -> None:
        """Ended early when the proxy is closed."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return


@contextmanager
def running_s3_proxy(
    target: str, plan: FaultPlan | None = None, *, before: Hook = _no_hook, after: Hook = _no_hook
) -> Iterator[S3Proxy]:
    """A proxy on an event loop in a thread of its own; hooks run there."""
    proxy = S3Proxy(target, plan, before=before, after=after)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="s3-proxy")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(proxy.start(), loop).result()
        try:
            yield proxy
        finally:
            asyncio.run_coroutine_threadsafe(proxy.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _half(body: bytes) -> AsyncIterator[bytes]:
    """Half of a body whose length was announced, then a broken connection."""
    yield body[: len(body) // 2]
    raise CallDropped


def _error(call: Call, status: int, code: str, message: str) -> web.Response:
    """An error as S3 writes it (Amazon S3 API Reference, "Error responses")."""
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{call.number}</RequestId></Error>"
    )
    body = b"" if call.operation.startswith("Head") else document.encode()
    return web.Response(status=status, body=body, content_type="application/xml")


def _reset(request: web.Request) -> web.Response:
    """The client's connection breaks; the response goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m support.s3_proxy", description=__doc__.splitlines()[0])
    parser.add_argument("target", help="the S3 server's endpoint, such as http://127.0.0.1:8333")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.01, help="share of calls for each fault")
    parser.add_argument("--fault", action="append", choices=[*Fault], help="repeatable; all transient ones")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long hangs and slow answers last")
    options = parser.parse_args()
    faults = [Fault(name) for name in options.fault or TRANSIENT]
    proxy = S3Proxy(options.target, FaultPlan(everywhere(options.rate, faults, seconds=options.seconds), options.seed))
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await proxy.start(options.port)
    print(json.dumps({"endpoint": proxy.endpoint_url}), flush=True)  # noqa: T201 - the address is its output
    await stop.wait()
    await proxy.close()
    print(json.dumps({"calls": len(proxy.calls), "injected": proxy.plan.injected}), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_main())
