"""What comes from Debian: a Docker Engine for images, and for a node etcd, network plugins and more."""

import os
import shutil
import subprocess
from collections.abc import Mapping

ENGINE = {  # what is looked for -> the package that brings it
    "containerd": "containerd",
    "runc": "runc",
    "/usr/bin/docker": "docker.io",  # another client may come first on PATH; this one fits the engine
    "dockerd": "docker.io",
    "iptables": "iptables",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "busybox": "busybox-static",
}
NODE = ENGINE | {
    "etcd": "etcd-server",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "gcc": "gcc",
}


class CannotInstall(Exception):
    pass


def ensure_packages(programs: Mapping[str, str]) -> None:
    if os.geteuid() != 0:
        raise CannotInstall("containers need mounts, networks and cgroups of their own: run this as root")
    missing = sorted({package for program, package in programs.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise CannotInstall(f"install what provides these Debian packages: {' '.join(missing)}")
    print(f"installing {' '.join(missing)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", "-qq", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
