"""Dashboards as JSON: variables, annotations, and panels laid out from left to right.

Grafana's classic schema, version 38 (Grafana 10.0): every later version migrates it when it is imported. Nothing in it
is tied to one installation: the data source is a variable, ids are counted, uids are the names.
"""

from collections.abc import Mapping, Sequence

from modelfleet.observability.catalogue import SERIES
from modelfleet.observability.panels import DATASOURCE, Json, Panel

SCHEMA_VERSION = 38
COLUMNS = 24

FLEET = {
    "namespace": "label_values(modelfleet_model_info, namespace)",
    "rollout": 'label_values(modelfleet_model_info{namespace=~"$namespace"}, rollout)',
}
OBJECTS = {
    "namespace": "label_values(modelfleet_rollout_condition, namespace)",
    "rollout": 'label_values(modelfleet_rollout_condition{namespace=~"$namespace"}, rollout)',
}
TRAININGS = {
    "namespace": "label_values(modelfleet_trainingjob_condition, namespace)",
    "training_job": 'label_values(modelfleet_trainingjob_condition{namespace=~"$namespace"}, training_job)',
}
OPERATOR = {"job": "label_values(modelfleet_operator_build_info, job)"}


def once(series: str, of: str) -> str:
    """A series in which the operator tells of an object, whoever exports it: where several operators run, each of them
    does, also those that stand by."""
    return f"max by ({', '.join(SERIES[series].labels)}) ({series}{{{of}}})"


MOST_NODES = 50
"""Lines of nodes in one panel: nobody can tell more apart, and some thousands are too many for a browser."""

RATE = "[$__rate_interval]"


def of_nodes(expr: str, *, by: str = "{}", least: bool = False, window: str = RATE, range: str = "[$__range]") -> str:
    """An expression with a series for each node, for the nodes alone that have the most of it (or `least`).

    Which these are is found once, over all of the time that is shown, by the same expression with `range` in place of
    `window`: a rank at each moment would draw other nodes at each. `by` is what is ranked of it.
    """
    if window not in expr:
        raise ValueError(f"{window} is not in {expr}, which says nothing of the time that is shown")
    whole = expr.replace(window, f"{range} @ end()")
    return f"{expr} and {'bottomk' if least else 'topk'}({MOST_NODES}, {by.format(whole)})"


def at_most(which: str) -> str:
    """A sentence for the description of a panel with `of_nodes`: `which` of the nodes it draws."""
    return f"At most {MOST_NODES} nodes: those {which} in the time shown."


_OF = 'namespace=~"$namespace",rollout=~"$rollout"'
_ENDED = f"{once('modelfleet_rollout_end_timestamp_seconds', _OF)} * 1000"
_QUARANTINED = f"{once('modelfleet_rollout_quarantined_timestamp_seconds', _OF)} * 1000"
_VERDICT = f"modelfleet_gate_verdict{{{_OF}}}"


def board(
    name: str,
    title: str,
    description: str,
    variables: Mapping[str, str],
    panels: Sequence[Panel],
    *,
    choices: Mapping[str, Sequence[str]] | None = None,
    annotated: bool = False,
    hours: int = 24,
) -> Json:
    """A dashboard.

    variables  name to the query of its values; each may be several values or all
    choices    name to values to choose one from, the first by default
    annotated  whether verdicts of gates and ends of rollouts are marked on its panels
    """
    queried = [_variable(each, query) for each, query in variables.items()]
    chosen = [_choice(each, values) for each, values in (choices or {}).items()]
    return {
        "id": None,
        "uid": f"modelfleet-{name}",
        "title": f"modelfleet / {title}",
        "description": description,
        "tags": ["modelfleet"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "",
        "timezone": "browser",
        "time": {"from": f"now-{hours}h", "to": "now"},
        "timepicker": {},
        "refresh": "30s",
        "links": [_link()],
        "templating": {"list": [_datasource(), *queried, *chosen]},
        "annotations": {"list": _annotations() if annotated else []},
        "panels": _laid_out(panels),
    }


def _laid_out(panels: Sequence[Panel]) -> list[Json]:
    """Each panel beside the last one, or below all of its line where there is no room."""
    placed: list[Json] = []
    x = y = tallest = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        placed.append({"id": number, "gridPos": place, **panel.body})
        x, tallest = x + panel.width, max(tallest, panel.height)
    return placed


def _datasource() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "regex": "",
        "current": {},
        "options": [],
        "hide": 0,
        "refresh": 1,
        "includeAll": False,
        "multi": False,
        "skipUrlSync": False,
    }


def _variable(name: str, query: str) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": name.replace("_", " "),
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "StandardVariableQuery"},
        "regex": "",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "hide": 0,
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "skipUrlSync": False,
    }


def _choice(name: str, values: Sequence[str]) -> Json:
    options = [{"selected": index == 0, "text": value, "value": value} for index, value in enumerate(values)]
    return {
        "type": "custom",
        "name": name,
        "label": name,
        "query": ",".join(values),
        "current": options[0],
        "options": options,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "skipUrlSync": False,
    }


def _link() -> Json:
    return {
        "type": "dashboards",
        "title": "modelfleet",
        "tags": ["modelfleet"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _annotations() -> list[Json]:
    became = f"({_VERDICT} == 1) unless ({_VERDICT} offset 1m == 1)"
    return [
        _annotation(
            "Rollouts ended", _ENDED, "{{namespace}}/{{rollout}}: {{version}} {{result}}", "blue", at_value=True
        ),
        _annotation(
            "Rolled back",
            _QUARANTINED,
            "{{namespace}}/{{rollout}}: {{version}} rolled back, {{cause}}",
            "red",
            at_value=True,
        ),
        _annotation("Verdicts", became, "{{namespace}}/{{rollout}} {{group}}: {{verdict}} of {{version}}", "orange"),
    ]


def _annotation(name: str, expr: str, title: str, color: str, *, at_value: bool = False) -> Json:
    """`at_value`: the value is the time in milliseconds, whenever it was scraped."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "60s",
        "titleFormat": title,
        "textFormat": "",
        "tagKeys": "rollout,version",
        "useValueForTime": "on" if at_value else False,
    }
