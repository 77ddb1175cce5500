"""What a reference means: a version by its name, by a tag, or as what a Rollout has as stable."""

import pytest

from modelfleet.api import VersionRef
from modelfleet.versions.resolve import Missing, passed_over, resolve, tags_of
from unit.training.builders import after, model_version, parsed_rollout, versions

REJECTED = {"result": "Failed", "message": "recall fell"}

V1 = model_version("v1", created=after(1))
V2 = model_version("v2", created=after(2), tags=("candidate",))
V3 = model_version("v3", created=after(3), tags=("candidate",))


def found(raw, **reference):
    result = resolve(VersionRef(**reference), "parts", versions(*raw), None)
    return result if isinstance(result, Missing) else result.spec.version


@pytest.mark.parametrize(
    ("raw", "reference", "meant"),
    [
        ([V1, V2, V3], {"version": "v2"}, "v2"),
        ([V1, V2, V3], {"tag": "candidate"}, "v3"),
        ([V1, V2], {"tag": "latest"}, "v2"),
        ([V1, V2, V3, model_version("v9", model="other", created=after(9))], {"tag": "latest"}, "v3"),
        ([V1, V2, model_version("v3", created=after(3), ready=False)], {"tag": "latest"}, "v2"),
        ([V1, V2, model_version("v3", created=after(3), ready=None)], {"tag": "latest"}, "v2"),
        ([V1, V2, model_version("v3", created=after(3), deleting=True)], {"tag": "latest"}, "v2"),
        ([V1, V2, model_version("v3", created=after(3), evaluation=REJECTED)], {"tag": "latest"}, "v2"),
        # made again in another order: when the model was made counts, and not when its object was
        (
            [
                model_version("v2", created=after(1), createdAt="2026-11-02T00:00:00Z"),
                model_version("v1", created=after(9), createdAt="2026-11-01T00:00:00Z"),
            ],
            {"tag": "latest"},
            "v2",
        ),
        # of the same second: by name, its numbers as numbers
        ([model_version("v9"), model_version("v10")], {"tag": "latest"}, "v10"),
        ([model_version("2026-11-20"), model_version("v1")], {"tag": "latest"}, "v1"),
    ],
)
def test_what_a_reference_means(raw, reference, meant):
    assert found(raw, **reference) == meant


@pytest.mark.parametrize(
    ("raw", "reference", "reason", "names"),
    [
        ([], {"version": "v2"}, "NotFound", "parts-v2"),
        ([model_version("v2", model="other")], {"version": "v2"}, "NotFound", "parts-v2"),
        ([model_version("v2", ready=False)], {"version": "v2"}, "NotReady", "parts-v2"),
        ([model_version("v2", deleting=True)], {"version": "v2"}, "BeingDeleted", "parts-v2"),
        ([model_version("v2", evaluation=REJECTED)], {"version": "v2"}, "Rejected", "recall fell"),
        ([], {"tag": "latest"}, "NotFound", "model parts has no versions yet"),
        ([V1], {"tag": "candidate"}, "NotFound", "tag candidate"),
        (
            [model_version("v2", tags=("candidate",), ready=False)],
            {"tag": "candidate"},
            "NotReady",
            "tag candidate is Ready: ModelVersion parts-v2 is not Ready: as told",
        ),
        ([V1], {"rollout": "line"}, "NotFound", "Rollout line does not exist"),
    ],
)
def test_what_is_missing_is_named(raw, reference, reason, names):
    missing = found(raw, **reference)
    assert isinstance(missing, Missing)
    assert missing.reason == reason
    assert names in missing.message


@pytest.mark.parametrize(
    ("rollout", "meant"),
    [
        (parsed_rollout(stableVersion="v1"), "v1"),
        (parsed_rollout(stableVersion="v1", candidateVersion="v3"), "v1"),
        (parsed_rollout(), Missing("NotFound", "Rollout line has no stable version yet")),
        (parsed_rollout(candidateVersion="v3"), Missing("NotFound", "Rollout line has no stable version yet")),
        (parsed_rollout(stableVersion="v0"), Missing("NotFound", "ModelVersion parts-v0 does not exist")),
        (parsed_rollout(stableVersion="v1", stableModel="parts"), "v1"),
        (
            parsed_rollout(stableVersion="v1", stableModel="other"),
            Missing("NotFound", "Rollout line has no stable version of parts yet: other-v1 is stable"),
        ),
        (
            parsed_rollout(model="other", stableVersion="v1"),
            Missing("NotFound", "Rollout line is of model other, not of parts"),
        ),
    ],
)
def test_a_rollout_means_its_stable_version(rollout, meant):
    result = resolve(VersionRef(rollout="line"), "parts", versions(V1, V2, V3), rollout)
    assert (result if isinstance(result, Missing) else result.spec.version) == meant


def test_a_tag_is_held_by_the_newest_ready_version_that_carries_it():
    old, middle, new = versions(
        model_version("v1", created=after(1), tags=("factory", "gold")),
        model_version("v2", created=after(2), tags=("factory",)),
        model_version("v3", created=after(3), tags=("gold",), ready=False),
    )
    siblings = (old, middle, new)
    assert tags_of(old, siblings) == ("gold",)
    assert tags_of(middle, siblings) == ("factory", "latest")
    assert tags_of(new, siblings) == ()


def no_onnx(version):
    return None if version.spec.artifact.file("onnx") is not None else "it has no onnx file"


def bare(name, second, **changes):
    """A version that holds nothing but a checkpoint."""
    return model_version(name, created=after(second), formats=("pytorch",), **changes)


@pytest.mark.parametrize(
    ("raw", "tag", "meant", "said"),
    [
        ([V1, V2], "latest", "v2", ""),
        ([V1, bare("v7", 7)], "latest", "v1", "v7 was passed over: it has no onnx file"),
        ([V1, bare("v0", 0)], "latest", "v1", ""),  # an older one changes nothing
        ([V2, bare("v7", 7)], "candidate", "v2", ""),  # it does not carry the tag
        ([V2, bare("v7", 7, tags=("candidate",))], "candidate", "v2", "v7 was passed over: it has no onnx file"),
        ([V1, bare("v7", 7, ready=False)], "latest", "v1", ""),  # passed over for another reason
        ([V1, bare("v7", 7, model="other")], "latest", "v1", ""),
        (
            [V1, *(bare(f"v{number}", number) for number in range(5, 10))],
            "latest",
            "v1",
            "v9 was passed over: it has no onnx file; v8 was passed over: it has no onnx file; "
            "v7 was passed over: it has no onnx file; and 2 more",
        ),
        (
            [bare("v7", 7)],
            "latest",
            Missing(
                "FormatNotFound",
                "no version of model parts with tag latest can be used: v7 was passed over: it has no onnx file",
            ),
            "v7 was passed over: it has no onnx file",
        ),
        ([bare("v7", 7, ready=False)], "latest", "NotReady", ""),
        ([], "latest", "NotFound", ""),
    ],
)
def test_a_tag_passes_over_what_can_not_be_used_and_says_so(raw, tag, meant, said):
    parsed = versions(*raw)
    result = resolve(VersionRef(tag=tag), "parts", parsed, None, no_onnx)
    if isinstance(result, Missing):
        assert meant in (result, result.reason)
    else:
        assert result.spec.version == meant
    assert passed_over(tag, "parts", parsed, no_onnx) == said


def test_a_version_that_is_named_is_not_passed_over():
    result = resolve(VersionRef(version="v7"), "parts", versions(V1, bare("v7", 7)), None, no_onnx)
    assert result.spec.version == "v7"


def test_status_tags_say_what_a_tag_means_whatever_the_files_are():
    old, new = versions(V1, bare("v7", 7))
    assert tags_of(new, (old, new)) == ("latest",)
    assert tags_of(old, (old, new)) == ()
