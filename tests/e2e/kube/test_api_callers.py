"""Who may call the API of the dev overlay: the accounts that it brings, by tokens of the cluster."""

import pytest

from apollo_client.errors import RequestRefused
from apollo_client.rest import RestClient
from support.apollo_cli import apollo
from support.installation import NAMESPACE, Installation
from support.rest_jobs import submitted

pytestmark = pytest.mark.timeout(300)


def waiting_job(installation: Installation, output: str) -> dict:
    """One that is there to be stopped."""
    installation.put("callers", b"a\n")
    return installation.body(output, "callers", "shell:sleep 600")


async def refused(call) -> tuple[int, str]:
    with pytest.raises(RequestRefused) as refusal:
        await call
    return refusal.value.status, str(refusal.value)


async def test_each_account_may_do_what_its_role_says(installation):
    async with (
        installation.client("apollo-viewer") as viewer,
        installation.client("apollo-submitter") as submitter,
        installation.client("apollo-admin") as admin,
    ):
        status, why = await refused(viewer.submit(waiting_job(installation, "viewers")))
        assert (status, "needs the role submitter" in why) == (403, True)
        theirs = await submitted(admin, waiting_job(installation, "admins"))
        mine = await submitted(submitter, waiting_job(installation, "submitters"))
        assert (await viewer.job(mine))["user"] == f"system:serviceaccount:{NAMESPACE}:apollo-submitter"
        status, why = await refused(submitter.stop(theirs))
        assert (status, f"belongs to system:serviceaccount:{NAMESPACE}:apollo-admin" in why) == (403, True)
        for client, job in ((submitter, mine), (admin, theirs)):
            await client.stop(job)
            await installation.nothing_left(job)


@pytest.mark.parametrize(
    ("account", "audience", "status"),
    [
        ("apollo-admin", "https://kubernetes.default.svc.cluster.local", 401),  # made for the API server
        ("apollo-coordinator", "apollo", 403),  # without a role
    ],
)
async def test_other_tokens_of_the_cluster_open_nothing(installation, account, audience, status):
    token = installation.token(account, audience=audience)
    async with RestClient(installation.url, token=token) as stranger:
        found, why = await refused(stranger.job("x"))
    assert found == status
    assert token not in why


def test_the_command_takes_its_token_from_the_environment(installation):
    address = ("--coordinator", installation.url)
    token = installation.token("apollo-viewer")
    shown = apollo(*address, "jobs", "--json", APOLLO_TOKEN=token)
    assert (shown.status, token in shown.stdout + shown.stderr) == (0, False)
    assert "is not encrypted" in shown.stderr
    stopped = apollo(*address, "stop", "x", APOLLO_TOKEN=token)
    assert (stopped.status, "needs the role submitter" in stopped.stderr) == (1, True)
    stranger = apollo(*address, "jobs")
    assert (stranger.status, "APOLLO_TOKEN" in stranger.stderr) == (1, True)
