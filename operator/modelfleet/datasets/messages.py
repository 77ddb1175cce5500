"""What a Dataset says, for the people at the line. Pure."""

from collections.abc import Iterable, Sequence

from modelfleet.api import Dataset, DatasetStatus
from modelfleet.api.commands import NOW, Verb, unused
from modelfleet.api.dataset import Estimate, Review
from modelfleet.datasets.snapshot import Deployed
from modelfleet.datasets.sync_job import SyncJob
from modelfleet.times import to_minute
from modelfleet.wording import counted, ended, listed


def figures(dataset: Dataset, status: DatasetStatus) -> str:
    """The figures in a sentence: `12 images wait to be asked about, 40 in review, version 12 has 640 images.`"""
    waits = "wait" if status.waiting != 1 else "waits"
    what_for = "for labels" if dataset.spec.labelling.label_studio is None else "to be asked about"
    parts = [f"{counted(status.waiting or 0, 'image')} {waits} {what_for}"]
    if dataset.spec.labelling.label_studio is not None:
        parts.append(f"{status.in_review or 0} in review")
    latest, pending = status.latest, status.pending or 0
    least = dataset.spec.min_new_images
    if latest is not None:
        parts.append(f"version {latest.number} has {counted(latest.images, 'image')}")
    else:
        parts.append(
            f"no version yet: {pending:,} of the {counted(least, 'image')} that the first one takes are reviewed"
        )
    text = f"{', '.join(parts)}."
    if latest is not None and pending:
        text += f" {pending:,} of the {counted(least, 'image')} that the next version takes are reviewed."
    return text


def review(found: Review | None) -> str:
    """How the deployed version does in the field; empty where that is not known."""
    told = [] if found is None else [("precision", found.precision), ("recall", found.recall)]
    known = [f"{name} {_interval(each)}" for name, each in told if each is not None]
    if found is None or not known:
        return ""
    return f" {found.version} in production: {', '.join(known)}, by {found.frames} reviewed frames."


def unknown_classes(dataset: Dataset, deployed: Iterable[Deployed]) -> str:
    """Which classes models on the nodes find and the Dataset does not have, as after a slip of the pen."""
    found = {name: each.version for each in deployed for name in each.classes if name not in dataset.spec.classes}
    if not found:
        return ""
    return (
        f" spec.classes lacks {listed(sorted(found))}, which {listed(sorted(set(found.values())))} finds on the nodes: "
        "images on which people leave such a box are left out."
    )


def notes(found: Sequence[str]) -> str:
    """The first of the labeler's notes, which is the most important, and how many there are besides; or nothing."""
    if not found:
        return ""
    more = f" status.notes has {len(found) - 1} more." if len(found) > 1 else ""
    return f" Note: {ended(found[0])}{more}"


def failed(status: DatasetStatus) -> str:
    """Why the last sync failed, how often, when it is tried again, and how to have that at once."""
    last, again = status.last_sync, status.next_sync
    if last is None:
        return ""
    row = f" {last.failures} syncs in a row failed." if last.failures > 1 else ""
    due = f" It is tried again at {to_minute(again)}, and when the spec is changed." if again is not None else ""
    ask = unused(Verb.SYNC, NOW, status.synced).arguments
    now = f" To have it tried at once, annotate it: {ask}."
    return f"{ended(last.message)}{row}{due}{now}"


def failed_try(job: SyncJob) -> str:
    """Why the first sync takes so long, before it has failed: its last try has; empty where none did."""
    why = job.failed_try
    return "" if why is None else f"{why.reason}: {ended(why.message)} Job {job.name} tries again."


def _interval(each: Estimate) -> str:
    return f"{each.value} ({each.low} to {each.high})"
