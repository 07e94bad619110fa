"""Starts and stops the cluster: which components run, with which flags, in which order.

One node, `node1`; Services by kube-proxy, cluster DNS by CoreDNS on the host, restricted Pod Security as namespaces
ask for it. NetworkPolicies are accepted, and enforced by nothing.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from support.cluster.binaries import ensure_binaries
from support.cluster.called import output_of
from support.cluster.configuration import (
    API_SERVICE_IP,
    PAUSE_IMAGE,
    POD_NETWORK,
    SERVICE_NETWORK,
    write_configuration,
)
from support.cluster.daemons import Daemons
from support.cluster.docker_engine import DockerEngine
from support.cluster.keys import make_keys
from support.cluster.objects import first_objects
from support.cluster.packages import NODE as NODE_PACKAGES
from support.cluster.packages import ensure_packages
from support.cluster.places import State
from support.cluster.remains import remove_remains

NODE = "node1"
_ETCD = "http://127.0.0.1:2379"


class Cluster:
    """`up` makes what is not there; `down` leaves nothing. Both may be called again."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State.default()
        self.host_ip = _host_ip()
        self.environment = os.environ | {"KUBECONFIG": str(self.state.kubeconfig)}
        self.daemons = Daemons(self.state, self.environment)

    @property
    def is_up(self) -> bool:
        return self.daemons.pid("kube-apiserver") is not None and self.daemons.pid("kubelet") is not None

    @property
    def variables(self) -> dict[str, str]:
        return {name: self.environment[name] for name in ("KUBECONFIG", "PATH")}

    def up(self) -> None:
        ensure_packages(NODE_PACKAGES)
        self.find_binaries()
        if self.is_up:
            return
        self.down()
        self.state.logs.mkdir(parents=True)
        make_keys(self.state, self.host_ip, API_SERVICE_IP)
        write_configuration(self.state)
        self._start_control_plane()
        self._start_docker()
        self.start_kubelet()
        self._start_network()
        self._apply(first_objects(self.state, self.host_ip, NODE))
        self.daemons.wait_until(self._node_is_ready, "the node is not Ready", "kubelet", "containerd")

    def down(self) -> None:
        """Nothing of it is worth an orderly end: all is killed, then what is left is removed."""
        self.daemons.kill_all()
        remove_remains(self.state)

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What it prints; CalledProcessError after a failure."""
        return output_of(["kubectl", *arguments], stdin=stdin, environment=self.environment)

    @property
    def engine(self) -> DockerEngine:
        return DockerEngine(self.state, self.daemons)

    def docker(self, *arguments: str | Path) -> str:
        return self.engine.docker(*arguments)

    def load_image(self, name: str) -> None:
        """Take an image of the Docker Engine into the node."""
        docker = self.engine.command("save", name)
        importing = ("ctr", "-a", str(self.state.containerd_socket), "-n", "k8s.io", "images", "import", "-")
        with subprocess.Popen(docker, stdout=subprocess.PIPE) as saving:
            subprocess.run(importing, stdin=saving.stdout, check=True, capture_output=True)
        if saving.returncode != 0:
            raise subprocess.CalledProcessError(saving.returncode, docker)

    def start_kubelet(self) -> None:
        root = self.state.root
        self.daemons.start(
            ["kubelet", f"--kubeconfig={self.state.kubeconfig}", f"--config={root}/kubelet.json",
             f"--hostname-override={NODE}", f"--node-ip={self.host_ip}", f"--root-dir={root}/kubelet"]
        )  # fmt: skip

    def kill_kubelet(self) -> None:
        """As a node that has lost its agent: what runs there goes on."""
        self.daemons.stop("kubelet", with_signal=signal.SIGKILL)

    def find_binaries(self) -> None:
        """Put the built programs first on PATH."""
        missing = [str(path) for path in ensure_binaries() if str(path) not in self.environment["PATH"].split(":")]
        self.environment["PATH"] = ":".join([*missing, self.environment["PATH"]])
        os.environ["PATH"] = self.environment["PATH"]
        self.daemons = Daemons(self.state, self.environment)

    def _start_control_plane(self) -> None:
        keys, kubeconfig = self.state.keys, self.state.kubeconfig
        daemons = self.daemons
        daemons.start(
            ["etcd", "--data-dir", self.state.root / "etcd", "--listen-client-urls", _ETCD,
             "--advertise-client-urls", _ETCD, "--listen-peer-urls", "http://127.0.0.1:2380",
             "--unsafe-no-fsync"]
        )  # fmt: skip
        daemons.start(
            ["kube-apiserver", f"--etcd-servers={_ETCD}", f"--advertise-address={self.host_ip}",
             f"--service-cluster-ip-range={SERVICE_NETWORK}", "--authorization-mode=Node,RBAC",
             f"--client-ca-file={keys}/ca.crt", f"--tls-cert-file={keys}/apiserver.crt",
             f"--tls-private-key-file={keys}/apiserver.key",
             "--service-account-issuer=https://kubernetes.default.svc",
             f"--service-account-key-file={keys}/sa.pub", f"--service-account-signing-key-file={keys}/sa.key",
             f"--kubelet-client-certificate={keys}/admin.crt", f"--kubelet-client-key={keys}/admin.key",
             "--kubelet-preferred-address-types=InternalIP", "--allow-privileged",
             f"--audit-policy-file={self.state.root}/audit-policy.json", f"--audit-log-path={self.state.audit_log}"]
        )  # fmt: skip
        ready = ("kubectl", "get", "--raw", "/readyz")
        daemons.wait_until(lambda: daemons.succeeds(*ready), "no API server", "kube-apiserver", "etcd")
        daemons.start(
            ["kube-controller-manager", f"--kubeconfig={kubeconfig}", f"--root-ca-file={keys}/ca.crt",
             f"--service-account-private-key-file={keys}/sa.key", "--use-service-account-credentials",
             "--allocate-node-cidrs", f"--cluster-cidr={POD_NETWORK}", "--leader-elect=false",
             "--node-monitor-grace-period=20s"]
        )  # fmt: skip
        daemons.start(["kube-scheduler", f"--kubeconfig={kubeconfig}", "--leader-elect=false"])

    def _start_docker(self) -> None:
        """containerd for the node and the Docker Engine, which builds its images."""
        self.engine.start(self.state.root / "docker")
        _load_pause_image(self)
        # The engine has set DROP, with which no pod reaches another.
        subprocess.run(["iptables", "-P", "FORWARD", "ACCEPT"], check=True)

    def _start_network(self) -> None:
        self.daemons.start(
            ["kube-proxy", f"--kubeconfig={self.state.kubeconfig}", f"--hostname-override={NODE}",
             f"--cluster-cidr={POD_NETWORK}", "--proxy-mode=iptables"]
        )  # fmt: skip
        self.daemons.start(["coredns", "-conf", self.state.root / "Corefile"])

    def _node_is_ready(self) -> bool:
        return self.daemons.succeeds("kubectl", "wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=1s")

    def _apply(self, manifest: str) -> None:
        self.kubectl("apply", "-f", "-", stdin=manifest)


def _load_pause_image(cluster: Cluster) -> None:
    """The container that holds a pod's network: it sleeps. No registry is asked for it."""
    folder = cluster.state.root / "pause"
    folder.mkdir()
    source = folder / "pause.c"
    source.write_text("#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")
    subprocess.run(["gcc", "-static", "-Os", "-o", folder / "pause", source], check=True)
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n')
    cluster.docker("build", "--quiet", "--tag", PAUSE_IMAGE, folder)
    cluster.load_image(PAUSE_IMAGE)
    shutil.rmtree(folder)


def _host_ip() -> str:
    command = ["ip", "-4", "-o", "addr", "show", "scope", "global"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    return shown.stdout.split()[3].partition("/")[0]
