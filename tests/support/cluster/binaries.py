"""Programs built from the pinned Go modules beside this file; kept by the digest of what they are built from.

A cold build takes about 10 minutes of two cores, most of it in the Kubernetes module.
"""

import hashlib
import os
import re
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
_FETCHES_TOOLCHAINS = (1, 21)
_NODE = ("kubernetes", "coredns")
_LINKER_FLAGS = f"-s -w -X k8s.io/component-base/version.gitVersion={_KUBERNETES_VERSION}"


class CannotBuild(Exception):
    pass


def ensure_binaries(modules: Sequence[str] = _NODE) -> list[Path]:
    """Directories that hold the modules' programs; builds what is not there yet."""
    return [_ensure(_HERE / module) for module in modules]


def find_go() -> str | None:
    """The first `go` that can build the modules, on PATH or where go.dev's archives are unpacked.

    From 1.21 on Go fetches the toolchain that a go.mod asks for; older ones, as Debian has, cannot even read it.
    """
    for directory in (*os.get_exec_path(), "/usr/local/go/bin"):
        go = shutil.which("go", path=directory)
        if go and _version(go) >= _FETCHES_TOOLCHAINS:
            return go
    return None


def _version(go: str) -> tuple[int, ...]:
    """(0,) if it cannot be told."""
    told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    numbers = re.match(r"go(\d+)\.(\d+)", told)
    return tuple(map(int, numbers.groups())) if numbers else (0,)


def _ensure(module: Path) -> Path:
    sources = [module / "go.sum", *sorted(module.glob("*.go"))]
    content = b"".join(source.read_bytes() for source in sources)
    digest = hashlib.sha256(content + _LINKER_FLAGS.encode()).hexdigest()
    target = cache_directory() / "bin" / f"{module.name}-{digest[:16]}"
    if not target.is_dir():
        _build(module, target)
    return target


def _build(module: Path, target: Path) -> None:
    go = find_go()
    if go is None:
        raise CannotBuild(f"{module.name} is built from source: install Go 1.26 or newer (https://go.dev/dl/)")
    print(f"building {module.name} from {module}/go.mod: minutes, once", flush=True)
    unfinished = target.with_name(target.name + ".new")
    unfinished.mkdir(parents=True, exist_ok=True)
    command = [go, "build", "-trimpath", "-ldflags", _LINKER_FLAGS, "-o", f"{unfinished}/", _PROGRAMS[module.name]]
    # With their C parts some would need a C library in the container; none has any use for them.
    subprocess.run(command, cwd=module, env=os.environ | {"CGO_ENABLED": "0"}, check=True)
    unfinished.rename(target)
