"""The manifests hang together, and speak of settings, ports and versions as the services do. Needs no kubectl."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from apollo_common.settings import ENVIRONMENT_PREFIX, Settings
from apollo_coordinator.pools.kubernetes.names import WORKER_CONTAINER, WORKER_PORT
from apollo_coordinator.settings import DEFAULT_PORT, CoordinatorSettings
from apollo_worker.settings import WorkerSettings
from support.apollo_cli import REPOSITORY
from support.manifests import CLUSTER_SCOPED, second_installation

KUSTOMIZE = REPOSITORY / "infra/kustomize"
FILES = sorted(KUSTOMIZE.rglob("*.yaml"))
KUSTOMIZATIONS = [file for file in FILES if file.name == "kustomization.yaml"]
READ_BY = {"apollo-settings": CoordinatorSettings, "apollo-worker-settings": WorkerSettings}
HELD = {"secretKeyRef", "fieldRef"}  # a value that is known in the cluster only


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


def named(file: Path) -> list[Path]:
    """What a kustomization takes in."""
    (content,) = documents(file)
    entries = [entry for key in ("resources", "components", "configurations") for entry in content.get(key, ())]
    entries += [entry for made in content.get("configMapGenerator", ()) for entry in made.get("files", ())]
    return [(file.parent / entry).resolve() for entry in entries]


def literals(name: str) -> dict[str, set[str]]:
    """Every value that some kustomization gives to a variable of a generated ConfigMap."""
    found: dict[str, set[str]] = {}
    for file in KUSTOMIZATIONS:
        for made in documents(file)[0].get("configMapGenerator", ()):
            if made["name"] == name:
                for literal in made.get("literals", ()):
                    variable, _, value = literal.partition("=")
                    found.setdefault(variable, set()).add(value)
    return found


def containers() -> dict[str, tuple[dict[str, Any], type[Settings]]]:
    (stateful_set,) = (item for item in documents(KUSTOMIZE / "base/coordinator.yaml") if item["kind"] == "StatefulSet")
    (coordinator,) = stateful_set["spec"]["template"]["spec"]["containers"]
    (worker,) = documents(KUSTOMIZE / "base/worker-pod.yaml")[0]["spec"]["containers"]
    return {"coordinator": (coordinator, CoordinatorSettings), "worker": (worker, WorkerSettings)}


def test_a_kustomization_takes_in_what_is_there():
    for file in KUSTOMIZATIONS:
        for path in named(file):
            assert path.is_file() or (path / "kustomization.yaml").is_file(), f"{file}: {path}"


def test_every_file_belongs_to_a_kustomization():
    taken_in = {path for file in KUSTOMIZATIONS for path in named(file)} | {file.resolve() for file in KUSTOMIZATIONS}
    assert {file.resolve() for file in FILES} == {path for path in taken_in if path.is_file()}


def test_a_second_installation_renames_what_belongs_to_no_namespace():
    """Otherwise applying it takes the binding from the first, and deleting it takes more."""
    (transformer,) = map(yaml.safe_load, second_installation()["transformers"])
    renamed = {field["kind"] for field in transformer["fieldSpecs"] if field["path"] == "metadata/name"}
    kinds = {item["kind"] for file in FILES for item in documents(file) if "kind" in item}
    assert renamed == kinds & CLUSTER_SCOPED


def test_the_priority_class_of_workers_is_the_one_that_is_made():
    (made,) = documents(KUSTOMIZE / "base/priority.yaml")
    assert literals("apollo-settings")["APOLLO_WORKER_PRIORITY_CLASS"] == {made["metadata"]["name"]}


@pytest.mark.parametrize("name", READ_BY)
def test_every_variable_is_a_setting_that_takes_the_value(name):
    service = READ_BY[name]
    variables = literals(name)
    assert variables
    for variable, values in variables.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            assert variable.startswith("AWS_"), variable
            continue
        assert variable.removeprefix(ENVIRONMENT_PREFIX).lower() in service.model_fields, variable
        for value in values:
            service.load({variable: value})


@pytest.mark.parametrize("name", ["coordinator", "worker"])
def test_a_containers_variables_are_settings(name):
    container, service = containers()[name]
    variables = container.get("env", ())
    for variable in variables:
        setting = variable["name"].removeprefix(ENVIRONMENT_PREFIX).lower()
        part_of_another = any(f"$({variable['name']})" in other.get("value", "") for other in variables)
        assert setting in service.model_fields or part_of_another, variable
        assert "value" in variable or HELD & variable["valueFrom"].keys()


def test_ports_are_those_of_the_services():
    (coordinator, _), (worker, _) = containers().values()
    assert {port["name"]: port["containerPort"] for port in coordinator["ports"]} == {"http": DEFAULT_PORT}
    defaults = WorkerSettings.load({})
    assert defaults.port == WORKER_PORT
    assert {port["name"]: port["containerPort"] for port in worker["ports"]} == {
        "grpc": WORKER_PORT,
        "metrics": defaults.metrics_port,
    }


@pytest.mark.parametrize("name", ["coordinator", "worker"])
def test_probes_and_mounts_find_what_they_name(name):
    container, _ = containers()[name]
    ports = {port["name"] for port in container["ports"]}
    probes = [container[probe] for probe in ("startupProbe", "livenessProbe", "readinessProbe") if probe in container]
    assert len(probes) >= 2
    for probe in probes:
        assert probe["httpGet"]["port"] in ports
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    manifest = "worker-pod.yaml" if name == "worker" else "coordinator.yaml"
    spec = documents(KUSTOMIZE / "base" / manifest)[-1]["spec"]
    claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
    volumes = {volume["name"] for volume in spec.get("template", {"spec": spec})["spec"]["volumes"]}
    assert mounts == volumes | claims


def test_the_worker_pod_has_the_container_that_the_pool_looks_for():
    assert containers()["worker"][0]["name"] == WORKER_CONTAINER


def test_the_programs_own_places_are_volumes_of_the_pod_with_a_bound():
    (pod,) = documents(KUSTOMIZE / "base/worker-pod.yaml")
    mounts = {mount["mountPath"]: mount["name"] for mount in containers()["worker"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    (places,) = literals("apollo-worker-settings")["APOLLO_SANDBOX_TEMPORARY"]
    for place in places.split(","):
        assert volumes[mounts[place]]["emptyDir"]["sizeLimit"]


@pytest.mark.parametrize("service", ["coordinator", "worker"])
def test_images_are_of_this_version(service):
    version = tomllib.loads((REPOSITORY / f"services/{service}/pyproject.toml").read_text())["project"]["version"]
    content = json.dumps([documents(file) for file in FILES])
    tags = re.findall(rf"apollo-{service}:([^\"\s]+)", content)
    dev = documents(KUSTOMIZE / "overlays/dev/kustomization.yaml")[0]
    tags += [image["newTag"] for image in dev["images"] if image["name"] == f"apollo-{service}"]
    assert set(tags) == {version}


@pytest.mark.parametrize("service", ["coordinator", "worker"])
def test_an_image_takes_from_an_index_only_what_has_a_hash(service):
    content = (REPOSITORY / f"services/{service}/Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"/pip [^&\n]*install[^&\n]*", content)
    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-index" in install for install in installs)
