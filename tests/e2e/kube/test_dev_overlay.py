"""`kubectl apply -k infra/kustomize/overlays/dev` on an empty cluster is a whole Apollo."""

from support.installation import OVERLAY

_KINDS = "statefulsets,deployments,configmaps,secrets,pods,persistentvolumeclaims"


def test_a_second_apply_replaces_nothing(installation, cluster):
    def generations() -> dict[str, int]:
        found = installation.namespace.get(_KINDS)
        return {item["metadata"]["uid"]: item["metadata"].get("generation", 0) for item in found}

    before = generations()
    cluster.kubectl("apply", "-k", OVERLAY)
    assert generations() == before
