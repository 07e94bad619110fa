"""The few kinds of panels that the boards are made of. Each has a unit, a description, and a link to what to do."""

import itertools
import re
import string
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard

RUNBOOKS = "https://apollo.example.com/docs/operate.md"  # where an operator publishes docs/: put your own in its place

DATA_SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

_WIDTH = 24  # of a board, in Grafana's columns
_LETTERS = string.ascii_uppercase  # by which Grafana tells the queries of a panel apart
_NUMBER_HEIGHT, _GRAPH_HEIGHT = 4, 8
_OURS = re.compile(r"\b((?:namespace\w*:)?apollo_\w+(?::\w+)?|process_\w+|up|ALERTS)\b(\{)?")

Panel = stat.Panel | timeseries.Panel
P = TypeVar("P", stat.Panel, timeseries.Panel)


class Unit(StrEnum):
    """As Grafana calls them."""

    COUNT = "short"
    PER_SECOND = "cps"
    REQUESTS_PER_SECOND = "reqps"
    RECORDS_PER_SECOND = "recps"
    BYTES = "bytes"
    BYTES_PER_SECOND = "binBps"
    SECONDS = "s"
    SHARE = "percentunit"
    TIMES = "suffix:x"
    YES_NO = "bool_yes_no"


class Runbook(StrEnum):
    """Headings of docs/operate.md, as anchors."""

    ALERTS = "what-the-alerts-mean"
    COORDINATOR_DOWN = "coordinator-down"
    JOBS_FAILING = "jobs-failing"
    NO_PROGRESS = "no-progress"
    WORKERS_FLAPPING = "workers-flapping"
    VOLUME_NEARLY_FULL = "volume-nearly-full"
    S3_ERRORS = "s3-errors"
    EVENT_LOOP_LAG = "event-loop-lag"
    JOURNAL_SLOW = "journal-slow"
    STRAGGLERS = "stragglers-and-skew"
    TIME = "where-the-time-goes"
    WAITING = "when-a-job-waits"
    FAILING = "when-a-job-fails"
    SIZING = "sizing"
    REFUSED = "callers-are-refused"


def graph(
    title: str, unit: Unit, description: str, runbook: Runbook, queries: Mapping[str, str], *, stacked: bool = False
) -> timeseries.Panel:
    """Lines over time; `queries` are legend -> expression."""
    panel = (
        timeseries.Panel()
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
        .fill_opacity(20 if stacked else 0)
        .line_width(1)
        .min(0)
        .height(_GRAPH_HEIGHT)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    for letter, (legend, expression) in zip(_LETTERS[: len(queries)], queries.items(), strict=True):
        panel.with_target(_query(expression).range().legend_format(legend).ref_id(letter))
    return _described(panel, title, unit, description, runbook)


def number(
    title: str, unit: Unit, description: str, runbook: Runbook, query: str, *,
    bad_from: float | None = None, bad_below: float | None = None,
) -> stat.Panel:  # fmt: skip
    """The value now, red where it is bad: at `bad_from` and above, or below `bad_below`. One that is not there is none,
    whatever it was before: rates have no value while nothing happens.
    """
    panel = (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("no data")
        .color_mode(options.BigValueColorMode.VALUE)
        .graph_mode(options.BigValueGraphMode.NONE)
        .thresholds(_thresholds(bad_from, bad_below))
        .height(_NUMBER_HEIGHT)
    )
    panel.with_target(_query(query).instant().ref_id("A"))
    return _described(panel, title, unit, description, runbook)


def board(uid: str, title: str, description: str, rows: Mapping[str, Sequence[Panel]]) -> dashboard.Dashboard:
    """Rows of panels of the same kind, side by side and as wide as they fit."""
    made = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["apollo"])
        .readonly()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_namespaces())
        .link(
            build.DashboardLink("Apollo")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags(["apollo"])
            .as_dropdown(as_dropdown=True)
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
    )
    ids = itertools.count(1)
    for name, panels in rows.items():
        made.with_row(build.Row(name).id(next(ids)))
        for panel in panels:
            made.with_panel(panel.id(next(ids)).span(_span(panels)))
    return made.build()


def here(expression: str) -> str:
    """The same, of the chosen namespaces: every series of Apollo, its processes and its scrapes is narrowed to them."""
    chosen = 'namespace=~"$namespace"'
    return _OURS.sub(lambda found: f"{found[1]}{{{chosen}{', ' if found[2] else '}'}", expression)


def _namespaces() -> build.QueryVariable:
    """All of them unless one is chosen. Outside Kubernetes there is no such label, which `.*` matches too."""
    return (
        build.QueryVariable("namespace")
        .label("Namespace")
        .datasource(DATA_SOURCE)
        .query("label_values(apollo_build_info, namespace)")
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(include_all=True)
        .all_value(".*")
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    )


def _query(expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(here(expression)).datasource(DATA_SOURCE)


def _described(panel: P, title: str, unit: Unit, description: str, runbook: Runbook) -> P:
    link = build.DashboardLink("Runbook").type(dashboard.DashboardLinkType.LINK).url(f"{RUNBOOKS}#{runbook}")
    described = panel.title(title).unit(unit).description(description).datasource(DATA_SOURCE)
    return described.links([link.target_blank(target_blank=True)])


def _thresholds(bad_from: float | None, bad_below: float | None) -> build.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color="green" if bad_below is None else "red")]
    if bad_below is not None:
        steps.append(dashboard.Threshold(value=bad_below, color="green"))
    if bad_from is not None:
        steps.append(dashboard.Threshold(value=bad_from, color="red"))
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _span(panels: Sequence[Panel]) -> int:
    if isinstance(panels[0], stat.Panel):
        return _WIDTH // len(panels)
    return 8 if len(panels) % 3 == 0 else 12
