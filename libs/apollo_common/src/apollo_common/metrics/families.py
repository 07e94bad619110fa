"""What a service serves, declared: a name, a type, a meaning, and labels with all the values that they may have.

A family is declared once, as a constant; `on` puts it into a registry. The page of all metrics is written from the
declarations, so it cannot tell of others than there are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

OTHER: Final = "other"
DURATION_BUCKETS_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
CALL_BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

M = TypeVar("M", Counter, Gauge, Histogram)
LabelValues = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """The values that one label may have. What is none of them counts as `other`."""

    values: tuple[str, ...] = ()  # none: whoever counts sees to it that there are few, as `words` says
    at_once: bool = True  # whether there is a series for each value from the start, or from when it is first met
    words: str = ""  # for people, in place of the values

    def bounded(self, value: str) -> str:
        return value if not self.values or value in self.values else OTHER


@dataclass(frozen=True, slots=True, eq=False)
class Family(Generic[M]):
    """Made by `counter`, `gauge` and `histogram`."""

    name: str
    meaning: str
    labels: Mapping[str, Label]
    kind: type[M]
    buckets: Sequence[float] = ()

    @property
    def type(self) -> str:
        return self.kind.__name__.lower()

    def on(self, registry: CollectorRegistry) -> "Series[M]":
        """Put the family into a registry, with the series that are there from the start."""
        options: dict[str, Any] = {"buckets": self.buckets} if self.buckets else {}
        metric = self.kind(self.name, self.meaning, tuple(self.labels), registry=registry, **options)
        series = Series(self, metric)
        if all(label.at_once and label.values for label in self.labels.values()):
            for values in product(*(label.values for label in self.labels.values())):
                series.of(*values)
        return series


AnyFamily = Family[Any]


class Series(Generic[M]):
    """A family in a registry."""

    def __init__(self, family: Family[M], metric: M) -> None:
        self._labels = tuple(family.labels.values())
        self._metric: M = metric
        self._known: dict[LabelValues, M] = {}

    def of(self, *values: str) -> M:
        """The series of these label values, in the order of the declaration; none for a family without labels."""
        known = self._known.get(values)
        if known is not None:
            return known
        bounded = tuple(label.bounded(value) for label, value in zip(self._labels, values, strict=True))
        if bounded not in self._known:
            self._known[bounded] = self._metric.labels(*bounded) if bounded else self._metric
        return self._known[bounded]

    def drop(self, *values: str) -> None:
        """Serve the series no more until it is counted again."""
        if self._known.pop(values, None) is not None:
            self._metric.remove(*values)


def counter(name: str, meaning: str, labels: Mapping[str, Label] | None = None) -> Family[Counter]:
    return Family(name, meaning, labels or {}, Counter)


def gauge(name: str, meaning: str, labels: Mapping[str, Label] | None = None) -> Family[Gauge]:
    return Family(name, meaning, labels or {}, Gauge)


def histogram(
    name: str,
    meaning: str,
    labels: Mapping[str, Label] | None = None,
    *,
    buckets: Sequence[float] = DURATION_BUCKETS_SECONDS,
) -> Family[Histogram]:
    return Family(name, meaning, labels or {}, Histogram, buckets)


Reading = tuple[Family[Gauge], Mapping[LabelValues, float]]
"""The present values of one family, by label values."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadAtScrape(Collector):
    """Gauges that are read when they are asked for, because keeping them up to date would cost something per event."""

    families: Sequence[Family[Gauge]]
    read: Callable[[], Iterable[Reading]]
    """Called by each scrape, on the thread that renders it."""

    def on(self, registry: CollectorRegistry) -> None:
        registry.register(self)

    def describe(self) -> Iterator[Metric]:
        for family in self.families:
            yield _rendered(family)

    def collect(self) -> Iterator[Metric]:
        for family, values in self.read():
            metric = _rendered(family)
            for labels, value in values.items():
                metric.add_metric(labels, value)
            yield metric


def _rendered(family: Family[Gauge]) -> GaugeMetricFamily:
    return GaugeMetricFamily(family.name, family.meaning, labels=tuple(family.labels))
