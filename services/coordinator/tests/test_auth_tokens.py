"""Tokens that the operator has named: what a file may hold, and how it is replaced while the coordinator runs."""

import os
import stat
import subprocess

import pytest
from structlog.testing import capture_logs

from apollo_common.errors import InvalidSetting
from apollo_coordinator.auth import static_tokens
from apollo_coordinator.auth.several import FirstThatKnows
from apollo_coordinator.auth.static_tokens import OPERATOR, OperatorToken, TokensFile
from apollo_coordinator.callers import Caller, Role
from support.tokens import TOKENS, sha256, tokens_file

ALICE = Caller("alice", Role.SUBMITTER)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(static_tokens, "LOOK_AGAIN_SECONDS", 0.0)
    return tokens_file(tmp_path / "tokens")


def write(path, text, mode=0o600):
    """As an editor or a Secret volume does: another file takes the place."""
    new = path.with_name("new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)


async def test_each_token_is_its_owners(path):
    tokens = await TokensFile.open(path)
    for name, (role, token) in TOKENS.items():
        assert await tokens.authenticate(token) == Caller(name, Role(role))
    for wrong in ("", "alice", TOKENS["alice"][1][:-1], TOKENS["alice"][1] + "x", sha256(TOKENS["alice"][1])):
        assert await tokens.authenticate(wrong) is None


async def test_the_digest_is_what_sha256sum_prints(tmp_path):
    printed = subprocess.run(["sha256sum"], input=b"s3cret", capture_output=True, check=True).stdout.decode().split()[0]
    path = tmp_path / "tokens"
    write(path, f"# people\n\n  alice\tsubmitter  sha256:{printed}  # from the wiki\n")
    assert await (await TokensFile.open(path)).authenticate("s3cret") == ALICE


async def test_a_name_has_two_tokens_while_one_replaces_the_other(path):
    write(path, f"alice submitter sha256:{sha256('old')}\nalice submitter sha256:{sha256('new')}\n")
    tokens = await TokensFile.open(path)
    assert [await tokens.authenticate(token) for token in ("old", "new")] == [ALICE, ALICE]


async def test_a_file_that_changes_is_read_again(path):
    tokens = await TokensFile.open(path)
    with capture_logs() as logs:
        assert await tokens.authenticate("new") is None
        write(path, f"alice submitter sha256:{sha256('new')}\n")
        assert await tokens.authenticate("new") == ALICE
        assert await tokens.authenticate(TOKENS["alice"][1]) is None
    assert [entry["event"] for entry in logs] == ["the tokens were read again"]


async def test_a_change_that_cannot_be_used_is_told_once_and_the_tokens_from_before_stay(path):
    tokens = await TokensFile.open(path)
    with capture_logs() as logs:
        for spoil in (lambda: write(path, "alice boss\n"), lambda: path.chmod(0o666), path.unlink):
            spoil()
            for _ in range(3):
                assert await tokens.authenticate(TOKENS["alice"][1]) == ALICE
    assert [("line 1" in e["error"], "chmod 600" in e["error"], "cannot be read" in e["error"]) for e in logs] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    write(path, f"alice submitter sha256:{sha256('new')}\n")
    assert await tokens.authenticate("new") == ALICE


async def test_an_emptied_file_lets_nobody_in(path):
    tokens = await TokensFile.open(path)
    write(path, "# taken back\n")
    for _, token in TOKENS.values():
        assert await tokens.authenticate(token) is None


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("alice", "write NAME ROLE sha256:DIGEST"),
        ("alice submitter s3cret-token", "sha256sum"),
        ("alice submitter sha256:beef", "sha256sum"),
        (f"alice boss sha256:{'0' * 64}", "viewer, submitter, admin"),
        (f"system:x admin sha256:{'0' * 64}", "a name has"),
        (f"alice admin sha256:{'0' * 64} s3cret-token", "write NAME ROLE sha256:DIGEST"),
        (f"bob admin sha256:{sha256('a')}", "a token of its own"),
        (f"operator viewer sha256:{sha256('b')}", "use another name"),
    ],
)
async def test_a_wrong_line_is_named_with_the_fix_and_not_repeated(path, line, fix):
    write(path, f"alice submitter sha256:{sha256('a')}\n\n{line}\n")
    with pytest.raises(InvalidSetting) as refused:
        await TokensFile.open(path)
    assert f"{path}, line 3: " in str(refused.value)
    assert fix in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o666, 0o644])
async def test_a_file_that_others_reach_is_refused(path, mode):
    path.chmod(mode)
    with pytest.raises(InvalidSetting, match=f"mode {mode:04o}: .*chmod 600"):
        await TokensFile.open(path)


def a_file(mode, owner):
    return os.stat_result((stat.S_IFREG | mode, 0, 0, 1, owner, 10001, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "owner", "in_secret_volume", "fix"),
    [
        (0o600, 10001, False, ""),
        (0o600, 0, False, ""),
        (0o600, 1000, False, "chown 10001"),
        (0o400, 1000, True, "chown 10001"),
        # As Kubernetes mounts a Secret: root's, with the pod's group, by default 0644.
        (0o440, 0, True, ""),
        (0o444, 0, True, ""),
        (0o644, 0, True, ""),
        (0o644, 10001, True, "chmod 600"),
        (0o664, 0, True, "chmod 600"),
        (0o646, 0, True, "chmod 600"),
        (0o644, 0, False, "defaultMode 0440"),
    ],
)
def test_whose_a_file_may_be_and_who_may_read_it(mode, owner, in_secret_volume, fix):
    refusal = static_tokens.exposure(a_file(mode, owner), 10001, in_secret_volume=in_secret_volume)
    assert (fix in refusal) if fix else (refusal == "")


async def test_a_file_of_another_user_is_refused(path, monkeypatch):
    owner = path.stat().st_uid
    if owner == 0:
        owner = 1000
        os.chown(path, owner, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(InvalidSetting, match=f"belongs to user {owner}, who may change it. Run chown"):
        await TokensFile.open(path)


async def test_a_secret_that_kubernetes_replaces_is_read_again(path, tmp_path):
    """Its volume holds links to files in a directory that a link names, which is the one thing that changes."""
    volume = tmp_path / "volume"
    volume.mkdir()
    for version, token in (("..2026_1", "old"), ("..2026_2", "new")):
        (volume / version).mkdir()
        write(volume / version / "tokens", f"alice submitter sha256:{sha256(token)}\n", mode=0o440)
    (volume / "..data").symlink_to("..2026_1")
    (volume / "tokens").symlink_to("..data/tokens")
    tokens = await TokensFile.open(volume / "tokens")
    assert await tokens.authenticate("old") == ALICE
    (volume / "..data_tmp").symlink_to("..2026_2")
    (volume / "..data_tmp").replace(volume / "..data")
    assert [await tokens.authenticate(token) for token in ("old", "new")] == [None, ALICE]


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
async def test_a_file_of_ones_own_or_of_a_secret_volume_is_read(path, mode):
    path.chmod(mode)
    assert await (await TokensFile.open(path)).authenticate(TOKENS["alice"][1]) == ALICE


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no token"),
        (b"# nobody yet\n", "holds no token"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"#" * (static_tokens.MAX_FILE_BYTES + 1), "larger than"),
        (
            b"".join(b"a%d viewer sha256:%064x\n" % (number, number) for number in range(static_tokens.MAX_TOKENS + 1)),
            "1001 tokens; 1000",
        ),
    ],
)
async def test_a_file_without_sense_is_refused(path, content, why):
    path.write_bytes(content)
    with pytest.raises(InvalidSetting, match=why):
        await TokensFile.open(path)


async def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidSetting, match=r"APOLLO_TOKENS_FILE: .*nowhere cannot be read: No such file"):
        await TokensFile.open(tmp_path / "nowhere")


@pytest.mark.parametrize("token", ["", "two words", "s3cret\n", "schlüssel"])
def test_an_operators_token_that_nobody_could_show_is_refused(token):
    with pytest.raises(InvalidSetting, match="APOLLO_TOKEN holds what no token has") as refused:
        OperatorToken(token)
    assert "s3cret" not in str(refused.value)


async def test_the_operators_own_token_may_stand_beside_a_file(path):
    both = FirstThatKnows([OperatorToken("mine"), await TokensFile.open(path)])
    assert await both.authenticate("mine") == Caller(OPERATOR, Role.ADMIN)
    assert await both.authenticate(TOKENS["alice"][1]) == ALICE
    assert await both.authenticate("other") is None
    await both.close()
