"""One run: ask people about captures, collect what they said, write a version, say how the deployed models do.

Everything it knows it reads again: captures and versions from the object store, tasks and reviews from where people
label. Each write is one that can be repeated, so that a run may end anywhere.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

import artifactstore
from artifactstore import ArtifactError
from detectiondata import captures
from detectiondata.captures import DISAGREE, Capture, Key
from detectiondata.errors import DatasetError
from detectiondata.fields import Wrong
from detectiondata.problems import Problem
from detectiondata.version import Box, Image
from detectiondata.version_store import Stored, VersionStore
from labeler import asked as record
from labeler import choose, files, listing, replays, reserved, review, update, versions
from labeler.choose import Chosen
from labeler.failure import Failure, from_artifact
from labeler.listing import Listing
from labeler.replays import Disagreements
from labeler.reserved import Said
from labeler.review import Figures, Reviewed
from labeler.settings import FilesSettings, Run
from labeler.split import Sides
from labeler.tasks import LabelTool, Prediction, Review, Task
from labeler.update import Judged, Next

LISTED = 10  # versions told

_NAMED = 3  # other models
_AGAIN = timedelta(hours=1)  # reviews are read from so long before the newest that a version has
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a run has found and done. `history` are the newest versions, the latest first; `pending` are reviewed images
    that no version has, or not as they were reviewed last."""

    waiting: int
    in_review: int
    images: Mapping[str, Image]  # all that were reviewed, by digest
    pending: int
    reserved: int  # reviewed, of a day of the holdout, and not sampled: in no version
    history: tuple[Stored, ...]
    figures: Figures | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]  # of where people label
    other_classes: str = ""  # a note on what reviews have of classes that the dataset does not have


@dataclass(frozen=True)
class _Labelled:
    judged: Sequence[Judged]
    waiting: int
    in_review: int
    notes: tuple[str, ...] = ()
    reserved: int = 0  # answers that are known to be, and were not read again


def run(settings: Run, tool: LabelTool | None, now: datetime) -> Outcome:
    """`tool` is None where labels come as files. Raises Failure."""
    problems: list[Problem] = []
    with _told("CapturesUnreachable"):
        found = listed(settings, now)
        disagreements, unusable = replays.read(settings.captures, found.lists)
    keys = found.keys
    problems += [*found.problems, *unusable]
    store = VersionStore(settings.store)
    with _told("StoreUnreachable"):
        numbers = store.numbers()
        latest = store.read(numbers[-1]) if numbers else None
        before = store.images(latest.version) if latest else {}
        known = {image.sha256: update.capture_of(image) for image in before.values()}
        if latest is not None:
            store.complete(latest.version)
    _log.info("%d captures; latest version: %s", len(keys), latest.version.number if latest else "none")
    kept = {capture.key.image: capture for capture in known.values()}
    again = latest is not None and latest.version.classes != settings.classes
    look = _Look(settings, keys, before, kept, disagreements, now, again, problems)
    labelled = look.at_files() if tool is None else look.at_tool(tool)
    content = update.next_content(before, labelled.judged, settings.split, settings.classes, now)
    with _told("StoreUnreachable"):
        content, written = _write(settings, store, latest, before, content, now)
        if written is not None:
            numbers.append(written.version.number)
        history = tuple(artifactstore.in_parallel(store.read, reversed(numbers[-LISTED:])))
    problems += content.problems
    known |= {each.capture.sha256: each.capture for each in labelled.judged}
    reviewed = [
        Reviewed(known[digest], image.reviewed).of(settings.classes) for digest, image in content.images.items()
    ]
    figures = review.judge(reviewed, settings.deployed)
    return Outcome(
        waiting=labelled.waiting,
        in_review=labelled.in_review,
        images=content.images,
        pending=sum(image.piece != "aside" for image in content.changed.values()) if written is None else 0,
        reserved=content.reserved + labelled.reserved,
        history=history,
        figures=figures,
        problems=tuple(problems),
        notes=(
            *_nothing_captured(settings, keys),
            *_other_thresholds(figures),
            *labelled.notes,
            *(() if tool is None else tool.notes()),
        ),
        other_classes=update.other_classes(before, content.images, settings.classes),
    )


def listed(settings: Run, now: datetime) -> Listing:
    """The captures, and the state for the next sync written."""
    uri, store = settings.captures, settings.store
    with _told("StoreUnreachable"):
        state = listing.read_state(store)
        if state is not None and listing.is_due(state, uri, now):
            state = None
        older = None if state is None else listing.known(store, state)
    found = None if state is None or older is None else listing.since(uri, state, older, now)
    if found is None:
        state, found = None, listing.everything(uri, now)
    _log.info("listed %d objects of the captures, %s", found.objects, f"from {found.day} on" if found.day else "all")
    with _told("StoreUnreachable"):
        listing.write(store, found, state, uri, now)
    return found


def _write(
    settings: Run,
    store: VersionStore,
    latest: Stored | None,
    before: Mapping[str, Image],
    content: Next,
    now: datetime,
) -> tuple[Next, Stored | None]:
    """The content less what turned out to be unusable, and the version that was made of it, if it is one."""

    def suffices(found: Next) -> bool:
        renamed = latest is not None and latest.version.classes != settings.classes
        enough = renamed or len(found.changed) >= settings.min_new_images
        return enough and not update.leaves_nothing(before, found.images)

    if not suffices(content):
        return content, None
    content = versions.bring_images(settings.captures, store, before, content)
    if not suffices(content):
        return content, None
    written = versions.write(store, latest, before, content.images, settings.classes, now)
    _log.info("wrote version %d: %d images", written.version.number, written.version.images)
    return content, written


@dataclass(frozen=True)
class _Look:
    """What people have said. `known` are the captures that the latest version has, by the keys of their images;
    `again`: all reviews are read again, since the classes that they are judged by are others."""

    settings: Run
    keys: Sequence[Key]
    before: Mapping[str, Image]
    known: Mapping[str, Capture]
    disagreements: Disagreements
    now: datetime
    again: bool
    problems: list[Problem]
    foreign: Counter[str] = field(default_factory=Counter)  # captures of other models that nobody is asked about
    noted: dict[str, Said] = field(default_factory=dict)  # what sidecars say of days of the holdout, read now

    def at_tool(self, tool: LabelTool) -> _Labelled:
        tool.ensure()
        asked = dict(tool.asked())
        with _told("StoreUnreachable"):
            remembered = record.read(self.settings.store, self.now)
            if not asked:
                # It is another project, or it was emptied: people are asked from the start. What there is no room for
                # today must not look as if somebody had deleted it tomorrow.
                remembered = record.forget(self.settings.store, remembered)
        deleted = remembered - asked.keys() - self.known.keys()
        done = asked.keys() | self.known.keys() | deleted
        ours = self._of_our_rollouts([key for key in self.keys if key.image not in done])
        with _told("StoreUnreachable"):
            known_said = reserved.read(self.settings.store)
        waiting = choose.waiting(ours, done, self.now)
        already = choose.recent(asked, self.now)
        if already.total() < self.settings.per_day:
            useless = self._of_no_use(waiting, known_said)
            useful = [key for key in waiting if key.image not in useless]
            wanted = [key for key in useful if key.image in self.disagreements.ranks]
            chosen = self._chosen(list(dict.fromkeys((*wanted, *choose.worth_reading(useful)))), done, already)
            new = tool.push([_task(self.settings, each) for each in chosen])
            _log.info("asked about %d images, %d of them new", len(chosen), new)
            asked |= {each.capture.key.image: self.now for each in chosen}
        with _told("StoreUnreachable"):
            record.write(self.settings.store, remembered, asked, self.now)
        newest = None if self.again else update.last_review(self.before.values(), self.now)
        # An answer that can't be used comes into no version, and is newer than none for long: it is named until it can.
        unused = frozenset(tool.answered()) - self.known.keys()
        of_holdout = frozenset() if newest is None else self._reserved(unused, known_said)
        reviews = update.newest(tool.reviews(None if newest is None else newest - _AGAIN, unused - of_holdout))
        in_review = asked.keys() - unused - reviews.keys() - self.known.keys()
        needed = unused | {key.image for key in waiting}
        said = {name: each for name, each in (known_said | self.noted).items() if name in needed}
        with _told("StoreUnreachable"):
            reserved.write(self.settings.store, known_said, said)
        return _Labelled(
            judged=self._judged(reviews),
            waiting=sum(key.image not in asked for key in waiting),
            in_review=len(in_review),
            notes=(*self._foreign(), *((_deleted(len(deleted)),) if deleted else ())),
            reserved=len(of_holdout - reviews.keys()),
        )

    def at_files(self) -> _Labelled:
        assert isinstance(self.settings.labelling, FilesSettings)
        with _told("CapturesUnreachable"):
            # Of what a version has, the image is kept, and may be corrected though the capture is gone.
            keys = {*self.keys, *(capture.key for capture in self.known.values())}
            matched = files.read(self.settings.labelling, sorted(keys, key=lambda key: key.text))
        self.problems.extend(matched.problems)
        judged = []
        for capture in self._captures({key.image: key for key in matched.labels}).values():
            said = files.review(matched.labels[capture.key], capture)
            if isinstance(said, Problem):
                self.problems.append(said)
            else:
                judged.append(Judged(capture, said))
        labelled = {key.image for key in matched.labels} | self.known.keys()
        waiting = self._of_our_rollouts([key for key in self.keys if key.image not in labelled])
        none = () if matched.labels else (_no_labels(self.settings.labelling.uri),)
        return _Labelled(judged, waiting=len(waiting), in_review=0, notes=(*self._foreign(), *none))

    def _of_our_rollouts(self, keys: Sequence[Key]) -> list[Key]:
        """Less those of Rollouts that run another model, by what their oldest and newest capture say: to read a
        sidecar of each would take too long where nobody is asked about any."""
        ends: dict[str, tuple[Key, Key]] = {}
        for key in keys:
            first, last = ends.get(key.rollout, (key, key))
            ends[key.rollout] = min(first, key, key=lambda each: each.at), max(last, key, key=lambda each: each.at)
        models: dict[str, list[str | None]] = {}
        with _told("CapturesUnreachable"):
            for found in captures.read(self.settings.captures, [key for both in ends.values() for key in both]):
                if isinstance(found, Capture):
                    models.setdefault(found.key.rollout, []).append(found.model)
        foreign = {
            rollout: found[0] or ""
            for rollout, found in models.items()
            if len(found) == 2 and all(model not in (None, self.settings.model) for model in found)
        }
        self.foreign.update(foreign[key.rollout] for key in keys if key.rollout in foreign)
        return [key for key in keys if key.rollout not in foreign]

    def _is_ours(self, capture: Capture) -> bool:
        """Nobody is asked about frames of another model, whose classes may be others. Counted for the notes."""
        if capture.model in (None, self.settings.model):
            return True
        self.foreign[capture.model or ""] += 1
        return False

    def _foreign(self) -> Iterator[str]:
        for model, count in self.foreign.most_common(_NAMED):
            yield (
                f"{count} capture{'' if count == 1 else 's'} of {model} in {self.settings.captures} "
                f"{'is' if count == 1 else 'are'} left alone: this Dataset is of {self.settings.model}. Give each "
                "model a place of its own (delivery.capture.destination of its Rollouts, captures.uri of its Dataset)."
            )

    def _chosen(self, readable: Sequence[Key], done: Iterable[str], already: Counter[str]) -> list[Chosen]:
        """Of a day of the holdout only the sample is of use; nobody is asked about the rest."""
        useful = (capture for capture in filter(self._is_ours, self._read(readable)) if self._is_of_use(capture))
        settings = self.settings
        distinct = choose.distinct(useful, done)
        ranks = self.disagreements.ranks
        return choose.choose(distinct, already, settings.per_day, settings.priority, settings.blind, ranks)

    def _is_of_use(self, capture: Capture) -> bool:
        if capture.weight is not None or self._sides.of(capture.node_day) != "holdout":
            return True
        self._note(capture)
        return False

    def _note(self, capture: Capture) -> None:
        self.noted[capture.key.image] = Said.by(capture, capture.key.image in self.disagreements.listed)

    @cached_property
    def _sides(self) -> Sides:
        return update.sides(self.before.values(), self.settings.split)

    def _of_no_use(self, keys: Iterable[Key], said: Mapping[str, Said]) -> frozenset[str]:
        """The images of `keys` that are known, by what their sidecars said, to be of a day of the holdout, and not
        sampled."""
        listed = self.disagreements.listed
        return frozenset(
            name
            for key in keys
            if (each := said.get(name := key.image)) is not None
            and not each.counts(key, name in listed)
            and self._sides.of((key.node, key.day)) == "holdout"
        )

    def _reserved(self, unused: Collection[str], said: Mapping[str, Said]) -> frozenset[str]:
        """Which of these comes into no version whatever was answered: of a day of the holdout, and not sampled. A tool
        reads a limited number of old answers at a time, and these would take the places of those that can be mended."""
        held = [key for key in self.keys if key.image in unused and self._sides.of((key.node, key.day)) == "holdout"]
        with _told("CapturesUnreachable"):
            for found in captures.read(self.settings.captures, [key for key in held if key.image not in said]):
                if isinstance(found, Capture):  # of another, _judged says what it is
                    self._note(found)
        known = {**said, **self.noted}
        return frozenset(name for name in self._of_no_use(held, known) if known[name].sha256 not in self.before)

    def _judged(self, reviews: Mapping[str, Review]) -> list[Judged]:
        present = {name: key for key in self.keys if (name := key.image) in reviews}
        found = self._captures(present)
        found |= {name: self.known[name] for name in reviews if name in self.known}  # their images are kept
        self.problems.extend(
            Problem("reviews of images that are not among the captures", name, "")
            for name in reviews
            if name not in found and name not in present
        )
        return [Judged(found[name], said) for name, said in reviews.items() if name in found]

    def _captures(self, wanted: Mapping[str, Key]) -> dict[str, Capture]:
        read = self._read([key for name, key in wanted.items() if name not in self.known])
        found = {capture.key.image: capture for capture in read}
        return found | {name: self.known[name] for name in wanted if name in self.known}

    def _read(self, keys: Iterable[Key]) -> Iterator[Capture]:
        with _told("CapturesUnreachable"):
            for found in captures.read(self.settings.captures, keys):
                if isinstance(found, Problem):
                    self.problems.append(found)
                else:
                    yield self._marked(found)

    def _marked(self, capture: Capture) -> Capture:
        """With the rule `disagree` if a replay has listed it: so a version keeps that it counts as such."""
        if capture.key.image not in self.disagreements.listed or DISAGREE in capture.rules:
            return capture
        return replace(capture, rules=(*capture.rules, DISAGREE))


def _nothing_captured(settings: Run, keys: Sequence[Key]) -> list[str]:
    if keys:
        return []
    return [
        f"There are no captures in {settings.captures}. If that stays so: it must be what the Rollouts have as "
        "delivery.capture.destination."
    ]


def _other_thresholds(figures: Figures | None) -> list[str]:
    if figures is None or not figures.other_thresholds:
        return []
    count = figures.other_thresholds
    return [
        f"{count} reviewed frame{'' if count == 1 else 's'} of {figures.version} "
        f"{'does' if count == 1 else 'do'} not count for precision and recall: captured with a higher CONFIDENCE, or "
        "another IOU, than their Rollout has now, so that it isn't known what it would find on them."
    ]


def _no_labels(uri: str) -> str:
    return f"There is no label of a capture in {uri}: export reviewed labels to there, as YOLO or COCO."


def _deleted(count: int) -> str:
    images = "1 image whose task was deleted is" if count == 1 else f"{count} images whose tasks were deleted are"
    return f"{images} not asked about again (to have it asked, remove its day below asked/ in the store)."


def _task(settings: Run, chosen: Chosen) -> Task:
    capture = chosen.capture
    return Task(
        key=capture.key.image,
        image_uri=f"{settings.captures.rstrip('/')}/{capture.key.image}",
        width=capture.width,
        height=capture.height,
        predictions=tuple(
            Prediction(Box(found.label, found.x1, found.y1, found.x2, found.y2), found.confidence)
            for found in capture.detections
        ),
        blind=chosen.blind,
        reason=chosen.reason,
        captured_at=capture.key.at,
        node=capture.key.node,
    )


@contextmanager
def _told(unreachable: str) -> Iterator[None]:
    """Errors of stores and of what is in them, as failures of the run."""
    try:
        yield
    except ArtifactError as error:
        raise from_artifact(error, unreachable) from None
    except DatasetError as error:
        raise Failure(error.reason, error.message) from None
    except Wrong as error:
        raise Failure(
            "DatasetInvalid", f"a manifest of the store holds a capture that makes no sense: {error}"
        ) from None
