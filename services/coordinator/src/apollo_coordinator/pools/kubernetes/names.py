"""How objects of a coordinator are named and labelled.

`instance` tells the coordinators of one namespace apart: each looks at its own objects only.
"""

from dataclasses import dataclass
from typing import Final

from apollo_common.ids import JobId

WORKER_CONTAINER: Final = "worker"
WORKER_PORT: Final = 8090
JOB_LABEL: Final = "apollo.io/job"
TEMPLATE_ANNOTATION: Final = "apollo.io/template"
"""Of a worker pod: the version of what it was made from (template.py)."""
_MANAGER: Final = "apollo-coordinator"


@dataclass(frozen=True, slots=True)
class Names:
    instance: str = "apollo"

    def job_object(self, job: JobId) -> str:
        """Of the ConfigMap that owns everything of a job, and of the Secret with its keys."""
        return f"{self.instance}-job-{job}"

    def storage_secret(self, job: JobId) -> str:
        return f"{self.instance}-job-{job}-storage"

    def pod(self, job: JobId, ending: str) -> str:
        return f"{self.instance}-worker-{job}-{ending}"

    def labels(self, component: str, job: JobId) -> dict[str, str]:
        return self._labels(component) | {"app.kubernetes.io/name": "apollo", JOB_LABEL: job}

    def pods_of(self, component: str) -> dict[str, str]:
        """Labels that tell this instance's pods of one component from all others: of `worker`, or `coordinator`."""
        return {"app.kubernetes.io/component": component, "app.kubernetes.io/instance": self.instance}

    def selector(self, component: str) -> str:
        """Of all objects with `labels(component, ...)`."""
        return ",".join(f"{key}={value}" for key, value in self._labels(component).items())

    def _labels(self, component: str) -> dict[str, str]:
        return self.pods_of(component) | {"app.kubernetes.io/managed-by": _MANAGER}
