"""The dashboards keep the rules that make them importable, readable and right. A lint of our own, after Grafana's."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from modelfleet.observability import generate
from modelfleet.observability.board import of_nodes
from modelfleet.observability.boards import BOARDS
from modelfleet.observability.catalogue import CATALOGUE, SERIES

ROOT = Path(__file__).parents[3]
SERIES_NAME = re.compile(r"\bmodelfleet_\w+")
ONCE = re.compile(r"max by \([^)]*\) (?=\(modelfleet_(rollout|trainingjob|dataset)_)")
ROW = r'label_join\(.*"row", " / ", ([^)]*)\)'
RANGE = re.compile(r"\[(?P<range>[^\]]+)\]")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
BUILT_IN = {"__rate_interval", "__range", "datasource"}
TYPES = {"row", "stat", "timeseries", "state-timeline", "heatmap", "table"}
boards = pytest.mark.parametrize("name", BOARDS)


def panels(name: str, *, rows: bool = False) -> Iterator[dict[str, Any]]:
    yield from (panel for panel in BOARDS[name]["panels"] if rows or panel["type"] != "row")


def expressions(name: str) -> Iterator[str]:
    """PromQL of panels, annotations and variables."""
    for panel in panels(name):
        yield from (target["expr"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in BOARDS[name]["annotations"]["list"])
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def test_the_committed_files_are_the_generated_ones() -> None:
    wrong = [name for name, text in generate.files(ROOT).items() if (ROOT / name).read_text() != text]
    assert not wrong + generate.stale(ROOT), "run `make observability`"


@boards
def test_what_each_of_several_operators_exports_counts_once(name: str) -> None:
    """Operators that stand by know of the same objects: a sum would be doubled, and a match on one series refused."""
    own = re.compile(r"modelfleet_(operator|gate|drift)_")  # of its process; of the one that leads
    queried = [each for each in expressions(name) if not each.startswith("label_values(")]
    told = [(each, m) for each in queried for m in SERIES_NAME.finditer(each) if SERIES[m[0]].by == "operator"]
    for expr, found in told:
        if not own.match(found[0]):
            once = f"max by ({', '.join(SERIES[found[0]].labels)}) ("
            assert expr[: found.start()].endswith(once), expr


@boards
def test_nothing_ties_it_to_one_installation(name: str) -> None:
    board = BOARDS[name]
    assert board["id"] is None
    assert board["uid"] == f"modelfleet-{name}"
    assert len(board["uid"]) <= 40  # Grafana's limit
    assert board["tags"] == ["modelfleet"]
    [source] = [v for v in board["templating"]["list"] if v["type"] == "datasource"]
    assert (source["name"], source["query"], source["current"]) == ("datasource", "prometheus", {})
    texts = json.dumps(board)
    assert set(re.findall(r'"uid": "([^"]*)"', texts)) == {board["uid"], "${datasource}"}


@boards
def test_its_schema_is_what_grafana_10_reads(name: str) -> None:
    assert BOARDS[name]["schemaVersion"] == 38
    assert {panel["type"] for panel in panels(name, rows=True)} <= TYPES
    assert int(BOARDS[name]["refresh"].removesuffix("s")) >= 10


@boards
def test_each_panel_says_what_it_shows(name: str) -> None:
    titles = [panel["title"] for panel in panels(name)]
    assert len(titles) == len(set(titles))
    for panel in panels(name):
        assert panel["title"]
        assert len(panel["description"]) > 10, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@boards
def test_legends_name_the_labels_that_tell_series_apart(name: str) -> None:
    for panel in panels(name):
        for target in panel["targets"]:
            if panel["type"] != "timeseries":
                continue
            legend = target["legendFormat"]
            assert legend != "__auto", panel["title"]
            grouped = ONCE.sub("", target["expr"])  # what one operator exports has the labels that it has
            for by in re.findall(r"by \(([^)]*)\)", grouped)[:1]:
                labels = {label.strip() for label in by.split(",")} - {"le"}
                assert labels <= set(re.findall(r"\{\{(\w+)\}\}", legend)), panel["title"]


@boards
def test_a_fleet_of_thousands_is_no_thousand_lines(name: str) -> None:
    """A browser draws some thousand lines for minutes, and nobody can tell them apart."""
    for panel in panels(name):
        if panel["type"] not in ("timeseries", "state-timeline"):
            continue  # of a table what is seen is drawn; the others have one figure
        for target in panel["targets"]:
            if "node" not in re.findall(r"\w+", target["legendFormat"] + "".join(re.findall(ROW, target["expr"]))):
                continue
            assert re.search(r" and (?:on \([^)]*\) )?(?:top|bottom)k\(50, ", target["expr"]), panel["title"]
            assert " At most 50 nodes: those " in panel["description"], panel["title"]
            ranked = target["expr"].partition("k(50, ")[2]
            assert ranked.count("@ end()") == len(SERIES_NAME.findall(ranked)), "one choice for all of the time shown"


def test_only_what_says_when_can_be_ranked() -> None:
    with pytest.raises(ValueError, match="says nothing of the time"):
        of_nodes("sum by (node) (modelfleet_capture_spool_bytes)")


@boards
def test_objects_of_one_name_in_several_namespaces_are_told_apart(name: str) -> None:
    """Namespaces are all shown at first, and teams call their Rollouts alike."""
    objects = {"rollout", "dataset", "training_job"}
    for expression in expressions(name):
        told = {label for series in SERIES_NAME.findall(expression) for label in SERIES[series].labels}
        parts = {*objects, "version", "group"} if told & objects else objects
        for by in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
            labels = {label.strip() for label in by.split(",")}
            assert "namespace" in labels or not labels & parts, expression
        for row in re.findall(r'label_join\(.*"row", " / ", ([^)]*)\)', expression):
            assert "rollout" not in row or '"namespace"' in row, expression
    legends = [annotation["titleFormat"] for annotation in BOARDS[name]["annotations"]["list"]]
    for panel in panels(name):
        legends += [target["legendFormat"] for target in panel["targets"]]
        if panel["type"] == "table":
            columns = panel["transformations"][0]["options"]["include"]["names"]
            assert "namespace" in columns or not set(columns) & objects, panel["title"]
    for legend in legends:
        assert set(re.findall(r"(\S*)\{\{(?:rollout|dataset|training_job)\}\}", legend)) <= {"{{namespace}}/"}, legend


@boards
def test_panels_do_not_overlap(name: str) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in panels(name, rows=True)]
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, f"{one} overlaps {other}"
    assert all(place["x"] + place["w"] <= 24 for _, place in places)
    ids = [panel["id"] for panel in panels(name, rows=True)]
    assert len(ids) == len(set(ids))


@boards
def test_only_metrics_of_the_catalogue(name: str) -> None:
    for expression in expressions(name):
        unknown = [series for series in SERIES_NAME.findall(expression) if series not in SERIES]
        assert not unknown, expression


def test_every_metric_is_on_a_board() -> None:
    """Somebody who exports a metric and draws it nowhere has made it for nobody."""
    shown = {SERIES[series].name for name in BOARDS for e in expressions(name) for series in SERIES_NAME.findall(e)}
    missing = {metric.name for metric in CATALOGUE} - shown
    assert not missing, "draw it (observability/boards), or don't export it"


@boards
def test_labels_that_are_asked_for_are_the_metrics_own(name: str) -> None:
    """A matcher or a `by` with a label that no exporter sets shows nothing, for ever."""
    added = {"namespace", "pod", "job", "le", "row"}
    for expression in expressions(name):
        known = {label for series in SERIES_NAME.findall(expression) for label in SERIES[series].labels} | added
        for group in re.findall(r"by \(([^)]*)\)", expression):
            assert {label.strip() for label in group.split(",")} <= known, expression
        for series, matchers in re.findall(r"(modelfleet_\w+)\{([^}]*)\}", expression):
            named = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", matchers))
            assert named <= {*SERIES[series].labels, *added}, expression


@boards
def test_rates_follow_the_zoom_and_only_of_counters(name: str) -> None:
    for expression in expressions(name):
        for window in RANGE.finditer(expression):
            assert window["range"] in ("$__rate_interval", "$__range", "$window"), expression
        for function, series in re.findall(r"\b(rate|increase)\((modelfleet_\w+)", expression):
            assert SERIES[series].type in ("counter", "histogram"), f"{function} of {series}, which is no counter"
        for series in re.findall(r"(modelfleet_\w+_(?:total|bucket|count|sum))\b", expression):
            assert re.search(rf"(?:rate|increase)\({series}", expression), f"{series} without a rate: {expression}"


@boards
def test_every_query_goes_by_the_variables(name: str) -> None:
    variables = {variable["name"] for variable in BOARDS[name]["templating"]["list"]}
    used: set[str] = set()
    for expression in expressions(name):
        named = {one or other for one, other in VARIABLE.findall(expression)}
        assert named <= variables | BUILT_IN, expression
        used |= named
    assert variables - {"datasource"} <= used
    narrowing = {"namespace", "rollout", "training_job", "job"} & variables
    for panel in panels(name):
        for target in panel["targets"]:
            for series, matchers in re.findall(r"(modelfleet_\w+)(\{[^}]*\})?", target["expr"]):
                asked = {
                    label for label in narrowing if label in SERIES[series].labels or label in ("namespace", "job")
                }
                missing = {label for label in asked if f'{label}=~"${label}"' not in matchers}
                assert not missing, f"{panel['title']}: {series} is not narrowed by {missing}"


@boards
def test_shares_are_drawn_as_percent(name: str) -> None:
    """A quotient of the same unit is a share (but for counts per frame)."""
    for panel in panels(name):
        if panel["title"] != "Found per frame" and all(
            " / " in t["expr"].replace('" / "', "") for t in panel["targets"]
        ):
            assert panel["fieldConfig"]["defaults"]["unit"] == "percentunit", panel["title"]
