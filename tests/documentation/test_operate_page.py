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


def explained() -> set[str]:
    return set(re.findall(r"`([a-z_]+)`", (REPOSITORY / "docs/operate.md").read_text()))


def test_every_reason_is_explained():
    for module in MODULES:  # each brings errors of its own
        import_module(module)
    assert set(reasons()) - BASES <= explained()


def test_every_reason_to_refuse_a_call_is_explained():
    sources = (REPOSITORY / "services/coordinator/src/apollo_coordinator/api").glob("*.py")
    found = {reason for source in sources for reason in re.findall(r'\breason="([a-z_]+)"', source.read_text())}
    assert {"token_missing", "not_ready"} <= found <= explained()
