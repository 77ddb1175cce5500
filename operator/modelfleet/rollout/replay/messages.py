"""What a replay says, for the people who decide about the version. Pure."""

from decimal import Decimal

from modelfleet.api.replay import ReplayEstimate, ReplayFound, ReplayQuality, ReplayReview
from modelfleet.wording import counted


def found(stable: str, candidate: str, replay: ReplayFound) -> str:
    """The figures in a few sentences."""
    frames = f"{counted(replay.frames, 'frame')} of {counted(replay.node_days, 'node-day')}"
    if replay.agreement is None:
        return f"Neither {stable} nor {candidate} found anything on {frames}."
    told = f"{candidate} and {stable} agree on {_share(replay.agreement)} of their boxes, on {frames}."
    if replay.disagreements:
        told += f" {counted(replay.disagreements, 'frame')} differ."
    return told + ("" if replay.reviewed is None else _reviewed(stable, candidate, replay.reviewed))


def _reviewed(stable: str, candidate: str, review: ReplayReview) -> str:
    told = f" On {counted(review.frames, 'reviewed frame')}: {stable} {_quality(review.stable)}, {candidate} "
    told += f"{_quality(review.candidate)}."
    disputed = review.in_favour + review.against
    if review.favour is None or not disputed:
        return told
    return told + f" Where they differ there, {candidate} is right in {review.in_favour} of {disputed} cases."


def _quality(quality: ReplayQuality) -> str:
    figures = (("precision", quality.precision), ("recall", quality.recall))
    known = [f"{name} {percent(value)}" for name, value in figures if value is not None]
    return ", ".join(known) or "found nothing"


def _share(estimate: ReplayEstimate) -> str:
    if estimate.low is None or estimate.high is None:
        return percent(estimate.value)
    return f"{percent(estimate.value)} ({percent(estimate.low)} to {percent(estimate.high)})"


def percent(share: Decimal) -> str:
    """`91%`, `99.6%`: what is not all is never shown as all."""
    value = share * 100
    rounded = value.quantize(Decimal(1))
    return f"{rounded if rounded == value or 1 <= value <= 99 else value.quantize(Decimal('0.1'))}%"
