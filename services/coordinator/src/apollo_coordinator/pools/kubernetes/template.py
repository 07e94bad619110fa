"""The worker pod that the operator describes in a file, and what the pool adds to it for one worker of one job."""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from apollo_common.errors import InvalidSetting
from apollo_common.ids import JobId
from apollo_common.tls import AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.pools.kubernetes.api import Object
from apollo_coordinator.pools.kubernetes.job_keys import AUTHORITY_KEY, WORKER_CERTIFICATE_KEY, WORKER_KEY_KEY
from apollo_coordinator.pools.kubernetes.names import TEMPLATE_ANNOTATION, WORKER_CONTAINER, WORKER_PORT, Names
from apollo_coordinator.pools.kubernetes.overrides import override

VOLUME_PATH: Final = "/var/lib/apollo/intermediate"  # where a worker looks for map outputs unless it is told otherwise
STORAGE_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION")
KEYS_PATH: Final = "/var/run/secrets/apollo.io/tls"
"""Below no directory that a sandboxed program is shown."""

CLEAN_UP_SECONDS: Final = 10
"""Of a pod's grace: what a worker needs to end once its attempt is over or given up. The rest is the attempt's.

One that needs longer is killed by its node, which loses nothing any more. The worker's own bound on a stop, 15 s, is
meant for places where nobody kills it, and need not fit in here.
"""

LEAST_DRAIN_SECONDS: Final = 2
"""However short the grace. A worker that handed its attempt back at once would be faster than its node, which kills a
pod a second after SIGTERM for what it wrote, and only then says so: nobody would be to blame, and the attempt be tried
again and again.
"""

_DEFAULT_GRACE_SECONDS: Final = 30  # Kubernetes' own
_NO_SHARED_VOLUME: Final[Object] = {"name": "APOLLO_SHARED_VOLUME", "value": "false"}
_KEYS_VOLUME: Final = "apollo-keys"
_KEYS_MODE: Final = 0o440  # root's, and the group's of the pod (fsGroup)


@dataclass(frozen=True, slots=True)
class JobOwner:
    """The ConfigMap that everything of a job belongs to: what it owns goes with it."""

    job: JobId
    name: str
    uid: str

    def reference(self) -> Object:
        return owner_reference("v1", "ConfigMap", self.name, self.uid)


def owner_reference(api_version: str, kind: str, name: str, uid: str) -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True}


class PodTemplate:
    """A Pod manifest with a container called `worker`. Whatever it says, the pool's own fields win."""

    def __init__(
        self,
        manifest: Object,
        environment: Mapping[str, str] | None = None,
        *,
        beside: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: the coordinator's, for where `s3://` lives, unless the manifest says it. `beside`: labels of
        pods whose node the workers have to share.
        """
        self._manifest = manifest
        self._beside = beside
        self._storage = [
            {"name": name, "value": value}
            for name, value in (environment or {}).items()
            if name in STORAGE_VARIABLES and value
        ]

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        image: str = "",
        priority_class: str = "",
        annotations: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        shared_volume: bool = True,
        beside: Mapping[str, str] | None = None,
    ) -> "PodTemplate":
        """`image` and `priority_class` take the place of the file's, `annotations`, NAME=VALUE each, are beside its
        own. Without a `shared_volume`, because map outputs lie in a bucket, what the file mounts for it is left out,
        and workers are told. InvalidSetting when the file cannot be read or describes no worker.
        """
        try:
            manifest = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise InvalidSetting(f"the worker pod's template {path} cannot be read: {error}") from None
        if not isinstance(manifest, dict) or manifest.get("kind") != "Pod" or not _worker_container(manifest):
            raise InvalidSetting(
                f"the worker pod's template {path} has to be a Pod with a container named {WORKER_CONTAINER}"
            )
        container = _worker_container(manifest)
        container["image"] = image or container.get("image")
        if not container["image"]:
            raise InvalidSetting(f"the worker pod's template {path} names no image: set APOLLO_WORKER_IMAGE")
        if priority_class:
            manifest["spec"]["priorityClassName"] = priority_class
        metadata = manifest["metadata"] = manifest.get("metadata") or {}
        metadata["annotations"] = (metadata.get("annotations") or {}) | dict(map(_annotation, annotations))
        if not shared_volume:
            _drop_volume(manifest, VOLUME_PATH)
            container["env"] = _merge_named(container.get("env") or [], [_NO_SHARED_VOLUME])
        return cls(manifest, environment, beside=beside)

    @property
    def claims(self) -> list[str]:
        """The persistent volume claims that workers mount, by name."""
        volumes = (self._manifest.get("spec") or {}).get("volumes") or ()
        claims = (volume.get("persistentVolumeClaim") for volume in volumes)
        return [claim["claimName"] for claim in claims if claim]

    def version(self, asked: PodOverrides) -> str:
        """The same for pods that are made from the same template, settings and wishes of a job."""
        content = [self._manifest, self._storage, self._beside, asked.to_json()]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def pod(
        self,
        name: str,
        names: Names,
        owner: JobOwner,
        asked: PodOverrides | None = None,
        *,
        orphan_seconds: int,
    ) -> Object:
        """The manifest of one worker, ready to be created, with what its job asks of it."""
        asked = asked or PodOverrides()
        pod = copy.deepcopy(self._manifest)
        metadata = pod.setdefault("metadata", {})
        metadata |= {"name": name, "ownerReferences": [owner.reference()]}
        metadata.pop("namespace", None)
        container = _worker_container(pod)
        metadata["annotations"] = (metadata.get("annotations") or {}) | {TEMPLATE_ANNOTATION: self.version(asked)}
        override(pod, container, asked)
        metadata["labels"] |= names.labels("worker", owner.job)
        # A worker that starts again is another worker, and gets another pod. It never calls the API server.
        pod["spec"] |= {"restartPolicy": "Never", "automountServiceAccountToken": False}
        given = _merge_named(self._storage, container.get("env") or [])
        container["env"] = _merge_named(given, _environment(orphan_seconds, pod["spec"]))
        _mount_keys(pod, container, owner)
        if self._beside is not None:
            _require_node_of(pod["spec"], self._beside)
        if pod["spec"].get("subdomain"):  # of the headless Service: without a host name DNS would not know the pod
            pod["spec"]["hostname"] = name
        return pod


def _annotation(entry: str) -> tuple[str, str]:
    """Its name and value. InvalidSetting."""
    name, equals, value = entry.partition("=")
    if not name or not equals:
        raise InvalidSetting(f"APOLLO_WORKER_ANNOTATIONS: {entry!r} is not NAME=VALUE, such as team=data")
    return name, value


def _environment(orphan_seconds: int, spec: Object) -> list[Object]:
    grace_seconds = spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS)
    return [
        {"name": "APOLLO_WORKER_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "APOLLO_TLS_DIR", "value": KEYS_PATH},
        {"name": "APOLLO_PORT", "value": str(WORKER_PORT)},
        {"name": "APOLLO_ORPHAN_DEADLINE_SECONDS", "value": str(orphan_seconds)},
        {"name": "APOLLO_DRAIN_SECONDS", "value": str(max(grace_seconds - CLEAN_UP_SECONDS, LEAST_DRAIN_SECONDS))},
    ]


def _require_node_of(spec: Object, labels: Mapping[str, str]) -> None:
    """Have the scheduler put the pod where pods with these labels are.

    It makes an exception for the first pod of a kind that asks to be near its own kind.
    """
    affinity = dict(spec.get("affinity") or {})
    pods = dict(affinity.get("podAffinity") or {})
    term = {"labelSelector": {"matchLabels": dict(labels)}, "topologyKey": "kubernetes.io/hostname"}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    pods[required] = [*(pods.get(required) or ()), term]
    spec["affinity"] = affinity | {"podAffinity": pods}


def _mount_keys(pod: Object, container: Object, owner: JobOwner) -> None:
    """The worker's own keys, out of the job's Secret; those of the coordinator never come near a pod."""
    files = {
        AUTHORITY_KEY: AUTHORITY_FILE,
        WORKER_CERTIFICATE_KEY: CERTIFICATE_FILE,
        WORKER_KEY_KEY: KEY_FILE,
    }
    items = [{"key": key, "path": path} for key, path in files.items()]
    secret = {"secretName": owner.name, "defaultMode": _KEYS_MODE, "items": items}
    mount = {"name": _KEYS_VOLUME, "mountPath": KEYS_PATH, "readOnly": True}
    volumes = pod["spec"].get("volumes") or []
    pod["spec"]["volumes"] = _merge_named(volumes, [{"name": _KEYS_VOLUME, "secret": secret}])
    container["volumeMounts"] = _merge_named(container.get("volumeMounts") or [], [mount])


def _drop_volume(manifest: Object, path: str) -> None:
    """Take away what the worker mounts at `path`."""
    container = _worker_container(manifest)
    mounts = container.get("volumeMounts") or []
    dropped = {mount["name"] for mount in mounts if mount["mountPath"] == path}
    container["volumeMounts"] = [mount for mount in mounts if mount["name"] not in dropped]
    volumes = manifest["spec"].get("volumes") or []
    manifest["spec"]["volumes"] = [volume for volume in volumes if volume["name"] not in dropped]


def _merge_named(items: list[Object], stronger: list[Object]) -> list[Object]:
    """Both lists of things with a `name`; of two with the same name the stronger one."""
    names = {item.get("name") for item in stronger}
    return [item for item in items if item.get("name") not in names] + stronger


def _worker_container(manifest: Object) -> Object:
    spec = manifest.get("spec")
    containers = spec.get("containers") if isinstance(spec, dict) else None
    for container in containers or ():
        if isinstance(container, dict) and container.get("name") == WORKER_CONTAINER:
            return container
    return {}
