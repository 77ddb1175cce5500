"""What is posted, byte for byte where receivers depend on it."""

import json
from dataclasses import replace

import pytest

from modelfleet.notifications.formats import FORMATS
from unit.notifications.samples import PROMOTED, ROLLED_BACK

DATA = {
    "id": "0" * 32,
    "topic": "rollout.promoted",
    "reason": "Promoted",
    "severity": "Normal",
    "time": "2026-11-29T10:00:00.250Z",
    "cluster": "plant-3",
    "kind": "Rollout",
    "namespace": "factory",
    "name": "line",
    "uid": "u-1",
    "labels": {"team": "vision"},
    "version": "v2",
    "message": "v2 went through all groups & is <stable> now",
}


def posted(format, it=PROMOTED):
    body = FORMATS[format](it)
    return json.loads(body.content), body.content_type


def test_cloudevents():
    event, content_type = posted("cloudevents")
    assert content_type == "application/cloudevents+json; charset=utf-8"
    assert event == {
        "specversion": "1.0",
        "id": "0" * 32,
        "source": "/modelfleet/plant-3",
        "type": "dev.modelfleet.rollout.promoted",
        "subject": "factory/Rollout/line",
        "time": "2026-11-29T10:00:00.250Z",
        "datacontenttype": "application/json",
        "data": DATA,
    }


def test_without_a_name_of_the_cluster_the_source_is_still_an_address():
    assert posted("cloudevents", replace(PROMOTED, cluster=""))[0]["source"] == "/modelfleet"


def test_json_is_the_data_alone():
    assert posted("json") == (DATA, "application/json")


@pytest.mark.parametrize(
    ("it", "text", "color", "message"),
    [
        (
            PROMOTED,
            "*Promoted*: Rollout factory/line in plant-3",
            "good",
            "v2 went through all groups &amp; is &lt;stable&gt; now",
        ),
        (replace(ROLLED_BACK, cluster=""), "*RolledBack*: Rollout factory/line", "warning", "v2 failed"),
    ],
)
def test_slack(it, text, color, message):
    attachment = {"color": color, "text": message, "fallback": message}
    assert posted("slack", it) == ({"text": text, "attachments": [attachment]}, "application/json")


@pytest.mark.parametrize("format", FORMATS)
def test_any_text_can_be_sent(format):
    body = FORMATS[format](replace(PROMOTED, message="Größe ✓ \ud800 \u2028"))
    assert "Größe ✓" in body.content.decode()
