"""What a scrape gets."""

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def render_metrics(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)
