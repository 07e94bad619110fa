"""`apollo-coordinator` as a process: what it serves, what it refuses, how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.apollo_cli import apollo, environment

COMMAND = [sys.executable, "-c", "from apollo_coordinator.app import main; main()"]
TOKEN = "a-token-of-the-test"
START_SECONDS = 60


def settings(data: Path, **given: str) -> dict[str, str]:
    return environment(**{"APOLLO_DATA_DIR": str(data), "APOLLO_PORT": "0", "APOLLO_WORKERS": "1"} | given)


@contextmanager
def running(data: Path, **given: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A coordinator and its address, read from its log."""
    process = subprocess.Popen(COMMAND, env=settings(data, **given), stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if b"coordinator is up" in line:
                yield process, f"http://127.0.0.1:{json.loads(line)['port']}"
                return
        pytest.fail("the coordinator ended before it was up")
    finally:
        process.kill()
        process.communicate()


def get(url: str, token: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_serves_probes_metrics_and_its_own_description(tmp_path: Path) -> None:
    with running(tmp_path / "data") as (_, url):
        assert get(f"{url}/healthz")[0] == 200
        assert get(f"{url}/readyz")[0] == 200
        assert json.loads(get(f"{url}/openapi.json")[1])["openapi"].startswith("3.1")
        status, page = get(f"{url}/docs")
        assert status == 200
        assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)  # needs no internet
        assert "# TYPE apollo_" in get(f"{url}/metrics")[1]
        assert get(f"{url}/api/v1/jobs") == (200, "[]")


def test_it_asks_for_its_token(tmp_path: Path) -> None:
    with running(tmp_path / "data", APOLLO_TOKEN=TOKEN) as (_, url):
        status, body = get(f"{url}/api/v1/jobs")
        assert status == 401
        assert TOKEN not in body
        assert get(f"{url}/api/v1/jobs", "another")[0] == 401
        assert get(f"{url}/api/v1/jobs", TOKEN)[0] == 200
        assert apollo("--coordinator", url, "jobs", APOLLO_TOKEN=TOKEN).status == 0
        refused = apollo("--coordinator", url, "jobs")
        assert refused.status == 1
        assert "APOLLO_TOKEN" in refused.stderr


def test_files_are_out_of_reach_unless_the_operator_lists_their_root(tmp_path: Path) -> None:
    source = tmp_path / "input.txt"
    source.write_text("a\n")
    job = [
        "--mapper",
        "shell:cat",
        "--reducers",
        0,
        "--input",
        f"file://{source}",
        "--output",
        f"file://{tmp_path}/out",
    ]
    with running(tmp_path / "data") as (_, url):
        refused = apollo("--coordinator", url, "submit", *job)
        assert refused.status in (1, 2)
        assert "input" in refused.stderr
    with running(tmp_path / "data", APOLLO_FILE_ROOTS=str(tmp_path)) as (_, url):
        assert apollo("--coordinator", url, "submit", "--wait", *job).status == 0
        own = [f"file://{tmp_path}/data/*" if argument == f"file://{source}" else argument for argument in job]
        refused = apollo("--coordinator", url, "submit", *own, "--overwrite")
        assert (refused.status, "outside what the operator allows" in refused.stderr) == (2, True), refused.stderr


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"APOLLO_HOST": "0.0.0.0"}, "APOLLO_TOKENS_FILE, APOLLO_TOKEN_REVIEW=true or APOLLO_TOKEN"),
        ({"APOLLO_TOKENS_FILE": "/nowhere/tokens"}, "/nowhere/tokens cannot be read"),
        ({"APOLLO_TOKEN_REVIEW": "true"}, "APOLLO_TOKEN_ROLES"),
        ({"APOLLO_TOKEN_REVIEW": "true", "APOLLO_TOKEN_ROLES": "alice=viewer"}, "APOLLO_KUBECONFIG"),
        ({"APOLLO_POOL": "static"}, "APOLLO_WORKER_ADDRESSES"),
        ({"APOLLO_WORKERS": "none"}, "APOLLO_WORKERS"),
        ({"APOLLO_SANDBOX": "strict"}, "APOLLO_SANDBOX: Input should be 'require', 'prefer' or 'off'"),
        ({"APOLLO_SANDBOX_READABLE": "table"}, "absolute paths, not 'table'"),  # as its first worker says
    ],
)
def test_it_refuses_settings_that_make_no_sense(tmp_path: Path, given: dict[str, str], named: str) -> None:
    refused = subprocess.run(
        COMMAND, env=settings(tmp_path / "data", **given), capture_output=True, timeout=START_SECONDS, check=False
    )
    assert refused.returncode == 1
    assert named in refused.stderr.decode()
    assert "Traceback" not in refused.stderr.decode()


def test_sigterm_ends_it_and_its_workers(tmp_path: Path) -> None:
    mark = f"coordinator-{os.getpid()}"
    with running(tmp_path / "data", TEST_MARK=mark) as (process, _):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=START_SECONDS)
        assert process.returncode == 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                assert mark.encode() not in (entry / "environ").read_bytes()
            except OSError:
                continue
