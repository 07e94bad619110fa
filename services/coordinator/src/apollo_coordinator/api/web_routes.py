"""The web page: static files out of the package, which may do nothing but speak with this coordinator."""

import asyncio
import hashlib
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from aiohttp import hdrs, web

from apollo_coordinator.api.routing import Route

_TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing from elsewhere, no script in the page itself, and no text that becomes HTML."""
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",  # asks with the entity tag, so that page and coordinator are of one version
}
_START: Final = "index.html"


class _File(NamedTuple):
    content: bytes
    content_type: str
    tag: str


class WebRoutes:
    """Needs no token: the page holds nothing, and asks for a token where the API does."""

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/", self.start, "A page to look at jobs with", produces="text/html", public=True),
            Route("GET", "/web/{name}", self.file, "What the page is made of", public=True),
        ]

    async def start(self, request: web.Request) -> web.Response:
        return await _answer(request, _START)

    async def file(self, request: web.Request) -> web.Response:
        return await _answer(request, request.match_info["name"])


async def _answer(request: web.Request, name: str) -> web.Response:
    file = (await asyncio.to_thread(_files)).get(name)
    if file is None:
        raise web.HTTPNotFound
    known = [tag.value for tag in request.if_none_match or ()]
    answer = web.Response(status=304) if file.tag in known else web.Response(body=file.content)
    answer.headers.update(_HEADERS)
    answer.etag = file.tag
    if answer.status != 304:
        answer.content_type, answer.charset = file.content_type, "utf-8"
    return answer


@cache
def _files() -> dict[str, _File]:
    """By name. A few small ones, so that they stay in memory once somebody has asked."""
    found = {}
    for entry in resources.files("apollo_coordinator.web").iterdir():
        content_type = _TYPES.get(entry.name.rpartition(".")[2])
        if content_type is not None:
            content = entry.read_bytes()
            found[entry.name] = _File(content, content_type, hashlib.sha256(content).hexdigest()[:32])
    return found
