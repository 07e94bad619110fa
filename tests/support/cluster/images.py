"""Apollo's images, built by the cluster's Docker Engine on a base that debootstrap makes: no registry is asked."""

import os
import shutil
import subprocess
from pathlib import Path

from support.cluster.cluster import Cluster
from support.cluster.places import cache_directory

_REPOSITORY = Path(__file__).parents[3]
_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
BASE = f"apollo-base:{_SUITE}"
TAG = "test"


def build_images(cluster: Cluster) -> None:
    """`apollo-coordinator:test` and `apollo-worker:test`, in the engine and on the node."""
    _ensure_base(cluster)
    for service in ("coordinator", "worker"):
        name = f"apollo-{service}:{TAG}"
        dockerfile = f"services/{service}/Dockerfile"
        arguments = ("--build-arg", f"BASE_IMAGE={BASE}", "--file", _REPOSITORY / dockerfile)
        cluster.docker("build", "--quiet", *arguments, "--tag", name, _REPOSITORY)
        cluster.load_image(name)


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
