"""Every query of every dashboard against a real Prometheus that holds a day of a fleet: each must return data."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2e import dashboards
from modelfleet.observability.boards import BOARDS
from modelfleet.observability.rules import RECORDINGS, Recording
from worlds import board_queries, observed
from worlds.board_queries import ALL_OF, Range
from worlds.recording import programs, serve

pytestmark = pytest.mark.cluster

VARIABLES = {**ALL_OF, "__rate_interval": "8m", "__range": "24h", "window": "1h", "before": "1d"}
END = observed.END.timestamp()

OR_ZERO = " or vector(0)"
"""Says 0 where there is no series. Left away here: a query with a wrong label would say 0, too."""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    folder = tmp_path_factory.mktemp("boards")
    observed.record(folder / "recording.txt")
    with serve(programs()["cluster"], folder / "recording.txt", folder) as running:
        yield Range(running.url, END - 86400, END, 600, VARIABLES)


@pytest.mark.parametrize("board", BOARDS)
def test_every_panel_shows_something(day: Range, board: str) -> None:
    wrong = [
        f"{query.panel}: {day.filled(query.expr)}"
        for query in board_queries.of_board(board)
        if not day.finite(query.expr.replace(OR_ZERO, ""))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_demo_names_panels_that_show_nothing(day: Range) -> None:
    assert dashboards.silent(day) == []
    before = replace(day, start=day.start - 30 * 86400, end=day.end - 30 * 86400)
    nodes = 'max by (namespace, rollout, group) (modelfleet_rollout_nodes{namespace=~".*",rollout=~".*"})'
    assert f"fleet: Nodes: sum({nodes})" in dashboards.silent(before)


@pytest.mark.parametrize("part", dashboards.WITHOUT)
def test_what_the_demo_has_no_data_of_is_on_a_board(part: str) -> None:
    assert any(part in query.expr for board in BOARDS for query in board_queries.of_board(board))


@pytest.mark.parametrize("board", BOARDS)
def test_annotations_mark_something(day: Range, board: str) -> None:
    for annotation in BOARDS[board]["annotations"]["list"]:
        assert day.finite(annotation["expr"]), annotation["name"]


@pytest.mark.parametrize("board", BOARDS)
def test_variables_have_values(day: Range, board: str) -> None:
    for variable in BOARDS[board]["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            parameters = {"match[]": day.filled(series), "start": day.start, "end": day.end}
            assert day.ask(f"label/{label}/values", **parameters), variable["name"]


def by(label: str, day: Range, expr: str, hours_before: float) -> dict[str, float]:
    """The query's values so long before the end, by a label."""
    found = day.ask("query", query=day.filled(expr), time=END - hours_before * 3600)["result"]
    return {series["metric"][label]: float(series["value"][1]) for series in found}


def test_the_story_can_be_read_off(day: Range) -> None:
    """Not only some data but the right one: n5 is the node that got less sure, and v2 was worse than its margin."""
    [panel] = [p for p in BOARDS["drift"]["panels"] if p["title"] == "Low confidences, change"]
    change = by("node", day, panel["targets"][0]["expr"], 0)
    assert max(change, key=lambda node: change[node]) == "n5"
    assert change["n5"] > 0.2 > 0.1 > max(value for node, value in change.items() if node != "n5")
    worse = 'modelfleet_gate_interval_upper{endpoint="detections"} < -modelfleet_gate_margin'
    assert list(by("version", day, worse, 7.1)) == ["v2"]


def test_cameras_that_hang_or_lose_packets_can_be_read_off(day: Range) -> None:
    """By the panels, and by the rules that its alerts compare: n4 hung for an hour, and n6 loses one frame in 33."""
    shown = {query.panel: query.expr for query in board_queries.of_board("fleet")}
    drawn = [shown[f"{why} frames by node"] for why in ("Damaged", "Frozen")]
    rules = {rule.name: rule.expr for rule in RECORDINGS}
    recorded = [rules[f"modelfleet_node:frames_{why}:ratio_rate5m"] for why in ("damaged", "frozen")]
    for damaged, frozen in (drawn, recorded):
        hung = by("node", day, frozen, 15.2)
        assert {node: share for node, share in hung.items() if share} == {"n4": 1}
        lost = by("node", day, f"avg_over_time(({day.filled(damaged)})[6h:4m])", 15.2)
        assert {node for node, share in lost.items() if share} == {"n6"}
        assert lost["n6"] == pytest.approx(0.03, abs=0.01)


@pytest.mark.parametrize("rule", RECORDINGS, ids=lambda rule: rule.name)
def test_every_recording_rule_has_something_to_record(day: Range, rule: Recording) -> None:
    assert day.finite(rule.expr)


def test_a_verdict_is_marked_when_it_changes(day: Range) -> None:
    [annotation] = [a for a in BOARDS["fleet"]["annotations"]["list"] if a["name"] == "Verdicts"]
    begin, end = (END - hours * 3600 for hours in (10.1, 7.1))
    given = {"query": day.filled(annotation["expr"]), "start": begin, "end": end, "step": annotation["step"]}
    marks = day.ask("query_range", **given)["result"]
    points = {mark["metric"]["verdict"]: len(mark["values"]) for mark in marks}
    assert points.keys() == {"NoData", "Inconclusive"}
    assert max(points.values()) <= 3, "a verdict that stands is marked again and again"
