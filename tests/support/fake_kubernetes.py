"""The part of a Kubernetes API server that the pool uses, in this process, with the faults that real ones have.

Faithful where the pool could go wrong: resource versions, watches that replay, bookmarks, 410 after a compaction,
pages, graceful deletion of pods, garbage collection by owner.
"""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiohttp import web

Object = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NAMESPACE = "apollo"


class FakeKubernetes:
    """`url` is where it serves. Objects lie in `objects[plural][name]`."""

    def __init__(self) -> None:
        self.url = ""
        self.objects: dict[str, dict[str, Object]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []  # method, plural, query
        self.refusals: dict[str, Object] = {}  # plural -> the Status that answers a creation
        self.reviews: dict[str, Object] = {}  # token -> the status of its review; others are not authenticated
        self.reviewed: list[Object] = []
        self.review_gate = asyncio.Event()  # reviews are answered while it is set
        self.review_gate.set()
        self.quiet_watches = False  # watches end at once, without an event
        self.broken: set[str] = set()  # of "list" and "watch": what is answered with an error
        self.pod_deleted: Callable[[Object], None] = lambda pod: self.remove("pods", pod["metadata"]["name"])
        """What ends a pod whose deletion was asked for; a kubelet takes its time."""
        self.pod_created: Callable[[str], None] = lambda _name: None
        """What hears of a new pod."""
        self.held: tuple[str, str] | None = None  # method and plural of calls that are not answered
        self._version = 100
        self._oldest = 100
        self._history: list[tuple[int, str, str, Object]] = []  # version, type, plural, object
        self._news = asyncio.Condition()
        self._watches: set[asyncio.Transport] = set()
        self._announcing: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()

    # What tests do to it

    def put(self, plural: str, content: Object) -> Object:
        """Create or change an object."""
        name = content["metadata"]["name"]
        kept = self.objects.setdefault(plural, {})
        kind = "MODIFIED" if name in kept else "ADDED"
        content["metadata"].setdefault("uid", str(uuid.uuid4()))
        content["metadata"].setdefault("namespace", NAMESPACE)
        kept[name] = content
        self._record(kind, plural, content)
        return content

    def let_go(self) -> None:
        """Answer the calls that are `held`, and hold no more."""
        self.held = None
        self._released.set()
        self._released = asyncio.Event()

    def set_status(self, pod: str, **status: Any) -> None:
        found = json.loads(json.dumps(self.objects["pods"][pod]))
        found["status"] = found.get("status", {}) | status
        self.put("pods", found)

    def remove(self, plural: str, name: str) -> None:
        """Take an object away, and what it owns."""
        gone = self.objects.get(plural, {}).pop(name, None)
        if gone is None:
            return
        self._record("DELETED", plural, gone)
        for kind, item in list(self._owned_by(gone["metadata"]["uid"])):
            self.delete(kind, item["metadata"]["name"])

    def delete(self, plural: str, name: str) -> None:
        """As a client deletes: a pod ends gracefully."""
        found = self.objects[plural][name]
        if plural != "pods":
            self.remove(plural, name)
        elif not found["metadata"].get("deletionTimestamp"):
            found = json.loads(json.dumps(found))
            found["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
            self.put(plural, found)
            self.pod_deleted(found)

    def compact(self) -> None:
        """Forget the past: who watches from an older version hears 410."""
        self._oldest = self._version
        self._history.clear()

    def cut_watches(self) -> None:
        """Break every watch within an event."""
        for transport in self._watches:
            transport.write(b'15\r\n{"type":"MODIFIED","o\r\n')
            transport.close()

    def count(self, method: str, plural: str, *, watch: bool = False) -> int:
        return sum(1 for m, p, query in self.requests if (m, p, "watch" in query) == (method, plural, watch))

    def told(self) -> list[Object]:
        """Every state that an object other than a Secret was ever in."""
        return [item for _, _, plural, item in self._history if plural != "secrets"]

    # HTTP

    @web.middleware
    async def _hold(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.held == (request.method, request.match_info.get("plural")):
            self._noted(request)
            await self._released.wait()
        return await handler(request)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeKubernetes"]:
        app = web.Application(client_max_size=4 << 20, middlewares=[self._hold])
        for root in ("/api/v1", "/apis/{group}/v1"):
            app.router.add_get(root + "/namespaces/{namespace}/{plural}", self._list_or_watch)
            app.router.add_post(root + "/namespaces/{namespace}/{plural}", self._create)
            app.router.add_get(root + "/namespaces/{namespace}/{plural}/{name}", self._get)
            app.router.add_delete(root + "/namespaces/{namespace}/{plural}/{name}", self._delete)
        app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", self._review)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _get(self, request: web.Request) -> web.Response:
        found = self._noted(request).get(request.match_info["name"])
        return _status(404, "NotFound", "not found") if found is None else web.json_response(found)

    async def _create(self, request: web.Request) -> web.Response:
        kept, plural = self._noted(request), request.match_info["plural"]
        content = await request.json()
        if plural in self.refusals:
            refusal = self.refusals[plural]
            return web.json_response(refusal, status=refusal["code"])
        if content["metadata"]["name"] in kept:
            return _status(409, "AlreadyExists", f"{plural} {content['metadata']['name']!r} already exists")
        if plural == "secrets":
            text = content.pop("stringData", {})
            content["data"] = {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
        if plural == "pods":
            content["status"] = {"phase": "Pending"}
        made = self.put(plural, content)
        owners = [owner["uid"] for owner in made["metadata"].get("ownerReferences") or ()]
        alive = {item["metadata"]["uid"] for items in self.objects.values() for item in items.values()}
        if owners and not alive.intersection(owners):
            self.delete(plural, made["metadata"]["name"])
        if plural == "pods":
            self.pod_created(made["metadata"]["name"])
        return web.json_response(made, status=201)

    async def _review(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.reviewed.append(review)
        await self.review_gate.wait()
        if (refusal := self.refusals.get("tokenreviews")) is not None:
            return web.json_response(refusal, status=refusal["code"])
        answer = self.reviews.get(review["spec"]["token"], {"authenticated": False})
        return web.json_response(review | {"status": answer}, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        name, plural = request.match_info["name"], request.match_info["plural"]
        if name not in self._noted(request):
            return _status(404, "NotFound", f"{plural} {name!r} not found")
        self.delete(plural, name)
        return web.json_response({"kind": "Status", "status": "Success"})

    async def _list_or_watch(self, request: web.Request) -> web.StreamResponse:
        kept = self._noted(request)
        if ("watch" if "watch" in request.query else "list") in self.broken:
            return _status(503, "ServiceUnavailable", "etcd has no leader")
        if request.query.get("watch") == "true":
            return await self._watch(request)
        items = [item for _, item in sorted(kept.items()) if _selected(item, request)]
        start = int(request.query.get("continue") or 0)
        end = start + int(request.query.get("limit") or len(items) or 1)
        metadata = {"resourceVersion": str(self._version)}
        if end < len(items):
            metadata["continue"] = str(end)
        return web.json_response({"kind": "List", "metadata": metadata, "items": items[start:end]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        seen = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if self.quiet_watches:
            return response
        if seen < self._oldest:
            await _send(response, "ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
            return response
        transport = request.transport
        assert transport is not None
        self._watches.add(transport)
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                await self._stream(request, response, seen)
        except TimeoutError:
            await _send(response, "BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(self._version)}})
        finally:
            self._watches.discard(transport)
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse, seen: int) -> None:
        while True:
            fresh = [entry for entry in self._history if entry[0] > seen]
            seen = self._version
            for _, kind, plural, item in fresh:
                if plural == request.match_info["plural"] and _selected(item, request):
                    await _send(response, kind, item)
            async with self._news:
                await self._news.wait_for(partial(self._is_after, seen))

    def _is_after(self, version: int) -> bool:
        return self._version > version

    def _noted(self, request: web.Request) -> dict[str, Object]:
        """Write the request down; the objects it is about."""
        plural = request.match_info["plural"]
        self.requests.append((request.method, plural, dict(request.query)))
        return self.objects.setdefault(plural, {})

    def _record(self, kind: str, plural: str, content: Object) -> None:
        self._version += 1
        content["metadata"]["resourceVersion"] = str(self._version)
        self._history.append((self._version, kind, plural, json.loads(json.dumps(content))))
        task = asyncio.get_running_loop().create_task(self._announce())
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _owned_by(self, uid: str) -> Iterator[tuple[str, Object]]:
        for plural, items in self.objects.items():
            for item in list(items.values()):
                if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences") or ()):
                    yield plural, item


def quota_refusal() -> Object:
    """As the quota admission answers."""
    message = 'pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2'
    return {"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": message}


def _selected(item: Object, request: web.Request) -> bool:
    labels = item["metadata"].get("labels") or {}
    for term in filter(None, request.query.get("labelSelector", "").split(",")):
        key, _, value = term.partition("=")
        if labels.get(key) != value:
            return False
    wanted = dict(term.split("=") for term in filter(None, request.query.get("fieldSelector", "").split(",")))
    name = wanted.get("involvedObject.name")
    return name is None or item["involvedObject"]["name"] == name


async def _send(response: web.StreamResponse, kind: str, content: Object) -> None:
    await response.write(json.dumps({"type": kind, "object": content}).encode() + b"\n")


def _status(code: int, reason: str, message: str) -> web.Response:
    document = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return web.json_response(document, status=code)
