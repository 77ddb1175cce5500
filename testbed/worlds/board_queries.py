"""The queries of the dashboards, run against a Prometheus as Grafana runs them: variables filled in, over a range."""

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from modelfleet.observability.boards import BOARDS

ALL_OF = {"namespace": ".*", "rollout": ".*", "training_job": ".*", "job": ".*"}
"""The boards' variables when everything is chosen."""


@dataclass(frozen=True)
class PanelQuery:
    """One query of a panel."""

    board: str
    panel: str
    expr: str


def of_board(name: str) -> Iterator[PanelQuery]:
    """Every query of its panels, in their order."""
    for panel in BOARDS[name]["panels"]:
        for target in panel.get("targets", ()):
            yield PanelQuery(name, panel["title"], target["expr"])


@dataclass(frozen=True)
class Range:
    """A Prometheus and a time, as somebody looks at it. Times in seconds since 1970."""

    url: str
    start: float
    end: float
    step: float
    variables: Mapping[str, str]
    """What stands for each $variable, Grafana's own included: __rate_interval, __range."""

    def filled(self, expr: str) -> str:
        """Raises KeyError for a variable that has no value."""
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: self.variables[match[1] or match[2]], expr)

    def finite(self, expr: str) -> int:
        """How many values the query has that are numbers.

        Raises urllib.error.URLError where Prometheus is down, or refuses the query.
        """
        given = {"query": self.filled(expr), "start": self.start, "end": self.end, "step": self.step}
        found = self.ask("query_range", **given)["result"]
        return sum(isfinite(float(value)) for series in found for _, value in series["values"])

    def ask(self, path: str, **parameters: object) -> Any:
        """The data of an answer of Prometheus' API."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as response:
            return json.load(response)["data"]
