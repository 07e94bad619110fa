"""`down --volumes` removes all that `up` and the jobs have made."""

import socket
import subprocess

import pytest

from support.compose.project import NETWORK

pytestmark = [pytest.mark.after_all, pytest.mark.timeout(120)]


def test_down_leaves_nothing(project):
    there = project.docker("network", "inspect", "--format={{.Id}}", NETWORK).strip()
    assert _links(f"br-{there[:12]}")
    project.down()
    of_the_project = "--filter=label=com.docker.compose.project=apollo"
    for kind in (("container", "ls", "--all"), ("network", "ls"), ("volume", "ls")):
        assert project.docker(*kind, "--quiet", of_the_project) == ""
    assert project.docker("volume", "ls", "--quiet") == "", "volumes without a name were left"
    assert not _links(f"br-{there[:12]}")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 4750)) != 0


def _links(name: str) -> bool:
    return subprocess.run(["ip", "link", "show", name], capture_output=True, check=False).returncode == 0
