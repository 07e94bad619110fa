"""Prometheus metrics that stay small: every label has a known, bounded set of values, never an id.

Names follow https://prometheus.io/docs/practices/naming: `apollo_` prefix, base units, `_total` for counters.
"""

from collections.abc import Collection
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

OTHER: Final = "other"
DURATION_BUCKETS_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def bounded_label(value: str, allowed: Collection[str]) -> str:
    """`value` where it is one of `allowed`, else `other`: what a peer or a user sends never makes a new series."""
    return value if value in allowed else OTHER


def render_metrics(registry: CollectorRegistry) -> bytes:
    """The text that a scrape of `registry` gets."""
    return generate_latest(registry)
