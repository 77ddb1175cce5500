"""Whatever comes from outside the operator, its readers say so in their own words and hand on what a status can have.

The examples are derived from the tests' code, so that a failure is the same everywhere; hypothesis prints the smallest.
"""

import base64
import json
import re
import zlib

import pytest
from fuzzing import examples, scalars
from hypothesis import example, given
from hypothesis import strategies as some

from modelfleet import drift
from modelfleet.api import commands
from modelfleet.api.modelversion import ModelVersion
from modelfleet.datasets import termination as of_labeler
from modelfleet.drift import anchor
from modelfleet.prometheus import NoData, ProviderDown, Samples, answers
from modelfleet.rollout import capture_settings, revisions
from modelfleet.rollout.pods import pod_state
from modelfleet.rollout.replay import termination as of_replay
from modelfleet.training import data, jobs, last_end, log_events, trainer_run
from modelfleet.training import termination as of_trainer
from modelfleet.versions import verification_record, verify_job
from modelfleet.workloads.last_words import Failed
from unit.rollout import builders

DEEP = "[" * 2000
REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")  # of a condition, as the API server has it


KEYS = """\
reason message result files metrics detailSha256 name format sha256 sizeBytes event epoch epochs percent detail
bestEpoch resumedFromEpoch loadedShare classChanges checkpoint tracker url warnings waiting inReview
remainingSeconds reviewed latest versions perClass notes pending editedShare review frames nodeDays oldest
agreement disagreements value low high uid at attempts job pod created finished exitCode disrupted others failures
preempted stopped pods version holdout parent evaluation baseline output uri weights nodes begins basis status data
resultType metric values isPartial error number images classes"""
WORDS = [
    "Succeeded",
    "Failed",
    "Replayed",
    "Verified",
    "DigestMismatch",
    "success",
    "vector",
    "matrix",
    "scalar",
    "epoch",
]
plain = scalars(
    "", "a b", "\ud800", "x" * 5000, 10**30, -1, "2026-11-29T12:00:00Z", "0" * 64, [], {}, *WORDS, longest=12
)
documents = some.recursive(
    plain,
    lambda inner: some.one_of(
        some.lists(inner, max_size=4), some.dictionaries(some.sampled_from(KEYS.split()), inner, max_size=8)
    ),
    max_leaves=25,
)
objects = some.dictionaries(some.sampled_from(KEYS.split()), documents, max_size=12)


def typed(**members):
    """Objects that have these members, most of the time as they should be, and any others."""
    given_ = {name: some.one_of(values, documents) for name, values in members.items()}
    return some.builds(lambda own, others: {**others, **own}, some.fixed_dictionaries({}, optional=given_), objects)


texts = some.one_of(
    objects.map(json.dumps),
    documents.map(json.dumps),
    some.text(some.characters(), max_size=60),
    some.just(DEEP),
    objects.map(lambda document: json.dumps(document)[:-3]),
)
last_words = some.one_of(
    typed(
        result=some.sampled_from(WORDS),
        reason=some.text(max_size=90),
        message=some.text(max_size=2000),
        files=documents,
    ).map(json.dumps),
    texts,
)


def fits(text, most=32768):
    """Whether a status can have it: UTF-8, and not without end."""
    assert len(text.encode()) <= 4 * most
    assert len(text) <= most


# --- last words and logs ----------------------------------------------------------------------------------------------


@examples(100)
@given(last_words)
@example(DEEP)
@example('{"reason": "a b\\ud800", "message": "\\ud800"}')
def test_the_last_words_of_a_rollouts_containers(said):
    ended = {"exitCode": 1, "reason": "Error", "message": said}
    status = {"name": "agent", "restartCount": 0, "ready": False, "state": {"terminated": ended}}
    metadata = {"name": "p", "creationTimestamp": "2026-11-29T12:00:00Z"}
    problem = pod_state({"metadata": metadata, "status": {"containerStatuses": [status]}}).problem
    assert REASON.fullmatch(problem.reason)
    fits(problem.message)


@examples(100)
@given(last_words)
@example(DEEP)
def test_the_last_word_of_a_verification(said):
    metadata = {"name": "p", "uid": "u", "creationTimestamp": "2026-11-29T12:00:00Z"}
    ended = {"exitCode": 1, "message": said}
    status = {"name": "verify", "state": {"terminated": ended}}
    found = verify_job.read({"metadata": metadata}, [{"metadata": metadata, "status": {"containerStatuses": [status]}}])
    fits(found.said.message)
    fits(found.said.reason)


@examples(100)
@given(last_words)
@example(DEEP)
@pytest.mark.parametrize("parse", [of_trainer.parse, of_labeler.parse, of_replay.parse])
def test_the_last_words_of_jobs(parse, said):
    found = parse(said)
    if isinstance(found, Failed):
        assert REASON.fullmatch(found.reason)
        fits(found.message)
    elif isinstance(found, str | of_trainer.Garbled):
        fits(found if isinstance(found, str) else found.message)


EVENTS = some.sampled_from(
    ["epoch", "resumed", "weights", "warning", "dataset", "holdout", "tracking", "evaluating", "detail"]
)


@examples(80)
@given(some.lists(some.one_of(typed(event=EVENTS).map(json.dumps), texts), max_size=6))
@example([DEEP])
def test_the_trainers_log(lines):
    found = log_events.read(lines)
    assert found.progress is None or 0 <= found.progress.percent <= 100
    of_trainer.find_detail([*lines, '{"event": "detail", "detail": ' + DEEP], "0" * 64)


# --- annotations and ConfigMaps ---------------------------------------------------------------------------------------


@examples()
@given(texts)
@example(DEEP)
def test_annotations(text):
    version = builders.model_version("v1")
    version["metadata"]["annotations"] = {"modelfleet.dev/verification": text}
    version["metadata"]["uid"] = "u"
    verification_record.read(ModelVersion.model_validate(version))
    last_end.read(text)
    data.read(text)
    jobs._interruptions(text)
    capture_settings._read({"data": {"capture.json": text}})
    env = [{"name": trainer_run.ENV, "value": text}]
    trainer_run.read({"spec": {"template": {"spec": {"containers": [{"name": "trainer", "env": env}]}}}})
    for verb in commands.Verb:
        assert isinstance(commands.noted({commands.NOTED: text}, verb), set)
        command = commands.Command.parse(verb, text)
        assert command is None or command.version


@examples(80)
@given(
    texts, some.sampled_from([revisions.PASSED, commands.NOTED, revisions.QUARANTINED_SCOPE, revisions.DRIFT_BASELINE])
)
@example(DEEP, commands.NOTED)
@example("[]", commands.NOTED)
@example('{"approve=v1": 1}', commands.NOTED)
def test_what_a_controller_revision_remembers(text, name):
    """What somebody edited is as if it were not there: the revision itself stays."""
    metadata = {
        "name": "line-0123456789",
        "uid": "u",
        "labels": {"modelfleet.dev/revision": "0123456789"},
        "creationTimestamp": "2026-11-29T12:00:00Z",
        "annotations": {name: text},
    }
    found = revisions.read({"metadata": metadata, "revision": 1, "data": {"version": "v1"}})
    assert all(isinstance(key, str) and isinstance(where, str) for key, where in found.commands.items())


HEADS = typed(version=some.just(anchor._VERSION), nodes=some.lists(some.text(max_size=4), max_size=3))


@examples(80)
@given(some.one_of(HEADS.map(json.dumps), texts), some.binary(max_size=80))
@example(DEEP, b"")
def test_a_baseline_of_drift(head, body):
    try:
        found = drift.unpack(packed(head.encode(errors="replace"), body))
    except drift.Unreadable:
        return
    assert found.spread.shape == (4,)
    assert all(isinstance(name, str) for name in found.means)


def packed(head, body):
    return base64.b64encode(zlib.compress(len(head).to_bytes(4, "little") + head + body)).decode()


def test_a_baseline_that_unpacks_to_more_than_memory_has_is_not_unpacked():
    with pytest.raises(drift.Unreadable, match="bytes"):
        drift.unpack(packed(b"", b"\0" * (64 << 20)))


# --- Prometheus -------------------------------------------------------------------------------------------------------

answered = typed(
    status=some.sampled_from(["success", "error"]),
    data=typed(
        resultType=some.sampled_from(["vector", "matrix", "scalar"]),
        result=some.one_of(
            some.lists(typed(metric=objects, value=some.tuples(some.floats(), some.sampled_from(["1", "NaN", "x"])))),
            some.tuples(some.floats(), some.just("1")),
        ),
    ),
    error=some.text(max_size=500),
)


@examples(100)
@given(
    some.one_of(answered.map(lambda each: json.dumps(each).encode()), texts.map(lambda t: t.encode(errors="replace"))),
    some.sampled_from([200, 200, 200, 302, 400, 401, 404, 422, 429, 500]),
)
@example(DEEP.encode(), 200)
@example(b"\xff\xfe", 200)
def test_answers_of_prometheus(body, status):
    found = answers.read(status, body)
    match found:
        case Samples(series):
            assert status == 200
            assert series
            for labels, samples in series:
                assert all(isinstance(name, str) and isinstance(value, str) for name, value in labels.items())
                assert all(isinstance(number, float) for sample in samples for number in sample)
        case ProviderDown(message):
            fits(message, 1024)
            assert "\n" not in message
        case _:
            assert found == NoData()
