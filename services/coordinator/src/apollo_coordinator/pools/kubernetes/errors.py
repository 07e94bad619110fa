"""What a call to the Kubernetes API can end with."""

from apollo_common.errors import PermanentError, TemporaryError


class KubernetesUnavailable(TemporaryError):
    """The API server does not answer, is overloaded, or asks to come again."""

    reason = "kubernetes_unavailable"


class KubernetesRefused(PermanentError):
    """The API server does not allow a call or does not accept an object: RBAC, a quota, Pod Security, a wrong field."""

    reason = "kubernetes_refused"


class ObjectExists(PermanentError):
    """An object of this name is there already."""

    reason = "kubernetes_object_exists"


class ObjectMissing(PermanentError):
    reason = "kubernetes_object_missing"


class VersionExpired(TemporaryError):
    """A resource version is too old to watch or list on from (HTTP 410): list again."""

    reason = "kubernetes_version_expired"
