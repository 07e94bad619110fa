"""The dashboards are what their code says, and each panel tells what it shows, in the unit of what it asks for."""

import re

import promql_parser
import pytest

from boards.__main__ import write
from boards.panels import Runbook, Unit, graph
from observability.sources import DASHBOARDS, RUNBOOK, anchors, dashboard_expressions, dashboards, panels, recorded
from observability.units import SHOWN_AS, UnitMismatch, measure, selectors

BOARDS = {"apollo-overview", "apollo-job-flow", "apollo-workers", "apollo-coordinator"}
PANELS = [(name, panel) for name, board in dashboards().items() for panel in panels(board)]
by_panel = pytest.mark.parametrize(
    "panel", [panel for _, panel in PANELS], ids=[f"{n}-{p['title']}" for n, p in PANELS]
)


def test_the_files_are_what_the_code_says(tmp_path):
    """If this fails: ./dev gen."""
    write(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in DASHBOARDS.iterdir()}
    assert dashboards().keys() == BOARDS


@by_panel
def test_a_panel_says_what_it_shows_and_what_to_do(panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    (link,) = panel["links"]
    page, _, anchor = link["url"].partition("#")
    assert page.endswith(f"/{RUNBOOK.name}")
    assert anchor in anchors()


def test_a_panel_shows_all_its_queries():
    queries = {f"query {number}": f"apollo_jobs + {number}" for number in range(9)}
    made = graph("Many", Unit.COUNT, "Nine of them.", Runbook.WAITING, queries).build()
    assert [target.legend_format for target in made.targets] == list(queries)
    with pytest.raises(ValueError, match="longer"):
        graph("Too many", Unit.COUNT, "No letter is left.", Runbook.WAITING, {f"{n}": "apollo_jobs" for n in range(27)})


@pytest.mark.parametrize("panel", [panel for _, panel in PANELS if panel["type"] == "stat"])
def test_a_number_is_of_now(panel):
    """The last value of a range would stay red for an hour after what it tells of is over."""
    (target,) = panel["targets"]
    assert (target["instant"], target["range"]) == (True, False)
    assert panel["fieldConfig"]["defaults"]["noValue"] == "no data"


def test_throughput_beside_the_workers_own_board_is_the_coordinators():
    """A worker that ends between two scrapes takes what it counted with it."""
    lossy = re.compile(r"apollo_worker_\w+_total")
    assert {e.where.split(" / ")[1] for e in dashboard_expressions() if lossy.search(e.text)} == {"Workers"}
    assert "apollo_input_bytes_total" in (DASHBOARDS / "apollo-overview.json").read_text()


def test_units_are_those_of_what_is_asked_for():
    wrong = []
    for expression in dashboard_expressions():
        try:
            found = measure(expression.over("5m"), recorded())
        except UnitMismatch as mismatch:
            wrong.append(f"{expression.where}: {mismatch}")
        else:
            if found not in SHOWN_AS[expression.unit]:
                wrong.append(f"{expression.where}: {found} is shown as {expression.unit}")
    assert not wrong, "\n".join(wrong)


def test_every_series_is_narrowed_to_the_chosen_namespaces():
    """Several installations may share a Prometheus."""
    for expression in dashboard_expressions():
        for selector in selectors(promql_parser.parse(expression.over("5m"))):
            matched = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            assert matched.get("namespace") == ".*", expression


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_panels_have_a_place_and_an_id_of_their_own(name):
    taken: set[tuple[int, int]] = set()
    board = dashboards()[name]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        covered = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not covered & taken, panel["title"]
        taken |= covered


@by_panel
def test_a_panel_asks_the_chosen_data_source(panel):
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [chosen] * (
        1 + len(panel["targets"])
    )
