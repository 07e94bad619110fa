"""scripts/make-env.sh: secrets for docker-compose.yml, new ones each time, for their owner's eyes only."""

import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from support.apollo_cli import REPOSITORY
from support.coordinator_process import wait_for


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / ".env.example", tmp_path)
    shutil.copy(REPOSITORY / "scripts/make-env.sh", tmp_path / "scripts")
    return tmp_path


def make(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", "umask 000 && scripts/make-env.sh"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def values(file: Path) -> dict[str, str]:
    lines = file.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_empty_value_becomes_a_secret_of_its_own(checkout):
    assert make(checkout).returncode == 0
    asked, given = values(checkout / ".env.example"), values(checkout / ".env")
    assert given.keys() == asked.keys()
    assert {name: given[name] for name in asked if asked[name]} == {name: asked[name] for name in asked if asked[name]}
    secrets = [given[name] for name in asked if not asked[name]]
    assert len(set(secrets)) == len(secrets) == 4
    assert {len(bytes.fromhex(secret)) for secret in secrets} == {24}
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600


def test_secrets_that_are_there_stay(checkout):
    make(checkout)
    before = (checkout / ".env").read_text()
    refused = make(checkout)
    assert (refused.returncode, "remove it for new secrets" in refused.stderr) == (1, True)
    assert (checkout / ".env").read_text() == before
    assert sorted(path.name for path in checkout.iterdir()) == [".env", ".env.example", "scripts"]


def test_an_interrupted_run_leaves_no_secrets(checkout):
    """While the first of them is made. SIGTERM, since a shell in the background may not take SIGINT."""
    programs, reached = checkout / "programs", checkout / "reached"
    programs.mkdir()
    (programs / "od").write_text(f"#!/bin/sh\n: >{reached}\nexec sleep 60\n")
    (programs / "od").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    running = subprocess.Popen(
        ["scripts/make-env.sh"], cwd=checkout, env={**os.environ, "PATH": path}, start_new_session=True
    )
    try:
        wait_for(reached.exists, "the first secret")
        assert (checkout / ".env.new").exists()
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait()
    assert [path.name for path in checkout.glob(".env*")] == [".env.example"]
    assert running.returncode != 0


def test_git_leaves_out_every_file_with_secrets(checkout):
    shutil.copy(REPOSITORY / ".gitignore", checkout)
    for name in (".env", ".env.new", ".env.old"):
        (checkout / name).touch()
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", ".env*"],
        cwd=checkout, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert listed.stdout.split() == [".env.example"]
