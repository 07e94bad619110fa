"""Writes docs/metrics.md from the families that the services declare: `./dev gen`."""

import sys
from collections.abc import Iterable

from apollo_common.metrics.families import OTHER, AnyFamily, Label
from apollo_coordinator.metrics import table as coordinator
from apollo_worker import metrics as worker

INTRODUCTION = """\
# Metrics

Prometheus scrapes the coordinator at `/metrics` of its HTTP port (4750), a worker at `/metrics` of port 8091. Neither
asks for a token: no label is ever an id, a path or a name that a user chose, so their number does not grow with jobs.

This page is written from the code by `./dev gen`, and tests hold it against what running services serve. Histograms
have `_bucket`, `_sum` and `_count`. A series exists from the start where its labels are told by value; those marked
*as they come* exist from when they are first counted. What counts starts again at 0 when its process does. After 1,000
further jobs a coordinator and its workers serve the series that they served after ten: tests compare them.

Workers of `apollo run` and `apollo up` serve none.
"""

WORKERS = """\
These count while an attempt runs unless they say otherwise, also when it fails later. A worker that lives for less than
a scrape's interval may end unseen: what has to be exact is the coordinator's.
"""

SECTIONS = (
    ("The coordinator", "", coordinator.FAMILIES),
    ("Workers", WORKERS, worker.FAMILIES),
    ("Both", "", worker.SHARED),
)


def page() -> str:
    return "\n".join([INTRODUCTION, *(line for section in SECTIONS for line in _section(*section))])


def _section(title: str, words: str, families: Iterable[AnyFamily]) -> Iterable[str]:
    yield f"## {title}\n"
    if words:
        yield words
    yield "| name | type | labels | meaning |"
    yield "| --- | --- | --- | --- |"
    for family in families:
        labels = "<br>".join(f"`{name}`: {_values(label)}" for name, label in family.labels.items())
        yield f"| `{family.name}` | {family.type} | {labels} | {family.meaning} |"
    yield ""


def _values(label: Label) -> str:
    more = (OTHER,) if label.more else ()
    values = label.words or ", ".join(f"`{value}`" for value in (*label.values, *more))
    if isinstance(label.at_once, tuple):
        return f"{values} (*as they come*, but for {', '.join(f'`{value}`' for value in label.at_once)})"
    return values if label.first else f"{values} (*as they come*)"


if __name__ == "__main__":
    sys.stdout.write(page())
