"""Carries out decisions: for each kind a queue, some workers, and the one-way flow observe -> decide -> apply.

Concurrency: one `Loop` per kind, with its own queue and workers, so that rollouts that wait for Prometheus never hold
up training jobs. A key is in the hands of at most one worker. Everything runs on one event loop.

Order within one reconcile: the actions one after the other, then another look at what they brought about (where the
controller can do that, see `Controller.with_status`), then the status, then the announcements. The first failure ends
it; the key comes back with exponential backoff, and everything is observed and decided again. What may go wrong:

* The process dies after any single write: the next start observes that write and goes on from there. An Event is made
  only after the status that makes its repeat silent, so at worst it is lost, never repeated for ever. A notification is
  written down before it, and is not lost (`modelfleet.notifications.notifier`).
* A write is done twice: see `modelfleet.kube.client`.
* What was read was old: responses go into the store at once, so that our own writes are never missed. The status is
  patched under the resourceVersion that is in the store; when somebody else's write is newer (a second operator during
  an update), the server answers Conflict and the key is looked at again. A watch may be cut for minutes while writes
  still go through: before what can't be taken back, the owner is read from the API server (`Decision.needs_newest`),
  and an abort or a pause that was set meanwhile is obeyed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from modelfleet import prometheus, status_patch, telemetry
from modelfleet.api.reasons import Reason
from modelfleet.decision import Action, Announce, Apply, Create, Decision, Delete, Patch, Status
from modelfleet.kube import (
    AlreadyExists,
    ApiError,
    Client,
    Conflict,
    Forbidden,
    Invalid,
    Key,
    Kind,
    LogTails,
    NotFound,
    Object,
    Queue,
    Store,
    Unavailable,
    Unreadable,
    key_of,
)
from modelfleet.notifications.notifier import Nobody, Transitions
from modelfleet.settings import Settings

log = logging.getLogger(__name__)

Snapshot = TypeVar("Snapshot")


@dataclass(frozen=True)
class Deps:
    """What a capability's `controller(deps)` may use. Only `observe` functions get it; `decide` stays pure."""

    store: Store
    client: Client
    logs: LogTails
    prometheus: prometheus.Providers
    settings: Settings
    wake: Callable[[Kind, Key], None]
    """Queue an owner now: what an `on_line` callback of `logs.follow` calls."""
    clock: Callable[[], datetime]
    """The time (UTC) for an `observe` that must ask for something as of now; the same clock that `decide` gets."""
    metrics: telemetry.Metrics
    """Where an `observe` shows what it saw."""
    notifier: Transitions = field(default_factory=Nobody)
    """Who is notified of what is announced, beside the Events."""


@dataclass(frozen=True)
class Controller(Generic[Snapshot]):
    """One kind's way to see and to judge.

    `observe` gathers a frozen snapshot for a key (from the store, and what else it needs), or None when the owner is
    gone; it changes nothing. `decide` is pure. Either may raise: the key is retried with backoff, and the log says why.
    """

    kind: Kind
    observe: Callable[[Key], Awaitable[Snapshot | None]]
    decide: Callable[[Snapshot, datetime], Decision]
    with_status: Callable[[Snapshot, Any], Snapshot] | None = None
    """The snapshot as it would be had this status been written. With it, what actions bring about is looked at before
    the status is written, and comes into the same write; without it, that takes a second write."""
    refused: Callable[[Key, Create, str], None] | None = None
    """Takes what the API server said when it refused an `optional` action, for the next `observe`. Without it none
    is."""


class Refused(Exception):
    """The API server refused an action for what it says, or forbids it: the owner's user has to read why."""

    def __init__(self, action: Action, error: Invalid | Forbidden) -> None:
        super().__init__(error.message)
        self.action = action
        self.error = error


class Loop(Generic[Snapshot]):
    """Runs one controller: takes keys from `queue`, and hands each to `reconcile` until the queue is closed."""

    def __init__(
        self, controller: Controller[Snapshot], deps: Deps, queue: Queue[Key], metrics: telemetry.Metrics
    ) -> None:
        self.kind = controller.kind
        self.queue = queue
        self._controller = controller
        self._deps = deps
        self._metrics = metrics
        self._runs = 0

    async def work(self) -> None:
        """One worker; start as many as should run side by side. Ends when the queue is closed, after its last key."""
        while (key := await self.queue.get()) is not None:
            try:
                await self._process(key)
            finally:
                self.queue.done(key)

    async def _process(self, key: Key) -> None:
        self._runs += 1
        started = asyncio.get_running_loop().time()
        fields = {"kind": self.kind.kind, "namespace": key.namespace, "name": key.name, "object": str(key)}
        with telemetry.bind(**fields, reconcile=str(self._runs)):
            result = await self._attempt(key)
        self._metrics.reconciles.labels(self.kind.kind, result).inc()
        self._metrics.reconcile_seconds.labels(self.kind.kind).observe(asyncio.get_running_loop().time() - started)

    async def _attempt(self, key: Key) -> str:
        """One reconcile and what follows from its outcome; the outcome's name."""
        at_least = timedelta(0)
        try:
            async with asyncio.timeout(self._deps.settings.reconcile_timeout.total_seconds()):
                requeue_after = await reconcile(
                    self._controller, key, self._deps, self._metrics, lambda: self.queue.observed(key)
                )
        except Conflict as error:
            self._failed(error)
            delay = self.queue.retry(key)
            log.info("met a newer version of an object, looking again in %s: %s", _short(delay), error.message)
            return "conflict"
        except ApiError as error:
            if isinstance(error, Unavailable) and error.retry_after is not None:
                at_least = timedelta(seconds=error.retry_after)
            self._failed(error)
            delay = self.queue.retry(key, at_least)
            log.warning("could not apply (%s), trying again in %s: %s", _name(error), _short(delay), error.message)
            return "error"
        except Unreadable as error:
            self._failed(error)
            await _report_unreadable(self.kind, key, error, self._deps)
            delay = self.queue.retry(key)
            log.error("trying again in %s: %s", _short(delay), error)
            return "error"
        except Exception as error:  # a bug or a broken dependency: it must not end the worker
            self._failed(error)
            delay = self.queue.retry(key)
            log.error("reconcile failed, trying again in %s", _short(delay), exc_info=error)
            return "error"
        self.queue.forget(key)
        if requeue_after is None:
            return "done"
        self.queue.add_after(key, max(requeue_after, _SHORTEST_REQUEUE))
        return "requeued"

    def _failed(self, error: Exception) -> None:
        self._metrics.reconcile_errors.labels(self.kind.kind, _name(error)).inc()


_SHORTEST_REQUEUE = timedelta(milliseconds=100)
"""A decision that asks to be woken at once, again and again, must not keep a CPU busy."""


async def reconcile(
    controller: Controller[Snapshot],
    key: Key,
    deps: Deps,
    metrics: telemetry.Metrics,
    observing: Callable[[], None] = lambda: None,
) -> timedelta | None:
    """Observe, decide and apply, for one owner. Returns when to look again, if at all without an event.

    `observing` is called before each further look within this reconcile: the news until then will have been seen.
    Raises ApiError for what the API server refused or could not do, and whatever observe and decide raise.
    """
    before = deps.store.get(controller.kind, key.namespace, key.name)
    if before is None:
        await controller.observe(key)  # for the controller to forget it
        return None
    status: Status | None = None
    announcements: list[Announce] = []
    decision = Decision()
    look = _Look(controller, key, deps)
    for number in range(_LOOKS if controller.with_status is not None else 1):
        if number:
            observing()
        try:
            found = await look.again(status)
            if found is None:
                return None
            decision = found
            await _carry_out_all(controller, key, decision.actions, deps, metrics)
        except Refused as refusal:
            await _tell(controller.kind, before, status, announcements, deps, metrics)
            await _report_rejection(controller.kind, key, before, refusal, deps)
            raise refusal.error from None
        except Exception:
            # What an earlier look of this reconcile announces was made true by its own writes, and is not found again.
            await _tell(controller.kind, before, status, announcements, deps, metrics)
            raise
        status = decision.status if decision.status is not None else status
        announcements += decision.announcements
        if not decision.actions or not _is_same(before, deps.store.get(controller.kind, key.namespace, key.name)):
            break
    await _tell(controller.kind, before, status, announcements, deps, metrics)
    return decision.requeue_after


class _Look(Generic[Snapshot]):
    """Observes and decides, within one reconcile. Before a decision that can't be taken back, the owner is read from
    the API server, at most once for each of its resource versions."""

    def __init__(self, controller: Controller[Snapshot], key: Key, deps: Deps) -> None:
        self._controller = controller
        self._key = key
        self._deps = deps
        self._newest = ""

    async def again(self, status: Any) -> Decision | None:
        """The decision, had `status` been written already; None when the owner is gone."""
        based_on = self._version()
        decision = await self._decide(status)
        if decision is None or not decision.needs_newest or based_on == self._newest:
            return decision
        kind = self._controller.kind
        try:
            owner = await self._deps.client.get(kind, *self._key)
        except NotFound:
            return None  # the watch will say so, too
        self._deps.store.put(owner)
        self._newest = owner["metadata"]["resourceVersion"]
        if based_on == self._newest:
            return decision
        log.info("was about to act on an older version of %s, and decides again", kind.kind)
        return await self._decide(status)

    async def _decide(self, status: Any) -> Decision | None:
        snapshot = await self._controller.observe(self._key)
        if snapshot is None:
            return None
        if status is not None and self._controller.with_status is not None:
            snapshot = self._controller.with_status(snapshot, status)
        return self._controller.decide(snapshot, self._deps.clock())

    def _version(self) -> str:
        owner = self._deps.store.get(self._controller.kind, *self._key)
        return "" if owner is None else owner["metadata"]["resourceVersion"]


async def _tell(
    kind: Kind,
    before: Object,
    status: Status | None,
    announcements: Sequence[Announce],
    deps: Deps,
    metrics: telemetry.Metrics,
) -> None:
    """Write the status where it differs from the one decided upon, then what follows from it."""
    async with deps.notifier.transition(kind, before, announcements, deps.clock()):
        if status is not None:
            patch = status_patch.patch_for(before.get("status") or {}, status)
            if patch is not None and await _write_status(kind, key_of(before), before, patch, deps):
                metrics.status_writes.labels(kind.kind).inc()
    for announcement in announcements:
        log.info("announced %s: %s", announcement.reason, announcement.message)
        try:
            await deps.client.post_event(
                announcement.about or before,
                announcement.type,
                announcement.reason,
                announcement.message,
                deps.clock(),
            )
        except ApiError as error:  # the status says it all; an Event is a courtesy that must not hold up the rest
            log.warning("could not record the Event %s: %s", announcement.reason, error.message)
            metrics.reconcile_errors.labels(kind.kind, "Event").inc()


_LOOKS = 3
"""Looks within one reconcile, at most: what actions bring about, and what that brings about. More come by the queue."""


def _is_same(before: Object, now: Object | None) -> bool:
    return now is not None and now["metadata"]["uid"] == before["metadata"]["uid"]


async def _carry_out_all(
    controller: Controller[Any],
    key: Key,
    actions: Iterable[Action],
    deps: Deps,
    metrics: telemetry.Metrics,
) -> None:
    """Raises Refused for an action that the owner's user must hear about, and any other ApiError as it is."""
    kind = controller.kind
    for action in actions:
        try:
            await _carry_out(action, deps)
        except (Invalid, Forbidden) as error:
            if controller.refused is not None and isinstance(action, Create) and action.optional:
                controller.refused(key, action, error.message)
                log.warning("%s was refused: %s", _named_target(action), error.message)
                continue
            raise Refused(action, error) from error
        metrics.actions.labels(kind.kind, _name(action)).inc()
        log.info("%s", _told(action))


async def _carry_out(action: Action, deps: Deps) -> None:
    """Do one action, and take what the server answers into the store, so that the next look sees it."""
    match action:
        case Apply(manifest):
            deps.store.put(await deps.client.apply(manifest))
        case Create(manifest):
            try:
                deps.store.put(await deps.client.create(manifest))
            except AlreadyExists:
                log.info("%s existed already", _named(manifest))
        case Patch(kind, namespace, name, body):
            deps.store.put(await deps.client.patch(kind, namespace, name, body))
        case Delete(kind, namespace, name, uid, resource_version):
            rest = await deps.client.delete(kind, namespace, name, uid, resource_version)
            if rest is None:
                deps.store.forget(kind, namespace, name, uid)
            else:
                deps.store.put(rest)


async def _write_status(kind: Kind, key: Key, before: Object, patch: Mapping[str, Any], deps: Deps) -> bool:
    """Patch the status, unless the owner is gone. Raises Conflict when its status is not the one that was decided upon.

    The resourceVersion of the store is used, and not the one of `before`: our own actions may have changed the owner's
    metadata (a finalizer). That somebody else changed its *status* meanwhile is found by comparing.
    """
    current = deps.store.get(kind, key.namespace, key.name)
    if current is None or current["metadata"]["uid"] != before["metadata"]["uid"]:
        return False
    if (current.get("status") or {}) != (before.get("status") or {}):
        raise Conflict("the status was changed by another process")
    body = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"]}, "status": patch}
    deps.store.put(await deps.client.patch_status(kind, key.namespace, key.name, body))
    return True


async def _report_rejection(kind: Kind, key: Key, before: Object, refusal: Refused, deps: Deps) -> None:
    """Tell the owner's user what the API server refused, in the server's words."""
    if isinstance(refusal.error, Forbidden) and refusal.error.is_terminating:
        return  # the namespace goes, and the owner with it
    current = deps.store.get(kind, key.namespace, key.name)
    if current is None or not _is_same(before, current):
        return
    message = f"The API server refused {_named_target(refusal.action)}: {refusal.error.message}"
    await _report_stuck(kind, key, current, Reason.APPLY_REJECTED, message, deps)


async def _report_unreadable(kind: Kind, key: Key, found: Unreadable, deps: Deps) -> None:
    """Tell the owner's user which object the operator can't read, and what is wrong with it."""
    current = deps.store.get(kind, key.namespace, key.name)
    if current is None:
        return
    of_another = "" if (found.kind, found.key) == (kind, key) else f" of {found.kind.kind} {found.key}"
    message = f"The operator can't read this{of_another}, though the API server took it: {found.why}"
    await _report_stuck(kind, key, current, Reason.UNREADABLE, message, deps)


async def _report_stuck(kind: Kind, key: Key, current: Object, reason: Reason, message: str, deps: Deps) -> None:
    patch = status_patch.stuck(current, reason, message, deps.clock())
    if patch is None:
        return
    try:
        await _write_status(kind, key, current, patch, deps)
    except ApiError as failure:  # what it is about is what must be raised and retried
        log.warning("could not report %s in the status: %s", reason, failure.message)


def _told(action: Action) -> str:
    verbs = {Apply: "applied", Create: "created", Patch: "patched", Delete: "deleted"}
    return f"{verbs[type(action)]} {_named_target(action)}"


def _named_target(action: Action) -> str:
    match action:
        case Apply(manifest) | Create(manifest):
            return _named(manifest)
        case Patch(kind, namespace, name, _) | Delete(kind, namespace, name, _, _):
            return f"{kind} {Key(namespace, name)}"


def _named(manifest: Mapping[str, Any]) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {Key(metadata.get('namespace') or '', metadata['name'])}"


def _name(value: object) -> str:
    return type(value).__name__


def _short(delay: timedelta) -> str:
    return f"{delay.total_seconds():.1f} s"
