"""What comes from Debian: etcd, containerd with its network plugins, a Docker Engine, and what they need."""

import os
import shutil
import subprocess

_PROGRAMS = {  # what is looked for -> the package that brings it
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/bin/docker": "docker.io",  # another client may come first on PATH; this one fits the engine
    "dockerd": "docker.io",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
    "gcc": "gcc",
    "debootstrap": "debootstrap",
}


class CannotInstall(Exception):
    pass


def ensure_packages() -> None:
    if os.geteuid() != 0:
        raise CannotInstall("a Kubernetes node mounts, makes networks and cgroups: run this as root")
    missing = sorted({package for program, package in _PROGRAMS.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise CannotInstall(f"install what provides these Debian packages: {' '.join(missing)}")
    print(f"installing {' '.join(missing)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", "-qq", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
