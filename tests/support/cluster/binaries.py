"""Programs built from the pinned Go modules beside this file; kept by the digest of what they are built from.

A cold build takes about 10 minutes of two cores, most of it in the Kubernetes module.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.cluster.places import cache_directory

_HERE = Path(__file__).parent
_KUBERNETES_VERSION = "v1.36.3"  # the API server tells it to clients; the same as in kubernetes/go.mod
_PROGRAMS = {  # what to build of each module
    "kubernetes": "tool",
    "coredns": ".",
    "kwok": "tool",
    "cyclonus": "tool",
    "compose": "tool",
}
_NODE = ("kubernetes", "coredns")
_LINKER_FLAGS = f"-s -w -X k8s.io/component-base/version.gitVersion={_KUBERNETES_VERSION}"


class CannotBuild(Exception):
    pass


def ensure_binaries(modules: Sequence[str] = _NODE) -> list[Path]:
    """Directories that hold the modules' programs; builds what is not there yet."""
    return [_ensure(_HERE / module) for module in modules]


def _ensure(module: Path) -> Path:
    sources = [module / "go.sum", *sorted(module.glob("*.go"))]
    content = b"".join(source.read_bytes() for source in sources)
    digest = hashlib.sha256(content + _LINKER_FLAGS.encode()).hexdigest()
    target = cache_directory() / "bin" / f"{module.name}-{digest[:16]}"
    if not target.is_dir():
        _build(module, target)
    return target


def _build(module: Path, target: Path) -> None:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise CannotBuild(f"{module.name} is built from source: install Go 1.26 or newer (https://go.dev/dl/)")
    print(f"building {module.name} from {module}/go.mod: minutes, once", flush=True)
    unfinished = target.with_name(target.name + ".new")
    unfinished.mkdir(parents=True, exist_ok=True)
    command = [go, "build", "-trimpath", "-ldflags", _LINKER_FLAGS, "-o", f"{unfinished}/", _PROGRAMS[module.name]]
    # With their C parts some would need a C library in the container; none has any use for them.
    subprocess.run(command, cwd=module, env=os.environ | {"CGO_ENABLED": "0"}, check=True)
    unfinished.rename(target)
