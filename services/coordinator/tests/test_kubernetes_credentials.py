"""Secrets that a job names: which it may, what they have to hold, and where their keys may go."""

import base64
from collections.abc import AsyncIterator, Mapping

import pytest

from apollo_common.errors import CredentialsUnusable
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.pools.kubernetes.credentials import LABEL, ClusterCredentials
from support.fake_kubernetes import FakeKubernetes
from support.kubernetes_pools import reach

KEYS = {"accessKeyId": "id", "secretAccessKey": "s3cr3t"}
NOWHERE = frozenset[str]()
LISTED = "https://listed:9000"


class Cluster:
    def __init__(self, fake: FakeKubernetes, credentials: ClusterCredentials) -> None:
        self._fake = fake
        self.credentials = credentials

    def keep(self, content: Mapping[str, str | bytes], *, labels: Mapping[str, str] = {LABEL: "true"}) -> None:
        raw = {key: value if isinstance(value, bytes) else value.encode() for key, value in content.items()}
        data = {key: base64.b64encode(value).decode() for key, value in raw.items()}
        self._fake.put("secrets", {"metadata": {"name": "mine", "labels": dict(labels)}, "data": data})


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with FakeKubernetes().serving() as fake:
        api = reach(fake)
        yield Cluster(fake, ClusterCredentials(api, StorePolicy(environment_endpoints=frozenset({LISTED}))))
        await api.close()


async def test_a_labelled_secret_is_read(cluster):
    cluster.keep(KEYS | {"sessionToken": "token", "endpoint": "https://store:9000", "region": "eu"})
    access = await cluster.credentials.named("mine", NOWHERE)
    assert access == StorageAccess("https://store:9000", "eu", "id", "s3cr3t", "token")


async def test_two_keys_are_enough(cluster):
    cluster.keep(KEYS)
    assert await cluster.credentials.named("mine", NOWHERE) == StorageAccess("", "", "id", "s3cr3t")


async def test_a_secret_without_the_label_is_as_one_that_is_not_there(cluster):
    with pytest.raises(CredentialsUnusable) as missing:
        await cluster.credentials.named("mine", NOWHERE)
    cluster.keep(KEYS, labels={"app": "database"})
    with pytest.raises(CredentialsUnusable) as unlabelled:
        await cluster.credentials.named("mine", NOWHERE)
    assert str(unlabelled.value) == str(missing.value)
    assert LABEL in str(missing.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "needs the keys accessKeyId and secretAccessKey"),
        ({"accessKeyId": "id"}, "needs the keys"),
        (KEYS | {"secretAccessKey": ""}, "needs the keys"),
        (KEYS | {"secretAccessKey": b"\xff s3cr3t"}, "is no text"),
    ],
)
async def test_a_secret_that_holds_no_credentials_is_refused_without_showing_it(cluster, content, words):
    cluster.keep(content)
    with pytest.raises(CredentialsUnusable, match=words) as raised:
        await cluster.credentials.named("mine", NOWHERE)
    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    ("own", "asked", "may"),
    [
        ("", LISTED, True),
        ("", "https://elsewhere:9000", False),
        ("https://store:9000", "https://store:9000", True),
        ("https://store:9000/", "https://STORE:9000", True),
        ("https://store:9000", "http://store:9000", False),
        ("https://store:9000", LISTED, False),
    ],
)
async def test_the_secret_says_where_its_keys_go_not_the_job(cluster, own, asked, may):
    cluster.keep(KEYS | {"endpoint": own})
    if may:
        assert (await cluster.credentials.named("mine", frozenset({asked}))).access_key_id == "id"
    else:
        with pytest.raises(CredentialsUnusable, match="are not for"):
            await cluster.credentials.named("mine", frozenset({asked}))
