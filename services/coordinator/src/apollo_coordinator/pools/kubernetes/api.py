"""Calls to the Kubernetes API: the adapter over kubernetes-asyncio, whose errors end here.

Its generated models are left aside: decoding them costs ten times what JSON costs, and its watch retries without a
pause. Of the library this uses what is hard to do again: kubeconfigs, tokens that rotate, connections.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config

from apollo_common.errors import InvalidSetting
from apollo_coordinator.pools.kubernetes.errors import (
    KubernetesRefused,
    KubernetesUnavailable,
    ObjectExists,
    ObjectMissing,
    VersionExpired,
)

Object = dict[str, Any]
"""One object, list or watch event of the API, as its JSON says."""

CALL_SECONDS: Final = 30.0
MAX_LINE_BYTES: Final = 4 << 20  # of a watch event; etcd holds no object over 1.5 MiB
MAX_ANSWER_BYTES: Final = 64 << 20  # of anything else; lists are read in pages
_GOODBYE_SECONDS: Final = 0.1  # TLS connections are closed by then; aiohttp does not wait for them
_AUTHENTICATION: Final = ["BearerToken"]


@dataclass(frozen=True, slots=True)
class Collection:
    """Where the objects of one kind lie in one namespace, or in none. `group` is empty for the core group."""

    name: str  # pods, configmaps, ...
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        root = f"/apis/{self.group}" if self.group else "/api"
        place = f"namespaces/{namespace}/" if self.namespaced else ""
        path = f"{root}/{self.version}/{place}{self.name}"
        return f"{path}/{name}" if name else path


PODS: Final = Collection("pods")
CONFIG_MAPS: Final = Collection("configmaps")
SECRETS: Final = Collection("secrets")
EVENTS: Final = Collection("events")
CLAIMS: Final = Collection("persistentvolumeclaims")
STATEFUL_SETS: Final = Collection("statefulsets", group="apps")
TOKEN_REVIEWS: Final = Collection("tokenreviews", group="authentication.k8s.io", namespaced=False)


class KubernetesApi:
    """Calls in one namespace. Errors: those of errors.py. Close it."""

    def __init__(self, configuration: Configuration, namespace: str) -> None:
        self.namespace = namespace
        self._client = ApiClient(configuration)
        self._client.user_agent = "apollo-coordinator"

    @classmethod
    async def connect(cls, namespace: str, kubeconfig: Path | None = None) -> "KubernetesApi":
        """As the pod's service account, or as a kubeconfig says. Calls nothing yet. InvalidSetting."""
        configuration = Configuration()
        try:
            if kubeconfig is None:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
        except (ConfigException, OSError) as error:
            raise InvalidSetting(
                f"cannot tell where the Kubernetes API is: {error}. Run in a pod with a service-account token, "
                "or set APOLLO_KUBECONFIG"
            ) from None
        return cls(configuration, namespace)

    async def get(self, collection: Collection, name: str) -> Object:
        return await self._call("GET", collection.path(self.namespace, name))

    async def create(self, collection: Collection, content: Object) -> Object:
        return await self._call("POST", collection.path(self.namespace), body=content)

    async def delete(self, collection: Collection, name: str, *, grace_seconds: int | None = None) -> None:
        """Also what it owns, in the background. Nothing happens when it is not there."""
        options: Object = {"propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._call("DELETE", collection.path(self.namespace, name), body=options)
        except ObjectMissing:
            return

    async def list(self, collection: Collection, **query: str) -> Object:
        """One page: `items`, and `metadata` with resourceVersion and continue. VersionExpired."""
        return await self._call("GET", collection.path(self.namespace), query=query)

    @asynccontextmanager
    async def watch(self, collection: Collection, *, timeout_seconds: int, **query: str) -> AsyncIterator["Watch"]:
        """Changes since a resource version, for about `timeout_seconds`. VersionExpired."""
        asked = query | {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(timeout_seconds)}
        patience = aiohttp.ClientTimeout(sock_connect=CALL_SECONDS, sock_read=timeout_seconds + CALL_SECONDS)
        with _mapped_errors("watch"):
            response = await self._request("GET", collection.path(self.namespace), asked, None, patience)
        try:
            if response.status != 200:
                raise _refusal(response.status, await _read(response))
            yield Watch(response)
        finally:
            response.close()

    async def close(self) -> None:
        await self._client.close()
        await asyncio.sleep(_GOODBYE_SECONDS)

    async def _call(self, method: str, path: str, *, query: Object | None = None, body: Object | None = None) -> Object:
        patience = aiohttp.ClientTimeout(total=CALL_SECONDS)
        with _mapped_errors(f"{method} {path}"):
            response = await self._request(method, path, query or {}, body, patience)
            async with response:
                content = await _read(response)
            if 200 <= response.status < 300:
                answer: Object = json.loads(content)
                return answer
        raise _refusal(response.status, content)

    async def _request(
        self, method: str, path: str, query: Object, body: Object | None, patience: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await self._client.call_api(
            path,
            method,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=body,
            auth_settings=_AUTHENTICATION,
            _preload_content=False,
            _request_timeout=patience,
        )
        return response


class Watch:
    """The events of one watch, as they come. Iterate once."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[Object]:
        """KubernetesUnavailable when it breaks, or ends within an event."""
        pending = bytearray()
        with _mapped_errors("watch"):
            async for chunk in self._response.content.iter_any():
                pending += chunk
                *lines, rest = pending.split(b"\n")
                for line in lines:
                    yield _event(line)
                pending = bytearray(rest)
                if len(pending) > MAX_LINE_BYTES:
                    raise KubernetesUnavailable(f"a watch event is over {MAX_LINE_BYTES} bytes")
        if pending:
            raise KubernetesUnavailable("the watch ended within an event")


def _event(line: bytes | bytearray) -> Object:
    try:
        event = json.loads(line)
        if isinstance(event, dict) and isinstance(event.get("object"), dict):
            return event
    except ValueError:
        pass
    raise KubernetesUnavailable("the watch brought something that is no event")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise KubernetesUnavailable(f"the API server's answer is over {MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _refusal(status: int, content: bytes) -> KubernetesUnavailable | KubernetesRefused | ObjectExists | VersionExpired:
    """The error that an answer other than 2xx stands for, in the API server's own words."""
    kind: type[Any] = KubernetesRefused
    if status == 409:
        kind = ObjectExists if _reason(content) == "AlreadyExists" else KubernetesUnavailable
    elif status == 404:
        kind = ObjectMissing
    elif status == 410:
        kind = VersionExpired
    elif status in (401, 408, 429) or status >= 500:  # 401: a token that is being replaced
        kind = KubernetesUnavailable
    error: KubernetesUnavailable = kind(_message(content) or f"the API server answered {status}")
    return error


def status_error(status: Object) -> Exception:
    """The error that an ERROR event of a watch carries as its object."""
    return _refusal(int(status.get("code") or 500), json.dumps(status).encode())


def _status_field(content: bytes, field: str) -> str:
    try:
        document = json.loads(content)
    except ValueError:
        return ""
    return str(document.get(field) or "") if isinstance(document, dict) else ""


def _reason(content: bytes) -> str:
    return _status_field(content, "reason")


def _message(content: bytes) -> str:
    return _status_field(content, "message")[:1000]


@contextmanager
def _mapped_errors(what: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise KubernetesUnavailable(f"the Kubernetes API did not answer in time ({what})") from None
    except (aiohttp.ClientError, OSError) as error:
        raise KubernetesUnavailable(f"the Kubernetes API cannot be reached ({what}): {error}") from None
    except ValueError as error:
        raise KubernetesUnavailable(f"the Kubernetes API answered what is no JSON ({what}): {error}") from None
