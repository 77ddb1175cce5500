"""What a retraining is to train on, and whether the stable version was not trained on it already. Pure.

Data of a Dataset is compared by its versions, plain sources by their digests. A plain source without a digest may be
new; beside a Dataset it counts as what is trained on every time, since the Dataset is where new data comes from.
"""

from modelfleet.api import Dataset, DatasetRef, LineageDataset, LineageSource, TrainingJob
from modelfleet.api.dataset import version_path
from modelfleet.api.driftspec import Retrain
from modelfleet.rollout.position import Position
from modelfleet.wording import listed


def of_template(position: Position, spec: Retrain) -> DatasetRef | None:
    """The Dataset that the template names; where it names no data at all, the only one of the model."""
    data = spec.template.spec.dataset
    if data.from_ is not None or data.sources:
        return data.from_
    names = _of_model(position)
    return DatasetRef(dataset=names[0]) if len(names) == 1 else None


def undecided(position: Position, spec: Retrain) -> str:
    """Why it is not known what to train on; empty where it is."""
    data = spec.template.spec.dataset
    if data.from_ is not None or data.sources or of_template(position, spec) is not None:
        return ""
    model, names = position.snapshot.rollout.spec.model.name, _of_model(position)
    found = f"there are several: {listed(names)}" if names else "there is none"
    return (
        f"drift.retrain.template names no data, which means the Dataset of model {model}, and {found}. Name one with "
        "dataset.from, or create it."
    )


def used_already(position: Position, spec: Retrain) -> str:
    """Why training on it would bring nothing; empty where it may."""
    stable = position.stable
    version = next(
        (
            each
            for each in position.snapshot.versions
            if stable is not None and stable.is_of(each.spec.model, each.spec.version)
        ),
        None,
    )
    lineage = None if version is None or version.spec.lineage is None else version.spec.lineage.dataset
    name = "" if version is None else version.spec.version
    had: set[str | None] = set()
    if lineage is not None:
        had = {lineage.sha256, *(source.sha256 for source in lineage.sources)}
    digests = [source.sha256 for source in spec.template.spec.dataset.sources]
    if any(digest is not None and digest not in had for digest in digests):
        return ""
    reference = of_template(position, spec)
    if reference is not None:
        return _of_dataset(position, spec, reference, name, lineage)
    if lineage is None or None in digests:
        return ""
    return (
        f"The template's data is what {name} was trained on, by its digests: training on it again would change "
        "nothing. Add newer data, or set requireNewData to false."
    )


def told(training: TrainingJob) -> tuple[str, ...]:
    """What a TrainingJob trains on, in words."""
    data = training.spec.dataset
    pinned = training.status.dataset
    reference = data.from_ if pinned is None else DatasetRef(dataset=pinned.dataset, version=pinned.version)
    return (*(() if reference is None else (str(reference),)), *(source.uri for source in data.sources))


def _of_dataset(
    position: Position, spec: Retrain, reference: DatasetRef, stable: str, lineage: LineageDataset | None
) -> str:
    name = reference.dataset
    dataset = next((each for each in position.snapshot.datasets if each.metadata.name == name), None)
    if dataset is None:
        return f"Dataset {name} does not exist: create it, or name other data in the template."
    latest = dataset.status.latest
    if latest is None:
        return f"Dataset {name} has no version yet: {_to_label(dataset)}."
    trained = _trained_on(dataset, lineage)
    newest = latest.number if reference.version is None else reference.version
    if trained is not None and newest <= trained:
        what = f"version {newest} of Dataset {name}"
        return f"{stable} was trained on {what} already, the newest to train on: {_to_label(dataset)}."
    # Of a Dataset that it was not trained on at all, every image is new to it.
    added = _sizes(dataset).get(newest) if trained is None else _added(dataset, lineage, trained, newest)
    if added is None or not stable:
        return ""
    corrected = 0 if trained is None else _corrected(dataset, trained, newest, added)
    if added + corrected >= spec.min_new_images:
        return ""
    other = f", and {corrected} whose labels were corrected since" if corrected else ""
    return (
        f"Dataset {name} has {added} images that {stable} was not trained on{other} (version {newest}), and "
        f"{spec.min_new_images} are asked for (minNewImages): {_to_label(dataset)}."
    )


def _trained_on(dataset: Dataset, lineage: LineageDataset | None) -> int | None:
    """The version of the Dataset that the lineage speaks of, by name or by digest; None where it is other data."""
    if lineage is None:
        return None
    known = _digests(dataset)
    if lineage.dataset == dataset.metadata.name and lineage.version is not None:
        return None if _is_of_another_store(dataset, lineage, lineage.version) else lineage.version
    had = {source.sha256 for source in lineage.sources} | {lineage.sha256}
    return max((number for number, digest in known.items() if digest in had), default=None)


def _is_of_another_store(dataset: Dataset, lineage: LineageDataset, number: int) -> bool:
    """Whether this number means another version by now: a Dataset that was made again, or given another store, counts
    from 1 again. Where its digest is listed, that tells; else the number, and the address that was read."""
    latest = dataset.status.latest
    read = {source.uri: source.sha256 for source in _sources(lineage) if _is_version(source.uri, number)}
    listed = _digests(dataset).get(number)
    if listed is not None:
        return bool(read) and listed not in read.values()
    if latest is None or number > latest.number:
        return True
    return bool(read) and dataset.address(number) not in read


def _added(dataset: Dataset, lineage: LineageDataset | None, trained: int, newest: int) -> int:
    """How many images came with the versions after `trained`, up to `newest`, as far as is known.

    The status lists the newest versions alone. Where that does not reach back to `trained`, more is new than they say;
    then it is by how much the data has grown, if that is more.
    """
    listed = {entry.number: entry for entry in dataset.status.versions}
    added = sum(entry.added for number, entry in listed.items() if trained < number <= newest)
    if all(number in listed for number in range(trained + 1, newest + 1)):
        return added
    sizes = _sizes(dataset)
    for source in () if lineage is None else _sources(lineage):
        if _is_version(source.uri, trained) and source.images:
            sizes.setdefault(trained, source.images)
    return max(added, sizes[newest] - sizes[trained]) if {newest, trained} <= sizes.keys() else added


def _corrected(dataset: Dataset, trained: int, newest: int, added: int) -> int:
    """How many images have had other labels since version `trained`, up to `newest`, beside those `added` since: to
    train on them again teaches something else. As far as is known; an image counts for each version that corrects it,
    and all together for no more than there are."""
    changed = sum(entry.changed or 0 for entry in dataset.status.versions if trained < entry.number <= newest)
    size = _sizes(dataset).get(newest)
    return changed if size is None else max(0, min(changed, size - added))


def _sizes(dataset: Dataset) -> dict[int, int]:
    """How many images the versions have that the status lists, by number."""
    known = {entry.number: entry.images for entry in dataset.status.versions}
    latest = dataset.status.latest
    return known if latest is None else known | {latest.number: latest.images}


def _digests(dataset: Dataset) -> dict[int, str]:
    """Of the versions that the status lists, by number."""
    known = {entry.number: entry.sha256 for entry in dataset.status.versions}
    latest = dataset.status.latest
    return known if latest is None else known | {latest.number: latest.sha256}


def _sources(lineage: LineageDataset) -> tuple[LineageSource, ...]:
    """What was trained on, part by part; where it was of one piece, that piece."""
    if lineage.sources or lineage.uri is None or lineage.sha256 is None:
        return lineage.sources
    return (LineageSource(uri=lineage.uri, sha256=lineage.sha256, images=lineage.images or 0, labels=0),)


def _is_version(uri: str, number: int) -> bool:
    """Whether this is the address of a version of this number, in whatever store."""
    return uri.endswith(version_path(number))


def _to_label(dataset: Dataset) -> str:
    waiting, in_review = dataset.status.waiting or 0, dataset.status.in_review or 0
    frames = f"{waiting} frames that wait" if waiting != 1 else "frame that waits"
    if waiting and in_review:
        return f"label the {frames}, and review the {in_review} that people were asked about"
    if waiting:
        return f"label the {frames}"
    if in_review:
        return f"review the {in_review} frames that people were asked about"
    return "no frames wait to be labelled, so have more captured (delivery.capture)"


def _of_model(position: Position) -> list[str]:
    model = position.snapshot.rollout.spec.model.name
    return sorted(each.metadata.name for each in position.snapshot.datasets if each.spec.model == model)
