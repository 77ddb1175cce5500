"""Precision, recall, their intervals and the calibration, from reviewed frames of the sample."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import ANY

import numpy as np
import pytest
from labeling_world import BOLT, MODEL, NOW, capture, key
from scipy import stats

from detectiondata.captures import Detection, Sample
from detectiondata.matching import iou, match
from detectiondata.ratio import Estimate, estimate, student
from detectiondata.version import Box
from labeler import calibration, review
from labeler.review import Reviewed
from labeler.settings import Deployed
from trainer import matching

TRUE = Box("bolt", 4, 4, 24, 20)
ONE = capture(1)


def frame(
    detections: list[Detection], objects: list[Box], *, node: str = "n1", day: int = 0, probability: float = 0.01
) -> Reviewed:
    at = NOW - timedelta(days=day)
    made = replace(
        ONE,
        key=key(node, at),
        detections=tuple(detections),
        sample=Sample(probability, "found"),
    )
    return Reviewed(made, tuple(objects))


def test_matching_is_by_class_and_the_most_confident_chooses_first() -> None:
    near = replace(BOLT, confidence=0.5, x1=5.0)
    assert match([near, BOLT], [TRUE]) == [None, 0]
    assert match([near, BOLT], [TRUE, Box("bolt", 6, 4, 24, 20)]) == [1, 0]
    assert match([BOLT], [TRUE._replace(label="washer")]) == [None]
    assert match([BOLT], []) == [None]
    assert match([], [TRUE]) == []


def test_an_overlap_of_half_is_enough_and_less_is_not() -> None:
    wide = Detection("bolt", 0.9, 0, 0, 20, 10)
    assert iou(wide, Box("bolt", 0, 0, 10, 10)) == 0.5
    assert match([wide], [Box("bolt", 0, 0, 10, 10)]) == [0]
    assert match([wide], [Box("bolt", 0, 0, 9.9, 10)]) == [None]
    assert iou(wide, Box("bolt", 20, 0, 30, 10)) == 0.0


def test_it_is_the_rule_by_which_the_trainer_evaluates() -> None:
    random = np.random.default_rng(7)
    for _ in range(300):
        corners = random.integers(0, 12, (2, 8, 2))
        sizes = random.integers(1, 9, (2, 8, 2))
        boxes, truth = np.concatenate([corners, corners + sizes], axis=2).astype(float)
        classes, truth_classes = random.integers(0, 2, (2, 8))
        confidences = random.permutation(8) / 10
        detections = [
            Detection(str(name), float(confidence), *map(float, box))
            for name, confidence, box in zip(classes, confidences, boxes, strict=True)
        ]
        objects = [Box(str(name), *map(float, box)) for name, box in zip(truth_classes, truth, strict=True)]
        theirs = matching.match(boxes, classes, confidences, truth, truth_classes)
        assert [-1 if taken is None else taken for taken in match(detections, objects)] == theirs.tolist()


def fleet(wrong: int = 0, missed: int = 0) -> list[Reviewed]:
    """40 frames of 20 node-days with one right detection each; of the first `wrong` and `missed` one more or less."""
    frames = []
    for number in range(40):
        found = [BOLT] + ([Detection("washer", 0.3, 40, 30, 60, 40)] if number < wrong else [])
        there = [TRUE] + ([Box("washer", 1, 30, 9, 40)] if number < missed else [])
        frames.append(frame(found, there, node=f"n{number % 10}", day=number % 2))
    return frames


def test_figures_of_a_review() -> None:
    found = review.figures("v2", fleet(wrong=10, missed=20))
    assert (found.version, found.frames, found.node_days) == ("v2", 40, 10)
    assert found.precision is not None
    assert found.precision.value == pytest.approx(40 / 50)
    assert found.recall is not None
    assert found.recall.value == pytest.approx(40 / 60)
    assert found.precision.low < 0.8 < found.precision.high
    assert [(each.name, each.precision, each.recall, each.frames) for each in found.worst] == [
        ("washer", 0, 0, 20),
        ("bolt", 1, 1, 40),
    ]
    washer, bolt = found.worst
    assert (washer.precision_interval, washer.recall_interval) == (Estimate(0, 0, ANY), Estimate(0, 0, ANY))
    assert bolt.recall_interval == Estimate(1, ANY, 1)
    assert found.calibration is None  # 50 detections


def test_a_class_that_few_node_days_show_has_no_interval() -> None:
    nut = replace(BOLT, label="nut")
    frames = [frame([BOLT, nut] if n % 10 < 4 else [BOLT], [TRUE], node=f"n{n % 10}") for n in range(40)]
    first, second = review.figures("v2", frames).worst
    assert (first.name, first.precision, first.precision_interval) == ("nut", 0, None)
    assert second.precision_interval is not None
    assert second.precision_interval.low < 1


def test_a_frame_counts_for_as_many_as_it_was_drawn_from() -> None:
    rare = [
        replace(each, capture=replace(each.capture, sample=Sample(0.001, "empty"))) for each in fleet(wrong=10)[:10]
    ]
    found = review.figures("v2", [*rare, *fleet()[10:]])
    assert found.precision is not None
    assert found.precision.value == pytest.approx((10 * 1000 + 30 * 100) / (20 * 1000 + 30 * 100))


@pytest.mark.parametrize("frames", [fleet()[:19], [frame([BOLT], [TRUE], node=f"n{n % 4}") for n in range(100)]])
def test_too_little_to_say_anything_says_nothing(frames: list[Reviewed]) -> None:
    found = review.figures("v2", frames)
    assert (found.precision, found.recall) == (None, None)
    assert found.frames == len(frames)


def test_without_a_detection_there_is_no_precision_and_without_an_object_no_recall() -> None:
    missed = review.figures("v2", [frame([], [TRUE], node=f"n{number}") for number in range(30)])
    assert missed.precision is None
    assert missed.recall is not None
    assert (missed.recall.value, missed.recall.low) == (0, 0)
    invented = review.figures("v2", [frame([BOLT], [], node=f"n{number}") for number in range(30)])
    assert invented.recall is None
    assert [(each.precision, each.recall) for each in invented.worst] == [(0, None)]


DEPLOYED = (Deployed("v2", MODEL),)


def set_to(
    frames: list[Reviewed], confidence: float, *, days: int = 0, group: str = "fleet", **more: float
) -> list[Reviewed]:
    """The same, captured so many days earlier by nodes of a group with another CONFIDENCE: without what is below it."""
    made = []
    for number, each in enumerate(frames):
        found = tuple(one for one in each.capture.detections if one.confidence > confidence)
        at = each.capture.key.at - timedelta(days=days, minutes=number)
        capture = replace(
            each.capture,
            key=key(each.capture.key.node, at),
            confidence=confidence,
            detections=found,
            group=group,
            **more,
        )
        made.append(Reviewed(capture, each.objects))
    return made


def of_now(frames: list[Reviewed]) -> tuple[int, float, int]:
    """How many frames count, their precision, and how many don't count for it."""
    found = review.judge(frames, DEPLOYED)
    assert found is not None
    assert found.precision is not None
    return found.frames, round(found.precision.value, 3), found.other_thresholds


def test_frames_of_a_lower_confidence_count_as_the_one_of_now_would_have_them() -> None:
    """Of the second detection, with a confidence of 0.3, nothing is left on the nodes."""
    before, after = set_to(fleet(wrong=40), 0.25, days=10), set_to(fleet(wrong=40), 0.4)
    assert of_now(before) == (40, 0.5, 0)
    assert of_now([*before, *after]) == of_now([*after, *before]) == (80, 1.0, 0)


def test_frames_of_a_higher_confidence_do_not_count() -> None:
    """What the model would have found below it isn't in their sidecars: precision would look better than it is, and
    recall worse."""
    before, after = set_to(fleet(wrong=40), 0.4, days=10), set_to(fleet(wrong=40), 0.25)
    assert of_now(before) == (40, 1.0, 0)
    assert of_now([*before, *after]) == (40, 0.5, 40)


def test_frames_of_another_suppression_do_not_count() -> None:
    before, after = set_to(fleet(), 0.25, days=10, iou=0.5), set_to(fleet(wrong=20), 0.25)
    assert of_now([*before, *after]) == (40, 0.667, 40)


def test_each_group_has_thresholds_of_its_own() -> None:
    """A setting reaches one group after the other, and Rollouts of one model may differ for good."""
    canary, fleet_ = set_to(fleet(wrong=40), 0.4, group="canary"), set_to(fleet(wrong=40), 0.25, days=1)
    assert of_now([*canary, *fleet_]) == (80, 0.667, 0)
    other = [
        Reviewed(
            replace(each.capture, key=key(each.capture.key.node, each.capture.key.at, rollout="press")), each.objects
        )
        for each in set_to(fleet(wrong=40), 0.4)
    ]
    assert of_now([*other, *fleet_]) == (80, 0.667, 0)


def test_the_calibration_is_of_all_frames_whatever_their_thresholds() -> None:
    """A bucket's precision is the same wherever the threshold was, and 200 detections are soon too few."""
    before, after = set_to(fleet() * 5, 0.4, days=10), set_to(fleet(wrong=40), 0.25)
    found = review.judge([*before, *after], DEPLOYED)
    assert found is not None
    assert found.frames == 40
    assert found.calibration is not None
    assert found.calibration.precision[-1] == 1
    assert review.judge(after, DEPLOYED).calibration is None  # type: ignore[union-attr]


def test_frames_of_other_thresholds_that_are_long_gone_are_not_told() -> None:
    before, after = set_to(fleet(), 0.4, days=60), set_to(fleet() * 5, 0.25)
    assert of_now([*before, *after]) == (200, 1.0, 0)


def test_only_sampled_frames_of_deployed_versions_count() -> None:
    def of(model: str, count: int, *, sampled: bool = True) -> list[Reviewed]:
        return [
            replace(
                each, capture=replace(each.capture, model_sha256=model, sample=each.capture.sample if sampled else None)
            )
            for each in fleet()[:count]
        ]

    deployed = [Deployed("v2", MODEL), Deployed("v3", "cd" * 32)]
    frames = [*of(MODEL, 20), *of("cd" * 32, 25), *of("ef" * 32, 40), *of(MODEL, 40, sampled=False)]
    found = review.judge(frames, deployed)
    assert found is not None
    assert (found.version, found.frames) == ("v3", 25)
    assert review.judge(frames, []) is None
    assert review.judge(of(MODEL, 5, sampled=False), deployed) is None


def over(days: range, missed: bool, a_day: int = 10) -> list[Reviewed]:
    """Frames of these days (so many ago), with one object each."""
    return [
        frame([] if missed else [BOLT], [TRUE], node=f"n{number}", day=day) for day in days for number in range(a_day)
    ]


def test_figures_are_of_the_last_four_weeks() -> None:
    """What was right for months does not cover that half of the objects have been missed since the scene changed."""
    before, since = over(range(30, 130), missed=False), [*over(range(14), missed=True), *over(range(14), missed=False)]
    found = review.judge([*before, *since], [Deployed("v2", MODEL)])
    assert found is not None
    assert found.recall is not None
    assert (found.frames, found.recall.value) == (280, 0.5)


def test_where_few_frames_are_reviewed_the_newest_two_hundred_count_however_old() -> None:
    found = review.judge([*over(range(100, 200), missed=True), *over(range(0, 95, 5), False)], [Deployed("v2", MODEL)])
    assert found is not None
    assert found.recall is not None
    assert (found.frames, found.recall.value) == (200, pytest.approx(0.95))


@pytest.mark.parametrize("degrees", [4, 5, 7, 10, 30, 100, 1000])
def test_students_quantile(degrees: int) -> None:
    assert student(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=0.01)


def test_nothing_wrong_is_no_certainty() -> None:
    ones = np.ones(60)
    found = estimate(ones, ones, ones, list(range(60)))
    assert found == Estimate(1.0, pytest.approx(0.025 ** (1 / 60)), 1.0)
    none = estimate(np.zeros(60), ones, ones, list(range(60)))
    assert none == Estimate(0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / 60)))


def test_clusters_that_happen_to_be_alike_are_no_certainty() -> None:
    right, there = np.tile([1.0, 0.0], 20), np.ones(40)
    found = estimate(right, there, there, [number // 2 for number in range(40)])
    assert found is not None
    assert 0.3 < found.low < 0.4
    assert 0.6 < found.high < 0.7


def beta_binomial_review(
    random: np.random.Generator, share: float, correlation: float, frames: int, node_days: int
) -> Estimate | None:
    """Frames of node-days whose own shares vary with this intraclass correlation; 3 objects a frame on average, and two
    strata of different probability."""
    spread = 1 / correlation - 1
    own = random.beta(share * spread, (1 - share) * spread, node_days)
    cluster = np.sort(random.integers(0, node_days, frames))
    objects = random.poisson(3, frames).astype(float)
    right = random.binomial(objects.astype(int), own[cluster]).astype(float)
    weight = random.choice([50.0, 150.0], frames)
    return estimate(right, objects, weight, cluster.tolist())


@pytest.mark.parametrize(("frames", "node_days"), [(100, 20), (100, 60), (500, 100), (1000, 60)])
@pytest.mark.parametrize("share", [0.7, 0.9])
def test_95_of_100_intervals_hold_the_truth(share: float, frames: int, node_days: int) -> None:
    random = np.random.default_rng(frames + node_days)
    found = [beta_binomial_review(random, share, 0.06, frames, node_days) for _ in range(600)]
    covered = [each.low <= share <= each.high for each in found if each is not None]
    assert len(covered) == 600
    print(f"share {share}, {frames} frames, {node_days} node-days: {sum(covered) / 6:.1f}%")
    assert 0.90 <= sum(covered) / 600 <= 0.98


def test_a_calibration_is_the_share_that_is_right() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.25, 1, 20_000)
    right = (random.random(20_000) < confidence * 0.9).astype(float)
    found = calibration.calibrate(confidence, right, np.ones(20_000))
    assert found is not None
    middles = [(low + high) / 2 * 0.9 for low, high in zip(calibration.EDGES[:-1], calibration.EDGES[1:], strict=True)]
    assert found.precision == pytest.approx(middles, abs=0.03)


def test_a_calibration_needs_detections_above_the_lowest_edge() -> None:
    ones = np.ones(199)
    assert calibration.calibrate(ones * 0.9, ones, ones) is None
    low = np.concatenate([ones * 0.9, np.full(100, 0.25)])  # 0.25 itself is below the first bucket
    assert calibration.calibrate(low, np.ones(299), np.ones(299)) is None


def test_thin_buckets_are_put_together_and_precision_never_falls() -> None:
    # 300 at .92 (90% right), 30 at .55 (50%), 3 at .97 (all wrong, and each weighs a hundred times as much)
    confidence = np.array([0.92] * 300 + [0.55] * 30 + [0.97] * 3)
    right = np.array([1.0] * 270 + [0.0] * 30 + [1.0] * 15 + [0.0] * 15 + [0.0] * 3)
    weight = np.array([1.0] * 330 + [100.0] * 3)
    found = calibration.calibrate(confidence, right, weight)
    assert found is not None
    assert list(found.precision) == sorted(found.precision)
    assert found.precision[0] == found.precision[3]  # buckets below .55 have nothing of their own
    total = (confidence > 0.25) @ (right * weight) / weight.sum()
    counts = np.bincount(np.searchsorted(calibration.EDGES, confidence, side="left") - 1, weights=weight, minlength=10)
    assert counts @ np.array(found.precision) / weight.sum() == pytest.approx(total)
