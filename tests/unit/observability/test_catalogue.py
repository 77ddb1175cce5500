"""The catalogue of metrics goes both ways: what is exported stands in it, and what stands in it is exported."""

from collections import Counter
from pathlib import Path

import pytest

from agent.metrics import CONFIDENCE_EDGES
from modelfleet.observability import catalogue
from modelfleet.observability.metric import NODE
from unit.observability import registries
from unit.observability.registries import Declared, declared

ROOT = Path(__file__).parents[3]


EXPORTED: dict[str, dict[str, Declared]] = {
    "agent": declared(registries.agent()),
    "upload": declared(registries.upload()),
    "trainer": declared(registries.trainer()),
    "operator": declared(registries.operator()),
}


def test_what_is_exported_is_in_the_catalogue_as_it_is_exported() -> None:
    found = {
        by: {m.name: Declared(m.type, m.labels) for m in catalogue.CATALOGUE if by in (m.by, *m.also)}
        for by in EXPORTED
    }
    assert found == EXPORTED


def test_names_follow_the_rules_of_prometheus() -> None:
    for metric in catalogue.CATALOGUE:
        assert metric.name.startswith("modelfleet_")
        assert metric.name.endswith("_total") == (metric.type == "counter"), metric.name
        if metric.unit == "time":
            assert metric.name.endswith("_timestamp_seconds"), metric.name
        elif metric.unit in ("seconds", "bytes"):
            assert metric.name.endswith(f"_{metric.unit}"), metric.name
        assert not metric.meaning.endswith(".")


def test_each_name_is_there_once() -> None:
    twice = [name for name, count in Counter(m.name for m in catalogue.CATALOGUE).items() if count > 1]
    assert not twice


def test_the_page_has_the_tables_of_the_catalogue() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    assert page == catalogue.page(page), "run `make observability`"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="must have the lines"):
        catalogue.page("# The metrics of a node\n")


def test_the_contract_for_nodes_names_the_same_metrics() -> None:
    """The first table of docs/metrics.md, which is written by hand: what an application must export."""
    contract = (ROOT / "docs/metrics.md").read_text().partition("## Every metric")[0]
    for metric in catalogue.CATALOGUE:
        if metric.by == "agent":
            assert f"| `{metric.name}` | {metric.type} |" in contract
            assert set(NODE) <= set(metric.labels)


def test_the_edges_that_queries_name_are_the_agents() -> None:
    assert {0.25, 0.5} <= set(CONFIDENCE_EDGES)
