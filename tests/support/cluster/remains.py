"""Takes away what components leave behind when they end: containers' processes, mounts, links, rules, cgroups."""

import os
import secrets
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from support.cluster.configuration import BRIDGE
from support.cluster.places import State

_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_NAMES = ("kubepods", "k8s.io", "docker")
_CGROUP_SECONDS = 5.0
_FOLDERS = ("/var/lib/cni", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers")  # no setting moves these
_DOCKER_BRIDGE = "docker0"
_SHIM = "containerd-shim"


def remove_remains(state: State) -> None:
    """Of a whole cluster, whose processes have ended."""
    _end_containers(state, state.root)
    _remove_pods_links()
    _remove_rules("KUBE-", "CNI-", BRIDGE)
    _remove_what_engines_share()
    _remove_cgroups()
    _remove_later(state.root, *map(Path, _FOLDERS))


def remove_engine_remains(state: State, data_root: Path) -> None:
    """Of a Docker Engine without a cluster. Its images and volumes stay."""
    _end_containers(state, state.root, data_root)
    _remove_what_engines_share()
    _remove_later(state.root)


def _end_containers(state: State, *roots: Path) -> None:
    for pid in _shims(state):
        with suppress(ProcessLookupError):
            _kill_tree(pid)
    for mount in (mount for root in roots for mount in _mounts_below(root)):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)


def _remove_what_engines_share() -> None:
    """All Docker Engines of a machine have a bridge and chains in common: nobody's once none runs any more."""
    if not _runs("dockerd"):
        _remove_link(_DOCKER_BRIDGE)
        _remove_rules("DOCKER", _DOCKER_BRIDGE)


def _runs(name: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if path.read_text() == f"{name}\n":
                return True
    return False


def _remove_later(*folders: Path) -> None:
    """Out of the way at once. The files of the images' layers, some 100,000, take a busy disk minutes: nobody waits."""
    present = [folder for folder in folders if folder.exists()]
    doomed = [folder.rename(folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")) for folder in present]
    # What is still mounted there is not ours.
    subprocess.Popen(["rm", "-rf", "--one-file-system", *doomed], start_new_session=True, stderr=subprocess.DEVNULL)


def _shims(state: State) -> list[int]:
    """Processes that hold this cluster's containers: their command line names its socket."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            command = (entry / "cmdline").read_bytes()
            if _SHIM.encode() in command and str(state.containerd_socket).encode() in command:
                found.append(int(entry.name))
    return found


def _kill_tree(pid: int) -> None:
    """Kill a process and all below it: the containers of a shim are its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(pid, signal.SIGKILL)
    for child in children:
        with suppress(OSError):
            _kill_tree(int(child))


def _mounts_below(root: Path) -> list[str]:
    """Innermost first."""
    targets = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((target for target in targets if target.startswith(f"{root}/")), key=len, reverse=True)


def _remove_pods_links() -> None:
    shown = subprocess.run(["ip", "-o", "link", "show", "type", "veth"], capture_output=True, text=True, check=False)
    names = [line.split()[1].partition("@")[0].rstrip(":") for line in shown.stdout.splitlines() if BRIDGE in line]
    for name in (*names, BRIDGE, "kube-ipvs0"):
        _remove_link(name)
    spaces = subprocess.run(["ip", "-o", "netns", "list"], capture_output=True, text=True, check=False)
    for line in spaces.stdout.splitlines():
        if line.startswith("cni-"):
            subprocess.run(["ip", "netns", "delete", line.split()[0]], check=False, capture_output=True)


def _remove_link(name: str) -> None:
    subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)


def _remove_rules(*names: str) -> None:
    """Drop the chains and rules that speak of one of the names; all others stay."""
    for program in ("iptables", "ip6tables"):
        saved = subprocess.run([f"{program}-save"], capture_output=True, text=True, check=False).stdout
        kept = [line for line in saved.splitlines() if not any(name in line for name in names)]
        if len(kept) != len(saved.splitlines()):
            restored = "\n".join([*kept, ""])
            subprocess.run([f"{program}-restore"], input=restored, text=True, check=False, capture_output=True)


def _remove_cgroups() -> None:
    """Innermost first; the kernel takes a moment to see that the last process has ended."""
    tops = [top for name in _CGROUP_NAMES for top in (*_CGROUPS.glob(name), *_CGROUPS.glob(f"*/{name}"))]
    deadline = time.monotonic() + _CGROUP_SECONDS
    while tops and time.monotonic() < deadline:
        tops = [top for top in tops if not _removed_whole(top)]
        time.sleep(0.05)


def _removed_whole(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):  # others of them may go meanwhile, which this does not mind
        with suppress(OSError):
            Path(folder).rmdir()
    return not top.exists()
