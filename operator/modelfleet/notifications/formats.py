"""The forms in which a notification is posted. Pure.

`cloudevents` is CloudEvents 1.0 in structured mode: source and id tell one event from every other, `type` says what
happened, `subject` to which object.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelfleet.notifications.notification import Notification
from modelfleet.times import wire_time

_TYPE = "dev.modelfleet"
_COLORS = {"Warning": "warning", "Normal": "good"}  # words of Slack's attachments, which the others know too


@dataclass(frozen=True)
class Body:
    """What is posted, and what its Content-Type says."""

    content: bytes
    content_type: str


def _cloudevents(it: Notification) -> Body:
    event = {
        "specversion": "1.0",
        "id": it.id,
        "source": "/".join(filter(None, ("/modelfleet", it.cluster))),
        "type": f"{_TYPE}.{it.topic}",
        "subject": f"{it.namespace}/{it.kind}/{it.name}",
        "time": wire_time(it.time, "milliseconds"),
        "datacontenttype": "application/json",
        "data": it.to_dict(),
    }
    return _encoded(event, "application/cloudevents+json; charset=utf-8")


def _json(it: Notification) -> Body:
    return _encoded(it.to_dict(), "application/json")


def _slack(it: Notification) -> Body:
    cluster = f" in {it.cluster}" if it.cluster else ""
    head = f"*{it.reason}*: {it.kind} {it.namespace}/{it.name}{cluster}"
    text = _escaped(it.message)
    attachment = {"color": _COLORS[it.severity], "text": text, "fallback": text}
    return _encoded({"text": _escaped(head), "attachments": [attachment]}, "application/json")


FORMATS: Mapping[str, Callable[[Notification], Body]] = {
    "cloudevents": _cloudevents,
    "json": _json,
    "slack": _slack,
}


def _encoded(value: Any, content_type: str) -> Body:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Body(text.encode("utf-8", "replace"), content_type)


def _escaped(text: str) -> str:
    """Slack's three characters of control, so that no message can make a link or call a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
