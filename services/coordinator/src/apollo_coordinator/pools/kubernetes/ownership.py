"""What a job has in the cluster besides its pods: a ConfigMap that owns everything, and Secrets that it owns.

The ConfigMap belongs to the coordinator's StatefulSet, not to its pod: nothing is orphaned, and nothing ends when
that pod is replaced. Deleting it ends the job's pods and Secrets too.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from apollo_common.errors import CredentialsUnusable
from apollo_common.ids import JobId
from apollo_common.storage.port import StorageAccess
from apollo_common.threads import in_thread
from apollo_common.tls import coordinator_context
from apollo_coordinator.pools.kubernetes.api import CONFIG_MAPS, SECRETS, STATEFUL_SETS, KubernetesApi, Object
from apollo_coordinator.pools.kubernetes.errors import (
    KubernetesRefused,
    KubernetesUnavailable,
    ObjectExists,
    ObjectMissing,
)
from apollo_coordinator.pools.kubernetes.job_keys import (
    AUTHORITY_KEY,
    COORDINATOR_CERTIFICATE_KEY,
    COORDINATOR_KEY_KEY,
    make_job_keys,
)
from apollo_coordinator.pools.kubernetes.names import JOB_LABEL, Names
from apollo_coordinator.pools.kubernetes.template import JobOwner, owner_reference
from apollo_coordinator.ports import JobSecrets

_COMPONENT = "job"
_STORAGE_KEY = "access.json"
_COORDINATORS_OWN = (AUTHORITY_KEY, COORDINATOR_CERTIFICATE_KEY, COORDINATOR_KEY_KEY)


@dataclass(frozen=True, slots=True)
class JobObjects:
    """A job's ConfigMap, and what the coordinator calls its workers with."""

    owner: JobOwner
    tls: ssl.SSLContext


class JobOwnership:
    """Makes, finds and deletes what jobs own. Errors: those of the API."""

    def __init__(self, api: KubernetesApi, names: Names, stateful_set: str = "") -> None:
        """Without a StatefulSet, as when the coordinator runs elsewhere, a job's ConfigMap belongs to nothing."""
        self._api = api
        self._names = names
        self._stateful_set = stateful_set
        self._root: list[Object] | None = None
        self._known: dict[JobId, JobObjects] = {}
        self._read: dict[JobId, ssl.SSLContext] = {}  # of jobs that a coordinator before this one began
        self._making = asyncio.Lock()

    async def ensure(self, job: JobId) -> JobObjects:
        """What the job has, made if it is not there."""
        async with self._making:
            if job not in self._known:
                owner = await self._config_map(job)
                self._known[job] = JobObjects(owner, await self._keys(owner))
            return self._known[job]

    async def tls(self, job: JobId) -> ssl.SSLContext:
        """What the job's workers know the coordinator by. ObjectMissing when nothing is left of the job."""
        known = self._known.get(job)
        if known is not None:
            return known.tls
        if job in self._read:
            return self._read[job]
        async with self._making:  # its pods ask all at once
            if job not in self._read:
                self._read[job] = _stored_context(await self._api.get(SECRETS, self._names.job_object(job)))
            return self._read[job]

    def doubt(self, job: JobId) -> None:
        """What the job has may be gone: the next one who asks looks again."""
        self._known.pop(job, None)
        self._read.pop(job, None)

    async def delete(self, job: JobId) -> None:
        """Delete the ConfigMap, and with it the job's pods and Secrets."""
        async with self._making:
            self.doubt(job)
            await self._api.delete(CONFIG_MAPS, self._names.job_object(job))

    async def jobs(self) -> list[JobId]:
        """All that have a ConfigMap."""
        found: list[JobId] = []
        query = {"labelSelector": self._names.selector(_COMPONENT), "limit": "500"}
        while True:
            page = await self._api.list(CONFIG_MAPS, **query)
            found += [JobId(item["metadata"]["labels"][JOB_LABEL]) for item in page.get("items") or ()]
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return found

    async def create_secret(self, owner: JobOwner, name: str, content: dict[str, str]) -> None:
        """ObjectExists."""
        metadata = self._metadata(name, owner.job, [owner.reference()])
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "immutable": True}
        await self._api.create(SECRETS, secret | {"stringData": content})

    async def _config_map(self, job: JobId) -> JobOwner:
        name = self._names.job_object(job)
        metadata = self._metadata(name, job, await self._root_owners())
        try:
            made = await self._api.create(
                CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"job": job}}
            )
        except ObjectExists:
            made = await self._api.get(CONFIG_MAPS, name)
        return JobOwner(job, name, made["metadata"]["uid"])

    async def _keys(self, owner: JobOwner) -> ssl.SSLContext:
        keys = await in_thread(make_job_keys)
        try:
            await self.create_secret(owner, owner.name, keys)
        except ObjectExists:  # made by a coordinator before this one
            secret = await self._api.get(SECRETS, owner.name)
            if not _belongs(secret, owner):
                raise KubernetesUnavailable(
                    f"Secret {owner.name} is of a ConfigMap that is gone, and is about to go too"
                ) from None
            return _stored_context(secret)
        return _context(keys)

    async def _root_owners(self) -> list[Object]:
        if self._root is None:
            root: list[Object] = []
            if self._stateful_set:
                found = await self._api.get(STATEFUL_SETS, self._stateful_set)
                root = [owner_reference("apps/v1", "StatefulSet", self._stateful_set, found["metadata"]["uid"])]
            self._root = root
        return self._root

    def _metadata(self, name: str, job: JobId, owners: list[Object]) -> Object:
        return {"name": name, "labels": self._names.labels(_COMPONENT, job), "ownerReferences": owners}


class ClusterSecrets:
    """The SecretStore port: credentials that came in a job's body, as a Secret that the job owns.

    Also the end of what a job has in the cluster: the engine forgets a job's secrets once nothing of it runs.
    """

    def __init__(self, api: KubernetesApi, names: Names, ownership: JobOwnership) -> None:
        self._api = api
        self._names = names
        self._ownership = ownership

    async def put(self, job: JobId, secrets: JobSecrets) -> None:
        objects = await self._ownership.ensure(job)
        content = json.dumps({"input": asdict(secrets.input_access), "output": asdict(secrets.output_access)})
        await self._ownership.create_secret(objects.owner, self._names.storage_secret(job), {_STORAGE_KEY: content})

    async def get(self, job: JobId) -> JobSecrets | None:
        try:
            secret = await self._api.get(SECRETS, self._names.storage_secret(job))
        except ObjectMissing:
            return None
        try:
            document = json.loads(secret_value(secret, _STORAGE_KEY))
            return JobSecrets(StorageAccess(**document["input"]), StorageAccess(**document["output"]))
        except (ValueError, KeyError, TypeError):
            raise CredentialsUnusable(
                f"Secret {self._names.storage_secret(job)} does not hold the credentials that came with the job: "
                "somebody has replaced it. Submit the job again"
            ) from None

    async def delete(self, job: JobId) -> None:
        await self._ownership.delete(job)

    async def sweep(self, known: Callable[[JobId], bool]) -> int:
        over = [job for job in await self._ownership.jobs() if not known(job)]
        for job in over:
            await self._ownership.delete(job)
        return len(over)


def _context(keys: Mapping[str, str]) -> ssl.SSLContext:
    return coordinator_context(*(keys[key] for key in _COORDINATORS_OWN))


def _stored_context(secret: Object) -> ssl.SSLContext:
    try:
        return _context({key: secret_value(secret, key) for key in _COORDINATORS_OWN})
    except ValueError as error:
        raise KubernetesRefused(f"Secret {secret['metadata']['name']}: {error}") from None


def _belongs(item: Object, owner: JobOwner) -> bool:
    return any(reference["uid"] == owner.uid for reference in item["metadata"].get("ownerReferences") or ())


def secret_value(secret: Object, key: str) -> str:
    return base64.b64decode((secret.get("data") or {}).get(key, "")).decode()
