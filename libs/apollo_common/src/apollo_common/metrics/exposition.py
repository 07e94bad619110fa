"""What a scrape gets."""

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, disable_created_metrics, generate_latest

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def new_registry() -> CollectorRegistry:
    """An empty one. Counters tell no time of their creation: that would double the series, and nobody asks for it."""
    disable_created_metrics()  # type: ignore[no-untyped-call] # the library forgot to annotate it
    return CollectorRegistry()


def render_metrics(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)
