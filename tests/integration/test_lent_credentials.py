"""The environment's credentials, lent to workers: a workload identity changed for keys, and kept fresh."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from apollo_common.errors import StorageAccessDenied, StorageUnavailable
from apollo_common.storage import s3_client
from apollo_common.storage.lending import EnvironmentLender
from apollo_common.storage.policy import NOTHING_ALLOWED, StorePolicy
from apollo_common.storage.port import StorageAccess
from support.fake_sts import FakeSts

LENDER = EnvironmentLender(NOTHING_ALLOWED)
WITHOUT = StorageAccess(region="eu-central-1")


@pytest.fixture(autouse=True)
def nothing_inherited(monkeypatch, tmp_path):
    """No credentials of the machine that runs the tests, and none that an earlier test has had kept."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    s3_client._session.cache_clear()
    yield
    s3_client._session.cache_clear()


@pytest.fixture
async def sts(monkeypatch, tmp_path) -> AsyncIterator[FakeSts]:
    """As on EKS: a role, and a token of the pod's service account in a file."""
    async with FakeSts().serving() as service:
        (tmp_path / "token").write_text("who-I-am")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/apollo")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        yield service


async def test_static_keys_are_lent(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert await LENDER.lend(WITHOUT) == StorageAccess("", "eu-central-1", "id", "secret")


async def test_an_identity_is_changed_for_keys_once_as_long_as_they_last(sts):
    first = await LENDER.lend(WITHOUT)
    assert (first.access_key_id, first.secret_access_key, first.session_token) == ("key-1", "secret-1", "token-1")
    sts.keys = ("key-2", "secret-2", "token-2")
    assert await LENDER.lend(WITHOUT) == first
    assert [(asked["RoleArn"], asked["WebIdentityToken"]) for asked in sts.asked] == [
        ("arn:aws:iam::1:role/apollo", "who-I-am")
    ]


async def test_keys_that_are_soon_over_are_followed_by_others(sts):
    sts.lifetime = timedelta(minutes=5)
    assert (await LENDER.lend(WITHOUT)).access_key_id == "key-1"
    sts.keys = ("key-2", "secret-2", "token-2")
    assert (await LENDER.lend(WITHOUT)).access_key_id == "key-2"


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        ((403, "AccessDenied"), StorageAccessDenied, "AccessDenied.*AWS_ROLE_ARN"),
        ((400, "InvalidIdentityToken"), StorageAccessDenied, "InvalidIdentityToken"),
        ((500, "InternalFailure"), StorageUnavailable, "InternalFailure"),
    ],
)
async def test_an_identity_that_is_refused_is_told_without_its_token(sts, refusal, error, words):
    sts.refusal = refusal
    with pytest.raises(error, match=words) as raised:
        await LENDER.lend(WITHOUT)
    assert "who-I-am" not in str(raised.value)


async def test_a_token_that_is_not_there_is_told(sts, tmp_path):
    (tmp_path / "token").unlink()
    with pytest.raises(StorageUnavailable, match="cannot be had now"):
        await LENDER.lend(WITHOUT)


async def test_an_environment_without_credentials_says_what_to_do():
    with pytest.raises(StorageAccessDenied, match="workload identity"):
        await LENDER.lend(WITHOUT)


async def test_who_has_credentials_keeps_them(sts):
    own = StorageAccess("http://anywhere:1", "", "mine", "my secret")
    assert await LENDER.lend(own) is own
    assert sts.asked == []


async def test_keys_are_lent_only_for_endpoints_that_the_operator_lists(sts):
    listed = StorageAccess("https://store:9000")
    with pytest.raises(StorageAccessDenied, match="https://store:9000"):
        await LENDER.lend(listed)
    assert sts.asked == []
    lender = EnvironmentLender(StorePolicy(environment_endpoints=frozenset({"https://store:9000"})))
    assert (await lender.lend(listed)).access_key_id == "key-1"
