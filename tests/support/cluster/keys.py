"""The cluster's own authority, the certificates it signs, and the administrator's kubeconfig."""

import subprocess
from pathlib import Path

from support.cluster.places import State

API_SERVER_PORT = 6443
_DAYS = "30"


def make_keys(state: State, host_ip: str, service_ip: str) -> None:
    """Keys and certificates as the components want them: NAME.key, NAME.crt; `sa` signs service accounts' tokens."""
    keys = state.keys
    keys.mkdir(mode=0o700)
    _make_key(keys / "ca.key")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # newer clients ask for it
    of_authority = ("-key", keys / "ca.key", "-days", _DAYS, "-subj", "/CN=ca", *usage)
    _openssl("req", "-x509", "-new", *of_authority, "-out", keys / "ca.crt")
    names = f"DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:{service_ip},IP:{host_ip}"
    _make_certificate(keys, "apiserver", "/CN=kube-apiserver", names)
    _make_certificate(keys, "admin", "/O=system:masters/CN=admin", "DNS:admin")
    _make_key(keys / "sa.key")
    _openssl("ec", "-in", keys / "sa.key", "-pubout", "-out", keys / "sa.pub")
    state.kubeconfig.write_text(_KUBECONFIG.format(port=API_SERVER_PORT, keys=keys))


def _make_key(path: Path) -> None:
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)


def _make_certificate(keys: Path, name: str, subject: str, alternative_names: str) -> None:
    key, request, extensions = (keys / f"{name}.{kind}" for kind in ("key", "csr", "ext"))
    _make_key(key)
    _openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
    extensions.write_text(
        f"subjectAltName={alternative_names}\nextendedKeyUsage=clientAuth,serverAuth\nauthorityKeyIdentifier=keyid\n"
    )
    authority = ("-CA", keys / "ca.crt", "-CAkey", keys / "ca.key", "-CAcreateserial")
    signed = ("-days", _DAYS, "-extfile", extensions, "-out", keys / f"{name}.crt")
    _openssl("x509", "-req", "-in", request, *authority, *signed)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, stderr=subprocess.DEVNULL)


_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
clusters: [{{name: test, cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: {keys}/ca.crt}}}}]
users: [{{name: admin, user: {{client-certificate: {keys}/admin.crt, client-key: {keys}/admin.key}}}}]
"""
