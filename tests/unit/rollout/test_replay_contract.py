"""Operator and agent understand each other about replays: the real code of either reads what the other's writes."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from agent import termination as agent_termination
from agent.replay import report, settings
from agent.replay.compare import Comparison, OfClass, Quality, Reviewed, Share
from agent.replay.run import Outcome
from detectiondata import captures, replays
from modelfleet.api import Dataset
from modelfleet.api.replay import ReplayFound
from modelfleet.rollout.replay import outcome
from modelfleet.rollout.replay.job import replay_job
from modelfleet.rollout.replay.termination import parse
from modelfleet.rollout.signatures import Signing
from modelfleet.workloads.last_words import Failed
from unit.datasets.builders import dataset, latest
from unit.rollout import builders
from unit.rollout.positions import NOW
from unit.rollout.replays import condition, raw_pod
from unit.rollout.test_contract import ODD, PUBLIC, command, environment
from unit.rollout.test_replay import MINUTE, made, standing


def container(**more: Any) -> Any:
    """The container of the Job that the operator makes."""
    return made(outcome.look(standing(**more), NOW))["spec"]["template"]["spec"]["containers"][0]


def test_the_agent_reads_what_it_is_to_compare():
    job = container(spec={"frames": 10_000})
    assert command(job) == "replay"
    found = settings.parse(environment(job))
    assert (found.rollout, found.namespace, found.captures) == ("line", "factory", "s3://captures/line")
    assert (found.frames, found.confidence, found.iou, found.reviewed) == (10_000, 0.25, 0.7, None)
    assert (found.stable.version, found.stable.uri) == ("v1", "s3://models/parts/v1/best.onnx")
    assert (found.candidate.version, found.candidate.sha256) == ("v2", (b"v2".hex() * 64)[:64])
    assert (found.candidate.size, found.candidate.classes, found.candidate.image_size) == (7, ("bolt", "nut"), 640)
    temporary = {each["mountPath"] for each in job["volumeMounts"]} & {environment(job)["TMPDIR"]}
    assert temporary == {"/tmp"}, "the only folder that it can write to"


def test_the_agent_reads_by_whom_each_model_must_be_signed():
    plain = container()
    assert settings.parse(environment(plain)).candidate.signature is None
    found = settings.parse(environment(container(signing=Signing(PUBLIC, required=True))))
    assert found.stable.signature is None, "it was rolled out before that was demanded"
    assert found.candidate.signature is not None
    assert (found.candidate.signature.uri, found.candidate.signature.keys) == (
        "s3://models/parts/v2/model.sig",
        PUBLIC,
    )


def test_labels_and_odd_characters_are_read():
    of_model = Dataset.model_validate(dataset() | {"status": {"latest": latest(12)}})
    delivery = {"capture": {"destination": f"s3://captures/{ODD.replace(' ', '')}/"}}
    found = settings.parse(environment(container(datasets=(of_model,), delivery=delivery)))
    assert found.reviewed is not None
    assert (found.reviewed.uri, found.reviewed.sha256) == (latest(12)["uri"], latest(12)["sha256"])
    assert found.captures == delivery["capture"]["destination"].rstrip("/")


@pytest.mark.parametrize(
    ("given", "confidence", "iou"),
    [
        ({"CONFIDENCE": "0.4", "IOU": "0.5"}, 0.4, 0.5),
        ({"CONFIDENCE": "high", "IOU": "7"}, 0.25, 0.7),
        ({"CONFIDENCE": "nan"}, 0.25, 0.7),
        ({}, 0.25, 0.7),
    ],
)
def test_thresholds_are_those_of_the_nodes(given: dict[str, str], confidence: float, iou: float):
    env = [{"name": name, "value": value} for name, value in given.items()]
    env.append({"name": "FRAMES", "valueFrom": {"secretKeyRef": {"name": "camera", "key": "url"}}})
    template = {"spec": {"containers": [{"name": "agent", "env": env}]}}
    found = settings.parse(environment(container(template=template)))
    assert (found.confidence, found.iou) == (confidence, iou)


COMPARISON = Comparison(
    frames=200,
    node_days=34,
    agreement=Share(0.91234, 0.88, 0.93),
    per_class=(OfClass("nut", 210, 4, 31), OfClass("bolt", 100, 0, 0)),
    reviewed=Reviewed(60, Quality(0.9, 0.82), Quality(None, 1.0), 17, 5, Share(0.77, 0.55, 0.9)),
    disagreements=tuple(f"line/n1/{number}.jpg" for number in range(29)),
)
OLDEST = datetime(2026, 11, 19, 6, 12, 1, tzinfo=UTC)


def heard(comparison: Comparison, *notes: str) -> ReplayFound:
    """What the operator makes of the agent's last word, as the kubelet hands it on."""
    text = report.render(report.document(Outcome(comparison, OLDEST, notes))).decode()
    found = parse(text)
    assert isinstance(found, ReplayFound), found
    return found


def test_the_operator_reads_all_that_a_replay_has_found():
    assert heard(COMPARISON, "left out: images that are gone: 1").to_dict() == {
        "frames": 200,
        "nodeDays": 34,
        "oldest": "2026-11-19T06:12:01Z",
        "agreement": {"value": "0.9123", "low": "0.88", "high": "0.93"},
        "perClass": [
            {"name": "nut", "both": 210, "onlyStable": 4, "onlyCandidate": 31},
            {"name": "bolt", "both": 100, "onlyStable": 0, "onlyCandidate": 0},
        ],
        "reviewed": {
            "frames": 60,
            "stable": {"precision": "0.9", "recall": "0.82"},
            "candidate": {"recall": "1"},
            "inFavour": 17,
            "against": 5,
            "favour": {"value": "0.77", "low": "0.55", "high": "0.9"},
        },
        "disagreements": 29,
        "notes": ["left out: images that are gone: 1"],
    }


def test_a_replay_that_knows_little_is_read():
    found = heard(Comparison(1, 1, None, (), None, ()))
    assert (found.agreement, found.reviewed, found.per_class, found.notes) == (None, None, (), ())
    alone = heard(Comparison(1, 1, Share(1.0), (), Reviewed(1, Quality(None, None), Quality(0.5, 0.5), 0, 0, None), ()))
    assert alone.agreement is not None
    assert (alone.agreement.value, alone.agreement.low) == (Decimal(1), None)


def test_what_does_not_fit_is_cut_and_the_rest_is_read():
    names_ = ["\U0001f529" * 127 + chr(ord("a") + number) for number in range(10)]
    many = Comparison(**{**vars(COMPARISON), "per_class": tuple(OfClass(name, 1, 2, 3) for name in names_)})
    found = heard(many, *["x" * 400] * 5)
    assert found.reviewed is not None
    assert len(found.notes) < 5


@pytest.mark.parametrize(
    ("reason", "message"), [("NoCaptures", "none of 3"), ("AccessDenied", 's3://captures/ said "no"')]
)
def test_why_a_replay_failed(reason: str, message: str):
    assert parse(agent_termination.render(reason, message).decode()) == Failed(reason, message)


def test_the_list_for_the_labeler_is_below_the_captures_of_the_rollout():
    """What the agent writes, below what the operator names, is where the labeler looks."""
    found = settings.parse(environment(container()))
    name = replays.name(found.rollout, found.stable.version, found.candidate.version)
    assert f"{found.captures}/{name}" == "s3://captures/line/replay/line/v1-v2.json"
    assert captures.parse_key(name) is None, "it is no capture"


def test_the_job_as_the_api_server_has_it_is_known_again():
    job = made(outcome.look(standing(), NOW))
    text = report.render(report.document(Outcome(COMPARISON, OLDEST, ()))).decode()
    raw = {**job, "status": {"conditions": [condition("Complete", NOW + MINUTE)]}}
    raw["metadata"] = {**raw["metadata"], "uid": "uid-job", "creationTimestamp": builders.wire(NOW)}
    read = replay_job(json.loads(json.dumps(raw)), [raw_pod(0, text)])
    assert (read.stable, read.candidate) == ("v1", "v2")
    assert isinstance(read.result(NOW + MINUTE), ReplayFound)
