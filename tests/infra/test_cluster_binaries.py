"""Which Go builds the programs that the end-to-end suites run on."""

from pathlib import Path

from support.cluster.binaries import find_go


def installed(directory: Path, version: str) -> Path:
    directory.mkdir()
    go = directory / "go"
    go.write_text(f"#!/bin/sh\necho {version}\n")
    go.chmod(0o755)
    return go


def test_a_go_that_is_too_old_is_passed_over(tmp_path, monkeypatch):
    old, new = installed(tmp_path / "old", "go1.19.8"), installed(tmp_path / "new", "go1.21rc2")
    monkeypatch.setenv("PATH", f"{old.parent}:{new.parent}:/usr/bin:/bin")
    assert find_go() == str(new)


def test_a_go_that_does_not_work_is_passed_over(tmp_path, monkeypatch):
    broken, new = installed(tmp_path / "broken", "'' >&2; exit 2"), installed(tmp_path / "new", "go1.26.8")
    monkeypatch.setenv("PATH", f"{broken.parent}:{new.parent}:/usr/bin:/bin")
    assert find_go() == str(new)
