"""What a Dataset needs next: its Job, what that found, and what is said about it. Pure.

What follows from what:

    a Job ended, and is not in the status  ->  what it found, or why it failed, is taken in: one write
    a Job goes on                          ->  wait; say what keeps it from starting
    none goes on, and a sync is due        ->  the Job is made
    a Job ended long ago                   ->  it is removed; the last good one and the last failed one stay

Nothing is written while nothing is due: between two syncs only a timer runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import cached_property

from modelfleet import chain
from modelfleet.api import Condition, Dataset, DatasetStatus, conditions, names
from modelfleet.api.commands import NOW, Command, Verb
from modelfleet.api.conditions import READY
from modelfleet.api.reasons import Reason
from modelfleet.datasets import labeler_run, manifests, messages, schedule
from modelfleet.datasets import status as statuses
from modelfleet.datasets.snapshot import Deployed, Snapshot
from modelfleet.datasets.sync_job import SyncJob
from modelfleet.decision import Action, Announce, Decision

MAY_PASS = frozenset(
    {
        Reason.LABEL_STUDIO_UNREACHABLE,
        Reason.CAPTURES_UNREACHABLE,
        Reason.STORE_UNREACHABLE,
        Reason.VERSION_EXISTS,
        Reason.INTERRUPTED,
    }
)
"""Why a sync failed, where the next one may succeed without anybody's help."""

_UNSEEN = timedelta(minutes=1)  # after a create of which nothing was seen: the name is somebody else's


class State(Enum):
    """How a Dataset stands: READY; WORKING (not Ready, under way), HELD (not Ready), STALLED (somebody has to act)."""

    READY = auto()
    WORKING = auto()
    HELD = auto()
    STALLED = auto()


@dataclass(frozen=True)
class Standing:
    """What the conditions say."""

    state: State
    reason: str
    message: str


@dataclass(frozen=True)
class Look:
    """What a step of the chain goes by: the figures as they are with this look, and the Job that goes on."""

    dataset: Dataset
    status: DatasetStatus
    running: SyncJob | None
    deployed: tuple[Deployed, ...]
    now: datetime

    @cached_property
    def unmounted(self) -> list[str]:
        """Addresses on volumes that the Job would not have."""
        return manifests.unmounted(self.dataset)

    @cached_property
    def excess(self) -> int:
        """Bytes of what the labeler would be told that do not fit into its variable."""
        return labeler_run.excess(self.dataset, self.deployed)

    @property
    def never_starts(self) -> bool:
        """A Job would be of no use until the spec is another."""
        return bool(self.unmounted or self.excess)


def decide(seen: Snapshot, now: datetime) -> Decision:
    """The next writes, the status, and what to announce."""
    dataset = seen.dataset
    if dataset.metadata.deletion_timestamp is not None:
        return Decision()  # the garbage collector takes the Jobs along
    known, ignored = _without_wrong_command(dataset, statuses.taken_in(seen, now))
    running = statuses.running(seen, now)
    known = known.replace(next_sync=schedule.next_slot(dataset.spec, known.last_sync, now))
    look = Look(dataset, known, running, seen.deployed, now)
    due = None if running is not None or look.never_starts else _due(seen, known, now)
    standing = _standing(look)
    generation = dataset.metadata.generation
    after = known.replace(
        conditions=conditions.merge(dataset.status.conditions, _conditions(standing), generation, now),
        observed_generation=generation,
    )
    create: tuple[Action, ...] = () if due is None else (manifests.create_job(seen, due),)
    return Decision(
        actions=(*(manifests.remove_job(dataset, job) for job in statuses.surplus(seen, now)), *create),
        status=after,
        announcements=(*ignored, *_announcements(dataset.status, after)),
        requeue_after=None if running is None and look.never_starts else _requeue(after, running, due, now),
    )


def _due(seen: Snapshot, known: DatasetStatus, now: datetime) -> schedule.Due | None:
    command = Command.read(seen.dataset.metadata.annotations, Verb.SYNC)
    wanted = command.remembered if command is not None and command.remembered not in known.synced else ""
    return schedule.due(seen.dataset.spec, known.last_sync, seen.dataset.metadata.generation, wanted, now)


def _without_wrong_command(dataset: Dataset, status: DatasetStatus) -> tuple[DatasetStatus, tuple[Announce, ...]]:
    """A command that says something else than `now` is noted, so that it is spoken of once."""
    command = Command.read(dataset.metadata.annotations, Verb.SYNC)
    if command is None or command.version == NOW or command.remembered in status.synced:
        return status, ()
    told = f"{command.assignment} was ignored: it takes {NOW}, and @ with anything new behind it, such as {NOW}@1."
    ignored = Announce("Warning", Reason.COMMAND_IGNORED, told)
    return status.replace(synced=(command.remembered, *status.synced)), (ignored,)


# --- what the conditions say ------------------------------------------------------------------------------------------


def not_mounted(look: Look) -> Standing | None:
    """No Job is made: what it would write there would be lost with its pod."""
    if not look.unmounted or look.running is not None:
        return None
    said = f"{look.unmounted[0]} is on a volume, which the Job does not have. Mount it in container "
    return Standing(State.STALLED, Reason.SOURCE_NOT_MOUNTED, f"{said}{names.LABELER_CONTAINER} of spec.template.")


def run_too_long(look: Look) -> Standing | None:
    """No Job is made: Linux would start no process with such a variable."""
    if not look.excess or look.running is not None:
        return None
    return Standing(
        State.STALLED,
        Reason.RUN_TOO_LONG,
        f"The labeler's instructions are {look.excess} bytes longer than an environment variable can be (128 KiB), and "
        f"the {len(look.dataset.spec.classes)} names of spec.classes take most of it: shorten or merge some.",
    )


def cannot_start(look: Look) -> Standing | None:
    """The Job can't start: no node, no image, no quota."""
    problem = None if look.running is None else look.running.stuck(look.now)
    if problem is None or look.running is None:
        return None
    return Standing(State.WORKING, problem.reason, f"{problem.message.rstrip('.')} (Job {look.running.name}).")


def first(look: Look) -> Standing | None:
    """Nothing was found yet."""
    if look.status.last_sync is not None:
        return None
    if look.running is None and look.dataset.spec.suspend:
        return Standing(State.HELD, Reason.SUSPENDED, "spec.suspend is true: set it to false for the first sync.")
    told = "" if look.running is None else messages.failed_try(look.running)
    return Standing(State.WORKING, Reason.SYNCING, told or "The first sync lists what the fleet has captured.")


def never_due(look: Look) -> Standing | None:
    """No slot of the schedule ever comes; what the last sync found, or why it failed, is said as well."""
    if look.status.last_sync is None or look.dataset.spec.suspend or look.status.next_sync is not None:
        return None
    found = failed(look) or synced(look)
    said = f"spec.schedule {look.dataset.spec.schedule!r} names no date that ever comes: correct it. No sync starts"
    return Standing(State.STALLED, Reason.INVALID_SCHEDULE, f"{said} until then. {found.message}")


def failed(look: Look) -> Standing | None:
    """The last sync failed."""
    last = look.status.last_sync
    if last is None or last.result != "Failed":
        return None
    reason = last.reason or Reason.SYNC_FAILED
    state = State.WORKING if reason in MAY_PASS else State.STALLED
    return Standing(state, reason, messages.failed(look.status) + _suspended(look.dataset))


def synced(look: Look) -> Standing:
    """The last sync succeeded."""
    text = messages.figures(look.dataset, look.status) + messages.review(look.status.review)
    text += messages.unknown_classes(look.dataset, look.deployed) + messages.notes(look.status.notes)
    reason = Reason.SUSPENDED if look.dataset.spec.suspend else Reason.SYNCED
    return Standing(State.READY, reason, text + _suspended(look.dataset))


CHAIN: tuple[Callable[[Look], Standing | None], ...] = (
    not_mounted,
    run_too_long,
    cannot_start,
    first,
    never_due,
    failed,
    synced,
)


def _standing(look: Look) -> Standing:
    return chain.first(CHAIN, look)


def _suspended(dataset: Dataset) -> str:
    return " spec.suspend is true: no sync starts." if dataset.spec.suspend else ""


def _conditions(standing: Standing) -> tuple[Condition, ...]:
    reason, message = standing.reason, standing.message
    match standing.state:
        case State.READY:
            return conditions.ready(reason, message)
        case State.WORKING:
            return conditions.reconciling(reason, message)
        case State.HELD:
            return (conditions.false(READY, reason, message),)
        case State.STALLED:
            return conditions.stalled(reason, message)


# --- what is announced, and when to look again ------------------------------------------------------------------------


def _announcements(before: DatasetStatus, after: DatasetStatus) -> tuple[Announce, ...]:
    """An Event for each change that the stored status did not have yet; so a repeat is silent."""
    announced = []
    old, new = before.last_sync, after.last_sync
    if new is not None and new != old:
        had_failed = None if old is None or old.result != "Failed" else old.reason
        if new.result == "Failed" and new.reason != had_failed:
            announced.append(Announce("Warning", Reason.SYNC_FAILED, f"{new.reason}: {new.message}"))
        elif new.result == "Succeeded" and had_failed is not None:
            announced.append(Announce("Normal", Reason.SYNCED, "The sync succeeds again."))
    made = _made(before, after)
    return (*announced, *(() if made is None else (made,)))


def _made(before: DatasetStatus, after: DatasetStatus) -> Announce | None:
    """A version is new. One that was there before this Dataset was looked at is none."""
    latest, known = after.latest, 0 if before.latest is None else before.latest.number
    if latest is None or latest.number <= known or (before.last_sync is None and latest.number > 1):
        return None
    entry = next((entry for entry in after.versions if entry.number == latest.number), None)
    added, changed = (0, 0) if entry is None else (entry.added, entry.changed or 0)
    images = f"{latest.images} images with {latest.objects} objects, {added} images new"
    images += f", {changed} corrected" if changed else ""
    message = f"Version {latest.number} was created: {images}."
    return Announce("Normal", Reason.DATASET_VERSION_CREATED, message, version=str(latest.number))


def _requeue(
    after: DatasetStatus, running: SyncJob | None, due: schedule.Due | None, now: datetime
) -> timedelta | None:
    if running is not None:
        return running.look_again(now)
    if due is not None:
        return _UNSEEN
    return None if after.next_sync is None else max(after.next_sync - now, timedelta(seconds=1))
