"""docs/operate.md tells of every error of the services, whatever else is loaded beside them."""

import re
from collections.abc import Iterator
from importlib import import_module

from apollo_common.errors import ApolloError, PermanentError, TemporaryError
from support.apollo_cli import REPOSITORY

MODULES = ("apollo_coordinator.app", "apollo_coordinator.pools.kubernetes.errors", "apollo_worker.app")
BASES = {TemporaryError.reason, PermanentError.reason}


def reasons(kind: type[ApolloError] = ApolloError) -> Iterator[str]:
    if not kind.__module__.startswith("apollo_client"):
        yield kind.reason
    for below in kind.__subclasses__():
        yield from reasons(below)


def test_every_reason_is_explained():
    for module in MODULES:  # each brings errors of its own
        import_module(module)
    explained = set(re.findall(r"`([a-z_]+)`", (REPOSITORY / "docs/operate.md").read_text()))
    assert set(reasons()) - BASES <= explained
