"""Which store URLs may name the same place, however they are written."""

import posixpath

from apollo_common.storage.glob import Pattern, has_wildcard


def tidy(url: str) -> str:
    """Of what names the same object to some store, one form: those that keep objects in directories take repeated
    slashes, and backslashes, for one slash.
    """
    path = url.partition("://")[2].replace("\\", "/")
    return posixpath.normpath(f"/{path}").rstrip("/") + ("/" if path.endswith("/") else "")


def may_meet(url: str, prefix: str) -> bool:
    """Whether a store URL, perhaps with wildcards, may name something below a prefix, or all around it."""
    literal = tidy(Pattern(url).literal_prefix if has_wildcard(url) else f"{url}/")
    place = tidy(f"{prefix}/")
    return literal.startswith(place) or place.startswith(literal)
