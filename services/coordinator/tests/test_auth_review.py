"""Tokens of the cluster's accounts, asked about over HTTP at the fake API server."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from apollo_common.errors import InvalidSetting
from apollo_coordinator.auth.static_tokens import TokensFile
from apollo_coordinator.auth.token_review import MAX_USER, ReviewSettings, RoleMap, TokenReviewer
from apollo_coordinator.callers import AuthenticationUnavailable, Caller, Role
from support.api_server import running_api
from support.fake_kubernetes import FakeKubernetes
from support.kubernetes_pools import reach
from support.tokens import TOKENS, tokens_file

SUBMITTER = "system:serviceaccount:apollo:apollo-submitter"
ROLES = RoleMap.parse([f"{SUBMITTER}=submitter", "group:ops=admin", "vera=viewer"])
CALLER = Caller(SUBMITTER, Role.SUBMITTER)


def good(user=SUBMITTER, *groups, audiences=("apollo",)):
    """The status of a review of a token that is right."""
    return {
        "authenticated": True,
        "user": {"username": user, "groups": list(groups)},
        "audiences": list(audiences),
    }


@pytest.fixture
async def fake():
    async with FakeKubernetes().serving() as serving:
        yield serving


@asynccontextmanager
async def reviewer(fake, **settings):
    made = TokenReviewer(reach(fake), ROLES, ReviewSettings(**settings))
    try:
        yield made
    finally:
        await made.close()


async def test_an_account_has_its_role(fake):
    fake.reviews |= {
        "submitter": good(),
        "ops": good("carol", "dev", "ops"),
        "both": good("vera", "ops"),
        "nobody": good("dave", "dev"),
    }
    async with reviewer(fake) as tokens:
        assert await tokens.authenticate("submitter") == CALLER
        assert await tokens.authenticate("ops") == Caller("cluster:carol", Role.ADMIN)
        assert await tokens.authenticate("both") == Caller("cluster:vera", Role.ADMIN)
        assert await tokens.authenticate("nobody") == Caller("cluster:dave", None)
    spec = {"token": "submitter", "audiences": ["apollo"]}
    assert fake.reviewed[0] == {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}


@pytest.mark.parametrize(
    "answer",
    [
        {"authenticated": False, "error": "token expired"},
        {},
        good() | {"authenticated": "true"},
        good(audiences=()),  # an API server that knows no audiences
        good(audiences=("https://kubernetes.default.svc",)),
        good(""),
        good("x" * (MAX_USER + 1)),
        good("two\nlines"),
    ],
)
async def test_what_the_cluster_does_not_vouch_for_is_unknown(fake, answer):
    fake.reviews["token"] = answer
    async with reviewer(fake) as tokens:
        assert await tokens.authenticate("token") is None


async def test_answers_are_kept_for_a_while(fake):
    fake.reviews["right"] = good()
    async with reviewer(fake) as tokens:
        for _ in range(5):
            assert await tokens.authenticate("right") == CALLER
            assert await tokens.authenticate("wrong") is None
    assert sorted(review["spec"]["token"] for review in fake.reviewed) == ["right", "wrong"]


async def test_a_token_that_was_taken_back_is_soon_unknown(fake):
    fake.reviews["right"] = good()
    async with reviewer(fake, known_seconds=0.0) as tokens:
        assert await tokens.authenticate("right") == CALLER
        del fake.reviews["right"]
        assert await tokens.authenticate("right") is None


async def test_a_flood_of_wrong_tokens_drives_out_no_right_one(fake):
    fake.reviews["right"] = good()
    async with reviewer(fake, max_answers=3) as tokens:
        assert await tokens.authenticate("right") == CALLER
        for number in range(10):
            assert await tokens.authenticate(f"wrong{number}") is None
        assert await tokens.authenticate("right") == CALLER
        assert await tokens.authenticate("wrong0") is None  # it had to make room
    asked = [review["spec"]["token"] for review in fake.reviewed]
    assert (asked.count("right"), asked.count("wrong0"), asked.count("wrong9")) == (1, 2, 1)


async def test_callers_with_the_same_token_share_a_review_though_the_first_leaves(fake):
    fake.reviews["right"] = good()
    fake.review_gate.clear()
    async with reviewer(fake) as tokens:
        first, *others = [asyncio.create_task(tokens.authenticate("right")) for _ in range(20)]
        async with asyncio.timeout(20):
            while not fake.reviewed:
                await asyncio.sleep(0.01)
            first.cancel()
            fake.review_gate.set()
            assert await asyncio.gather(*others) == [CALLER] * 19
    assert first.cancelled()
    assert len(fake.reviewed) == 1


async def test_only_so_many_reviews_run_and_wait_at_once(fake):
    fake.reviews |= {f"token{number}": good() for number in range(5)}
    fake.review_gate.clear()
    async with reviewer(fake, parallel_reviews=2, max_waiting=4) as tokens:
        waiting = [asyncio.create_task(tokens.authenticate(f"token{number}")) for number in range(4)]
        async with asyncio.timeout(20):
            while len(fake.reviewed) < 2:
                await asyncio.sleep(0.01)
            with pytest.raises(AuthenticationUnavailable, match="too many"):
                await tokens.authenticate("token4")
            assert len(fake.reviewed) == 2
            fake.review_gate.set()
            assert await asyncio.gather(*waiting) == [CALLER] * 4
            assert await tokens.authenticate("token4") == CALLER


async def asked_about(fake, *tokens):
    """Wait until the API server has them before it."""
    async with asyncio.timeout(20):
        while not {review["spec"]["token"] for review in fake.reviewed} >= set(tokens):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("first", "second", "other"), [
    ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
    ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
    ("fe80::1%eth0", "fe80::2%eth0", "::ffff:10.0.0.1"),
    ("::ffff:10.0.0.1", "::ffff:10.0.0.1", "::ffff:10.0.0.2"),
    ("", "", "10.0.0.1"),
])  # fmt: skip
async def test_one_address_that_shows_many_tokens_keeps_no_other_out(fake, first, second, other):
    fake.reviews["right"] = good()
    fake.review_gate.clear()
    async with reviewer(fake, max_waiting_of_one=2) as tokens:
        junk = [asyncio.create_task(tokens.authenticate(f"junk{number}", first)) for number in range(2)]
        await asked_about(fake, "junk0", "junk1")
        with pytest.raises(AuthenticationUnavailable, match="too many"):
            await tokens.authenticate("junk2", second)
        right = asyncio.create_task(tokens.authenticate("right", other))
        await asked_about(fake, "right")
        fake.review_gate.set()
        assert await asyncio.gather(*junk, right) == [None, None, CALLER]
        assert await tokens.authenticate("junk2", second) is None


async def test_a_token_that_was_good_before_waits_behind_no_new_one(fake):
    fake.reviews["right"] = good()
    async with reviewer(fake, known_seconds=0.0, parallel_reviews=1, max_waiting=2) as tokens:
        assert await tokens.authenticate("right") == CALLER
        fake.review_gate.clear()
        fake.reviewed.clear()
        junk = [asyncio.create_task(tokens.authenticate(f"junk{number}")) for number in range(2)]
        await asked_about(fake, "junk0")
        right = asyncio.create_task(tokens.authenticate("right"))
        await asked_about(fake, "right")
        assert len(fake.reviewed) == 2, "the other one waits for its turn"
        fake.review_gate.set()
        assert await asyncio.gather(*junk, right) == [None, None, CALLER]


async def test_no_account_of_the_cluster_is_taken_for_somebody_in_a_tokens_file(fake, tmp_path):
    """Not even one whose name is another's with the prefix."""
    fake.reviews |= {"one": good("alice", "ops"), "two": good("cluster:alice", "ops")}
    file = await TokensFile.open(tokens_file(tmp_path / "tokens"))
    async with reviewer(fake) as tokens:
        users = [(await tokens.authenticate(token)).user for token in ("one", "two")]
        users.append((await file.authenticate(TOKENS["alice"][1])).user)
    assert users == ["cluster:alice", "cluster:cluster:alice", "alice"]


@pytest.mark.parametrize("code", [401, 403, 429, 500])
async def test_a_cluster_that_does_not_answer_lets_nobody_in_and_is_asked_again(fake, code):
    fake.reviews["right"] = good()
    fake.refusals["tokenreviews"] = {"kind": "Status", "code": code, "message": "tokenreviews: no"}
    async with reviewer(fake) as tokens:
        with capture_logs() as logs, pytest.raises(AuthenticationUnavailable, match="cannot be asked"):
            await tokens.authenticate("right")
        assert ["tokenreviews" in entry["error"] for entry in logs] == [True]
        del fake.refusals["tokenreviews"]
        assert await tokens.authenticate("right") == CALLER


async def test_a_cluster_that_says_nothing_is_waited_for_for_a_while(fake):
    fake.review_gate.clear()
    async with reviewer(fake, answer_seconds=0.2) as tokens:
        with pytest.raises(AuthenticationUnavailable, match="cannot be asked"):
            await tokens.authenticate("right")


async def test_a_cluster_that_is_away_is_503_over_http(tmp_path):
    async with FakeKubernetes().serving() as gone:
        pass
    async with reviewer(gone) as tokens, running_api(tmp_path, authenticator=tokens) as api:
        headers = {"Authorization": "Bearer secret-token-of-a-pod"}
        with capture_logs() as logs:
            async with api.http.get("/api/v1/jobs", headers=headers) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
                told = await answer.text() + json.dumps(logs, default=str)
        assert "secret-token" not in told
        async with api.http.get("/readyz") as ready:
            assert ready.status == 200


async def test_an_account_without_a_role_is_told_so(fake, tmp_path):
    fake.reviews["nobody"] = good("dave")
    async with reviewer(fake) as tokens, running_api(tmp_path, authenticator=tokens) as api:
        answer = await api.call("GET", "/api/v1/jobs", headers={"Authorization": "Bearer nobody"})
        assert answer[0] == 403
        assert answer[1]["detail"] == "This needs the role viewer; cluster:dave has no role here."


async def test_closing_ends_a_review_under_way(fake):
    fake.review_gate.clear()
    async with reviewer(fake) as tokens:
        waiting = asyncio.create_task(tokens.authenticate("right"))
        while not fake.reviewed:
            await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("entry", ["alice", "alice=", "=admin", "group:=admin", "alice=boss", "group:ops=Admin"])
def test_a_wrong_entry_of_the_roles_is_named(entry):
    with pytest.raises(InvalidSetting, match=r"APOLLO_TOKEN_ROLES: .*USER=ROLE or group:GROUP=ROLE"):
        RoleMap.parse([entry])


def test_without_roles_nobody_could_do_anything():
    with pytest.raises(InvalidSetting, match="needs APOLLO_TOKEN_ROLES"):
        RoleMap.parse([])


def test_a_name_may_hold_an_equals_sign():
    assert RoleMap.parse(["cn=alice,o=x=viewer"]).role_of("cn=alice,o=x", []) is Role.VIEWER
