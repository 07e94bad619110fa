"""What an operator lets jobs reach: which files, and where the environment's own credentials may go."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from apollo_common.storage.places import may_meet


@dataclass(frozen=True, slots=True)
class StorePolicy:
    """None: no limit, as in local mode."""

    file_roots: tuple[str, ...] | None = None
    """Directories that file:// reaches; empty: none."""

    environment_endpoints: frozenset[str] | None = None
    """Endpoints named by a job that the environment's own credentials may be sent to."""

    own_prefix: str = ""
    """Of the store URLs of Apollo's map outputs, which are other jobs' data; empty: they lie in no bucket."""

    own_directories: tuple[str, ...] = ()
    """Directories of Apollo's own, which hold all jobs' data and secrets: no root reaches into them."""

    def reaches(self, path: str) -> bool:
        """Whether a path really lies below one of the roots, wherever links on the way lead. Reads the disk."""
        if self.file_roots is None:
            return True
        real = os.path.realpath(path)
        return _lies_below(real, self.file_roots) and not _lies_below(real, self.own_directories)

    def trusts(self, endpoint: str) -> bool:
        """Whether the environment's credentials may go to an endpoint (`https://host:port`) that a job names."""
        if self.environment_endpoints is None:
            return True
        return any(same_endpoint(endpoint, listed) for listed in self.environment_endpoints)

    def owns(self, url: str) -> bool:
        """Whether a store URL, perhaps with wildcards, names something below Apollo's own prefix, or all around it."""
        return bool(self.own_prefix) and may_meet(url, self.own_prefix)


NOTHING_ALLOWED = StorePolicy(file_roots=(), environment_endpoints=frozenset())
"""Until an operator says otherwise."""


def _lies_below(real: str, directories: Iterable[str]) -> bool:
    roots = (os.path.realpath(directory).rstrip("/") for directory in directories)
    return any(f"{real}/".startswith(f"{root}/") for root in roots)


def same_endpoint(one: str, other: str) -> bool:
    """Whether two URLs of endpoints are written alike, but for case and a slash at the end."""
    return _canonical(one) == _canonical(other)


def _canonical(endpoint: str) -> str:
    return endpoint.rstrip("/").lower()
