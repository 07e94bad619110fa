"""The commands and their token, as real processes against the coordinator's real HTTP API."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from apollo_coordinator.auth.static_tokens import TokensFile
from support.api_server import running_api
from support.apollo_cli import Outcome, apollo
from support.tokens import TOKENS, tokens_file

NOWHERE = "http://nowhere.invalid:4750"  # resolves nowhere (RFC 2606)
JOB = ("--mapper", "shell:cat", "--reducers", 0, "--input", "s3://in/x", "--output", "s3://out/y")
TOKEN = TOKENS["alice"][1]


@pytest.fixture
async def call(tmp_path):
    """`apollo` with a token, or without one."""
    authenticator = await TokensFile.open(tokens_file(tmp_path / "tokens"))
    async with running_api(tmp_path, authenticator=authenticator) as api:
        address = f"http://127.0.0.1:{api.port}"

        async def run(
            *arguments: object, token: str = "", url: str = address, cwd: Path = tmp_path / "empty"
        ) -> Outcome:
            given = {"APOLLO_TOKEN": token} if token else {}
            return await asyncio.to_thread(apollo, *arguments, cwd=cwd, APOLLO_COORDINATOR=url, **given)

        (tmp_path / "empty").mkdir()

        yield run


async def test_a_token_in_the_environment_is_enough(call):
    submitted = await call("submit", "--json", *JOB, token=TOKEN)
    assert submitted.status == 0, submitted
    assert submitted.job["user"] == "alice"
    listed = await call("jobs", "--json", token=f"{TOKEN}\n")  # as `$(cat FILE)` would not leave it, but others do
    assert [document["id"] for document in listed.documents] == [submitted.job["id"]]
    shown = await call("job", submitted.job["id"], token=TOKEN)
    assert "\nuser      alice\n" in shown.stdout
    assert all(TOKEN not in said for ended in (submitted, listed) for said in (ended.stdout, ended.stderr))
    assert submitted.stderr.count("encrypted") == 0


async def test_without_one_or_with_a_wrong_one_it_is_said_what_to_do(call):
    stranger = await call("jobs")
    assert (stranger.status, stranger.stdout) == (1, "")
    assert stranger.stderr.endswith("Set APOLLO_TOKEN to yours.\n")
    late = await call("jobs", token="taken-back")
    assert (late.status, "taken-back" in late.stderr) == (1, False)
    assert late.stderr.endswith("The one in APOLLO_TOKEN does not do: get a new one.\n")


async def test_a_role_that_does_not_suffice_is_named(call):
    refused = await call("submit", *JOB, token=TOKENS["vera"][1])
    assert refused.status == 1
    assert "This needs the role submitter; vera is viewer." in refused.stderr
    job = (await call("submit", *JOB, token=TOKEN)).stdout.strip()
    refused = await call("stop", job, token=TOKENS["bob"][1])
    assert refused.status == 1
    assert f"job {job} belongs to alice: only its owner or an admin may do this" in refused.stderr


@pytest.mark.parametrize("token", ["two words", "a\nb", "tökén"])
async def test_what_is_no_token_is_neither_sent_nor_shown(call, token):
    refused = await call("jobs", token=token)
    assert refused.status == 2
    assert "APOLLO_TOKEN holds what no token has" in refused.stderr
    assert token not in refused.stderr


async def test_a_token_that_leaves_the_machine_in_the_clear_is_told_of_once(call):
    ended = await call("jobs", token=TOKEN, url=NOWHERE)
    assert ended.stderr.count("the connection is not encrypted") == 1
    assert TOKEN not in ended.stderr
    for url, token in ((NOWHERE, ""), (NOWHERE.replace("http:", "https:"), TOKEN)):
        assert "not encrypted" not in (await call("jobs", token=token, url=url)).stderr


@pytest.fixture
def directory_with(tmp_path: Path) -> Callable[..., Path]:
    """A directory with an `.env` in it."""

    def make(content: str, mode: int = 0o600) -> Path:
        directory = tmp_path / "checkout"
        directory.mkdir(exist_ok=True)
        (directory / ".env").write_text(content)
        (directory / ".env").chmod(mode)
        return directory

    return make


@pytest.mark.parametrize(
    "line",
    ["APOLLO_TOKEN={}", 'APOLLO_TOKEN="{}"', "export APOLLO_TOKEN='{}' ", "APOLLO_TOKEN=old\nAPOLLO_TOKEN = {} # mine"],
)
async def test_the_token_of_the_directory_is_shown_to_a_coordinator_on_this_machine(call, directory_with, line):
    directory = directory_with(f"# secrets\nMY_APOLLO_TOKEN=another\n{line.format(TOKEN)}\nREST=x\n")
    listed = await call("jobs", cwd=directory)
    assert listed.status == 0, listed
    assert TOKEN not in listed.stdout + listed.stderr


async def test_the_environment_wins_over_the_directory(call, directory_with):
    assert (await call("jobs", token=TOKEN, cwd=directory_with("APOLLO_TOKEN=old\n"))).status == 0
    assert (await call("jobs", token="old", cwd=directory_with(f"APOLLO_TOKEN={TOKEN}\n"))).status == 1


async def test_the_token_of_the_directory_stays_on_this_machine(call, directory_with):
    ended = await call("jobs", url=NOWHERE, cwd=directory_with(f"APOLLO_TOKEN={TOKEN}\n"))
    assert ended.status == 1
    assert "not encrypted" not in ended.stderr, "a token was about to leave"


async def test_a_token_that_others_may_read_is_refused(call, directory_with):
    refused = await call("jobs", cwd=directory_with(f"APOLLO_TOKEN={TOKEN}\n", mode=0o644))
    assert refused.status == 2
    assert "chmod 600" in refused.stderr
    assert TOKEN not in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's file")
@pytest.mark.parametrize("mode", [0o600, 0o644])
async def test_another_users_file_is_not_ours_to_show_or_to_complain_of(call, directory_with, mode):
    directory = directory_with("APOLLO_TOKEN=of-another-user\n", mode)
    os.chown(directory / ".env", 65534, 65534)
    stranger = await call("jobs", cwd=directory)
    assert stranger.status == 1
    assert stranger.stderr.endswith("Set APOLLO_TOKEN to yours.\n")
    assert (await call("jobs", cwd=directory, token=TOKEN)).status == 0


async def test_a_pipe_of_that_name_is_not_waited_for(call, tmp_path):
    (tmp_path / "checkout").mkdir()
    os.mkfifo(tmp_path / "checkout/.env", 0o600)
    stranger = await call("jobs", cwd=tmp_path / "checkout")
    assert stranger.stderr.endswith("Set APOLLO_TOKEN to yours.\n")


async def test_a_directory_of_that_name_is_no_file(call, tmp_path):
    (tmp_path / "checkout/.env").mkdir(parents=True)
    stranger = await call("jobs", cwd=tmp_path / "checkout")
    assert stranger.stderr.endswith("Set APOLLO_TOKEN to yours.\n")
    assert (await call("jobs", cwd=tmp_path / "checkout", token=TOKEN)).status == 0


@pytest.mark.parametrize("content", ["", "OTHER=x\n", "APOLLO_TOKEN=\n"])
async def test_a_file_without_a_token_is_somebody_elses(call, directory_with, content):
    stranger = await call("jobs", cwd=directory_with(content, mode=0o644))
    assert stranger.stderr.endswith("Set APOLLO_TOKEN to yours.\n")


async def test_what_is_no_token_is_not_sent_from_the_directory_either(call, directory_with):
    refused = await call("jobs", cwd=directory_with("APOLLO_TOKEN=two words\n"))
    assert refused.status == 2
    assert "APOLLO_TOKEN in .env holds what no token has" in refused.stderr
