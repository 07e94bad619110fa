"""What a service serves, declared: a name, a type, a meaning, and labels with all the values that they may have.

A family is declared once, as a constant; `on` puts it into a registry. The page of all metrics is written from the
declarations, so it cannot tell of others than there are.

Counting happens on the event loop, thousands of times a second, and so does rendering: the series are plain numbers
without locks, several times cheaper than prometheus_client's, which only renders them.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, product
from typing import Any, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

OTHER: Final = "other"
DURATION_BUCKETS_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
CALL_BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

LabelValues = tuple[str, ...]


@dataclass(slots=True)
class Counter:
    value: float = 0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


@dataclass(slots=True)
class Gauge:
    value: float = 0

    def set(self, value: float) -> None:
        self.value = value

    def inc(self) -> None:
        self.value += 1

    def dec(self) -> None:
        self.value -= 1


class Histogram:
    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: of the buckets, each inclusive; one more has what is above them all."""
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


M = TypeVar("M", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True)
class Label:
    """The values that one label may have."""

    values: tuple[str, ...] = ()  # none: whoever counts sees to it that there are few, as `words` says
    at_once: bool | tuple[str, ...] = True
    """Of which values there is a series from the start: all, none, or these. `rate` and `increase` see what comes first
    only in such a series. The others are there from when they are first met.
    """
    more: bool = False  # whether values may be met that are not listed; all of them count as `other`
    words: str = ""  # for people, in place of the values

    @property
    def first(self) -> tuple[str, ...]:
        """Those that there is a series of from the start."""
        if isinstance(self.at_once, tuple):
            return self.at_once
        return (*self.values, *((OTHER,) if self.more and self.values else ())) if self.at_once else ()

    def bounded(self, value: str) -> str:
        return value if not self.values or value in self.values else OTHER


@dataclass(frozen=True, slots=True, eq=False)
class Family(Generic[M]):
    """Made by `counter`, `gauge` and `histogram`."""

    name: str
    meaning: str
    labels: Mapping[str, Label]
    type: str
    new: Callable[[], M]
    rendered: Callable[[Iterable[tuple[LabelValues, M]]], Metric]

    def on(self, registry: CollectorRegistry) -> "Series[M]":
        """Put the family into a registry, with the series that are there from the start."""
        series = Series(self)
        registry.register(series)
        return series


AnyFamily = Family[Any]


class Series(Collector, Generic[M]):
    """A family in a registry."""

    def __init__(self, family: Family[M]) -> None:
        self._family: Family[M] = family
        self._labels = tuple(family.labels.values())
        self._known: dict[LabelValues, M] = {}
        for values in product(*(label.first for label in self._labels)):
            self._known[values] = family.new()

    def of(self, *values: str) -> M:
        """The series of these label values, in the order of the declaration; none for a family without labels."""
        known = self._known.get(values)
        if known is not None:
            return known
        bounded = tuple(label.bounded(value) for label, value in zip(self._labels, values, strict=True))
        return self._known.setdefault(bounded, self._family.new())

    def drop(self, *values: str) -> None:
        """Serve the series no more until it is counted again."""
        self._known.pop(values, None)

    def describe(self) -> Iterator[Metric]:
        yield self._family.rendered(())

    def collect(self) -> Iterator[Metric]:
        yield self._family.rendered(self._known.items())


def counter(name: str, meaning: str, labels: Mapping[str, Label] | None = None) -> Family[Counter]:
    labels = labels or {}
    empty = partial(CounterMetricFamily, name, meaning, labels=tuple(labels))
    return Family(name, meaning, labels, "counter", Counter, partial(_with_values, empty))


def gauge(name: str, meaning: str, labels: Mapping[str, Label] | None = None) -> Family[Gauge]:
    labels = labels or {}
    empty = partial(GaugeMetricFamily, name, meaning, labels=tuple(labels))
    return Family(name, meaning, labels, "gauge", Gauge, partial(_with_values, empty))


def histogram(
    name: str,
    meaning: str,
    labels: Mapping[str, Label] | None = None,
    *,
    buckets: Sequence[float] = DURATION_BUCKETS_SECONDS,
) -> Family[Histogram]:
    labels = labels or {}
    bounds = (*(f"{float(bound)}" for bound in buckets), "+Inf")

    def rendered(series: Iterable[tuple[LabelValues, Histogram]]) -> Metric:
        metric = HistogramMetricFamily(name, meaning, labels=tuple(labels))
        for values, histogram in series:
            counts = list(zip(bounds, accumulate(histogram.counts), strict=True))
            metric.add_metric(values, counts, histogram.sum)
        return metric

    return Family(name, meaning, labels, "histogram", partial(Histogram, buckets), rendered)


def _with_values(
    empty: Callable[[], CounterMetricFamily | GaugeMetricFamily],
    series: Iterable[tuple[LabelValues, Counter | Gauge]],
) -> Metric:
    metric = empty()
    for values, number in series:
        metric.add_metric(values, number.value)
    return metric


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
            yield family.rendered(())

    def collect(self) -> Iterator[Metric]:
        for family, values in self.read():
            yield family.rendered((labels, Gauge(value)) for labels, value in values.items())
