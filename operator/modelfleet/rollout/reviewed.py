"""What reviewed frames of production say about versions of a Rollout's model: `status.review` of its Dataset. Pure."""

from modelfleet.api import Dataset
from modelfleet.api.dataset import Estimate, Review
from modelfleet.api.rolloutstatus import ProductionCalibration
from modelfleet.drift import Interval, Reviewed
from modelfleet.measurement.endpoints import EDGES
from modelfleet.rollout.position import Position
from modelfleet.rollout.revisions import Revision


def dataset(position: Position, model: str) -> Dataset | None:
    """The Dataset that speaks of a model: the one that drift.retrain's template names, else the only one there is."""
    known = {each.metadata.name: each for each in position.snapshot.datasets if each.spec.model == model}
    drift = position.snapshot.rollout.spec.drift
    reference = None if drift is None or drift.retrain is None else drift.retrain.template.spec.dataset.from_
    if reference is not None and reference.dataset in known:
        return known[reference.dataset]
    return next(iter(known.values())) if len(known) == 1 else None


def production(position: Position) -> ProductionCalibration | None:
    """What a gate that starts now is to go by until it ends: the calibration by reviewed frames of the candidate or of
    the stable version, where it has the buckets of the metrics."""
    candidate, stable = position.candidate, position.stable
    if candidate is None or stable is None or _model(candidate) != _model(stable):
        return None
    found = dataset(position, _model(stable))
    review = None if found is None else found.status.review
    if found is None or review is None or review.version not in (candidate.version, stable.version):
        return None
    return _calibration(found.metadata.name, review)


def of_stable(position: Position) -> Reviewed:
    """What reviewed frames say of the stable version, or why they say nothing."""
    stable = position.stable
    if stable is None:
        return Reviewed(missing="no version is stable yet")
    model = _model(stable)
    found = dataset(position, model)
    if found is None:
        several = any(each.spec.model == model for each in position.snapshot.datasets)
        what = f"model {model} has several Datasets, and drift.retrain.template names none of them"
        return Reviewed(missing=what if several else f"there is no Dataset of model {model}")
    name, review = found.metadata.name, found.status.review
    if review is None:
        return Reviewed(name, missing=f"nobody has reviewed frames of the random sample for Dataset {name} yet")
    if review.version != stable.version:
        said = f"the reviewed frames of Dataset {name} are of {review.version}, not of {stable.version}"
        return Reviewed(name, missing=said)
    return Reviewed(name, review.frames, _interval(review.recall), _interval(review.precision))


def _interval(found: Estimate | None) -> Interval | None:
    return None if found is None else Interval(float(found.value), float(found.low), float(found.high))


def _calibration(name: str, review: Review) -> ProductionCalibration | None:
    known = review.calibration
    if known is None or tuple(map(float, known.edges)) != EDGES or len(known.precision) != len(EDGES) - 1:
        return None
    return ProductionCalibration(
        dataset=name, version=review.version, frames=review.frames, precision=tuple(known.precision)
    )


def _model(revision: Revision) -> str:
    return str(revision.data["model"])
