"""docs/operate.md tells of every error that Apollo has."""

import re
from collections.abc import Iterator

import apollo_coordinator.pools.kubernetes.errors
import apollo_coordinator.store.schema  # noqa: F401
from apollo_common.errors import ApolloError, PermanentError, TemporaryError
from support.apollo_cli import REPOSITORY

BASES = {TemporaryError.reason, PermanentError.reason}


def reasons(kind: type[ApolloError] = ApolloError) -> Iterator[str]:
    yield kind.reason
    for below in kind.__subclasses__():
        yield from reasons(below)


def test_every_reason_is_explained():
    explained = set(re.findall(r"`([a-z_]+)`", (REPOSITORY / "docs/operate.md").read_text()))
    assert set(reasons()) - BASES <= explained
