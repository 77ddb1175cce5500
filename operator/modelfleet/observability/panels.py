"""Panels of dashboards as JSON: what Grafana 10 to 13 have in common (schemaVersion 38; later versions read it on).

A panel is made without a place; `modelfleet.observability.board` gives it one. Units are Grafana's names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
PALETTE = (
    "blue",
    "orange",
    "purple",
    "green",
    "yellow",
    "red",
    "super-light-blue",
    "dark-orange",
    "dark-green",
    "semi-dark-purple",
)
_LETTERS = ("a-c", "d-f", "g-i", "j-l", "m-o", "p-r", "s-t", "u-v", "w-x", "y-z")


@dataclass(frozen=True)
class Query:
    """PromQL with `$` variables. `legend`: with `{{label}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel: `width` of 24 columns, `height` in rows of 30 pixels, and everything but its place."""

    width: int
    height: int
    body: Json


def stat(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "short",
    steps: Sequence[tuple[float | None, str]] = ((None, "blue"),),
    decimals: int | None = None,
    width: int = 4,
    text: bool = False,
) -> Panel:
    """One figure. `text`: the legend is shown instead of the value."""
    defaults: Json = {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": _thresholds(steps)}
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "auto",
        "textMode": "name" if text else "value",
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
    }
    return Panel(width, 4, _body("stat", title, description, [_target("A", query)], defaults, options))


def timeseries(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str = "short",
    width: int = 12,
    height: int = 8,
    min: float | None = None,
    max: float | None = None,
    soft_max: float | None = None,
    stacked: str = "none",
    overrides: Sequence[Json] = (),
    table: bool = False,
) -> Panel:
    """Lines over time. `stacked`: none, normal or percent; `table`: the legend has the newest values; `soft_max`: the
    axis goes up to it at least, for what is mostly 0."""
    custom: Json = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 0 if stacked == "none" else 60,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": stacked, "group": "A"},
        "axisPlacement": "auto",
        "thresholdsStyle": {"mode": "off"},
    }
    defaults: Json = {"unit": unit, "color": {"mode": "palette-classic"}, "custom": custom}
    if min is not None:
        defaults["min"] = min
    if max is not None:
        defaults["max"] = max
    if soft_max is not None:
        custom["axisSoftMax"] = soft_max
    options = {
        "legend": {
            "displayMode": "table" if table else "list",
            "placement": "right" if table else "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull"] if table else [],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    targets = [_target(_letter(index), query) for index, query in enumerate(queries)]
    return Panel(width, height, _body("timeseries", title, description, targets, defaults, options, overrides))


def heatmap(title: str, description: str, query: Query, *, unit: str, width: int = 12, height: int = 9) -> Panel:
    """Buckets of a classic histogram over time: `query` is the increase of each bucket, by `le`."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "short"},
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "steps": 64,
            "reverse": False,
            "exponent": 0.5,
            "fill": "orange",
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "show": True, "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    target = {**_target("A", query), "format": "heatmap"}
    custom = {
        "custom": {
            "hideFrom": {"legend": False, "tooltip": False, "viz": False},
            "scaleDistribution": {"type": "linear"},
        }
    }
    return Panel(width, height, _body("heatmap", title, description, [target], {"unit": unit, **custom}, options))


def states(
    title: str,
    description: str,
    expr: str,
    *,
    row: tuple[str, ...],
    value: str,
    colors: Mapping[str, str] | None = None,
    width: int = 24,
    height: int = 8,
) -> Panel:
    """A state timeline: one row for each set of the labels `row`, and on it the text of the label `value` of the series
    that there is at that time. `colors` by text; without, texts are told apart by their last character."""
    labels = ", ".join(f'"{label}"' for label in row)
    joined = f'label_join({expr}, "row", " / ", {labels})'
    target = {**_target("A", Query(joined)), "format": "table"}
    mappings = _by_last_character() if colors is None else _by_text(colors)
    defaults = {
        "unit": "string",
        "color": {"mode": "thresholds"},
        "thresholds": _thresholds([(None, "text")]),
        "custom": {"fillOpacity": 80, "lineWidth": 0},
        "mappings": mappings,
    }
    options = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.85,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    matrix = {"columnField": "row", "rowField": "Time", "valueField": value, "emptyValue": "null"}
    as_time = {"conversions": [{"targetField": "Time\\row", "destinationType": "time"}], "fields": {}}
    transformations = [
        {"id": "groupingToMatrix", "options": matrix},
        {"id": "convertFieldType", "options": as_time},
    ]
    body = _body("state-timeline", title, description, [target], defaults, options)
    return Panel(width, height, {**body, "transformations": transformations})


def table(
    title: str,
    description: str,
    query: Query,
    columns: Mapping[str, str],
    *,
    unit: str = "short",
    width: int = 12,
    height: int = 8,
) -> Panel:
    """The series there are now, a row each. `columns`: label (or `Value`) to the column's title, in order."""
    target = {**_target("A", query), "format": "table", "instant": True, "range": False}
    names = list(columns)
    organize = {
        "excludeByName": {},
        "includeByName": dict.fromkeys(names, True),
        "indexByName": {name: index for index, name in enumerate(names)},
        "renameByName": dict(columns),
    }
    filtered = {"include": {"names": names}}
    transformations = [
        {"id": "filterFieldsByName", "options": filtered},
        {"id": "organize", "options": organize},
    ]
    defaults = {"unit": unit, "custom": {"align": "auto", "cellOptions": {"type": "auto"}}}
    options = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}}
    overrides = [_wide(columns["Value"])] if unit == "dateTimeAsIso" else []
    body = _body("table", title, description, [target], defaults, options, overrides)
    return Panel(width, height, {**body, "transformations": transformations})


def _wide(column: str) -> Json:
    """An override for a column with a date and a time, which columns of equal width would cut off."""
    matcher = {"id": "byName", "options": column}
    return {"matcher": matcher, "properties": [{"id": "custom.width", "value": 190}]}


def row(title: str) -> Panel:
    """A heading over the panels that follow."""
    return Panel(24, 1, {"type": "row", "title": title, "collapsed": False, "panels": []})


def look(name: str, *, color: str | None = None, dash: Sequence[int] | None = None, width: int | None = None) -> Json:
    """An override of how the series look whose name matches the regular expression."""
    properties: list[Json] = []
    if color is not None:
        properties.append({"id": "color", "value": {"mode": "fixed", "fixedColor": color}})
    if dash is not None:
        properties.append({"id": "custom.lineStyle", "value": {"fill": "dash", "dash": list(dash)}})
    if width is not None:
        properties.append({"id": "custom.lineWidth", "value": width})
    return {"matcher": {"id": "byRegexp", "options": f"/{name}/"}, "properties": properties}


def _body(
    type: str,
    title: str,
    description: str,
    targets: list[Json],
    defaults: Json,
    options: Json,
    overrides: Sequence[Json] = (),
) -> Json:
    return {
        "type": type,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"mappings": [], **defaults}, "overrides": list(overrides)},
        "options": options,
    }


def _target(ref: str, query: Query) -> Json:
    return {
        "refId": ref,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "format": "time_series",
        "instant": False,
        "range": True,
    }


def _thresholds(steps: Sequence[tuple[float | None, str]]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}


def _by_text(colors: Mapping[str, str]) -> list[Json]:
    options = {text: {"color": color, "index": index} for index, (text, color) in enumerate(colors.items())}
    return [{"type": "value", "options": options}]


def _by_last_character() -> list[Json]:
    """A color for each last digit, so that v2 differs from v1 and v3; there is no mapping for texts not yet known."""
    return [
        {"type": "regex", "options": {"pattern": f"/[{digit}{letters}]$/", "result": {"color": color, "index": digit}}}
        for digit, (letters, color) in enumerate(zip(_LETTERS, PALETTE, strict=True))
    ]


def _letter(index: int) -> str:
    return chr(ord("A") + index)
