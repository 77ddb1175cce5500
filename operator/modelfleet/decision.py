"""What a capability decides: actions, status, announcements, and when to look again. Pure values.

A `decide` function gets a frozen snapshot and `now` and returns a `Decision`. `modelfleet.reconcile` carries it out
in this order: the actions one after the other (the first failure stops, and is tried again with backoff), then the
status when it differs from the stored one, then the announcements. The process may die after any single step; the
next reconcile starts from what is observed then. So an action must be safe to repeat, and an announcement should be
made only together with a change of status, which is what makes the repeat silent.

Pure modules take kinds from `modelfleet.kinds`, never from `modelfleet.kube` (import-linter enforces it).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol, Self

from modelfleet.api.reasons.entry import Topic
from modelfleet.kinds import Kind

Manifest = Mapping[str, Any]
"""A raw Kubernetes object: apiVersion, kind, metadata and the rest, JSON values only."""


class Status(Protocol):
    """The status of one of the four kinds, as `modelfleet.api` models it."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values under their wire names, unset fields left out."""
        ...

    @classmethod
    def model_validate(cls, obj: Any) -> Self:
        """Read the raw status of a stored object; fields that the model does not know are dropped."""
        ...


@dataclass(frozen=True)
class Apply:
    """Server-side apply with field manager `modelfleet`, forced: the fields given become so, fields that an earlier
    apply gave and this one doesn't are removed, fields of others stay."""

    manifest: Manifest


@dataclass(frozen=True)
class Create:
    """Create only. An object of that name that exists already is left alone and is no error: the next observe sees
    it.

    optional  nothing else in the decision depends on it: where the API server refuses it, the controller is told, and
    the rest is carried out"""

    manifest: Manifest
    optional: bool = False


@dataclass(frozen=True)
class Patch:
    """JSON merge patch. `metadata.resourceVersion` in the body makes it fail (Conflict, tried again) when the object
    has changed since it was read; put it in wherever the body was computed from what was read (finalizers!)."""

    kind: Kind
    namespace: str
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Delete:
    """Delete the object that has this uid, children in the background. Gone already is no error; an object of the same
    name with another uid is left alone. With `resource_version` it fails (Conflict, tried again) when the object has
    changed since it was read; put it in wherever a change may mean that the object must stay."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: str = ""


Action = Apply | Create | Patch | Delete


@dataclass(frozen=True)
class Announce:
    """A Kubernetes Event on the owner, seen in `kubectl describe`. `reason` is CamelCase and stable; `message` says
    what happened and, where the user has to act, what to do (cut at 1,024 characters). `about` is another object that
    the Event is about, not the owner: apiVersion, kind, and metadata with name, namespace, uid and resourceVersion.

    It is also a notification where the catalogue of reasons gives the reason a topic, or where `topic` does: for what
    the reason alone does not tell. `version` is the version of the model, or of the Dataset, that it speaks of: for
    programs, which should not have to read the message."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    about: Manifest | None = None
    topic: Topic | None = None
    version: str | None = None


@dataclass(frozen=True)
class Decision:
    """The outcome of one look at an owner. `status` None leaves the status as it is; `requeue_after` None means that
    only an event wakes the owner again (the steady state).

    irrevocable  an action does what can't be taken back (a candidate goes to more machines, a version is quarantined).
                 It is carried out only when decided on the owner as the API server has it now, whatever the watches
                 say; any Delete is irrevocable without being called so
    """

    actions: tuple[Action, ...] = ()
    announcements: tuple[Announce, ...] = ()
    status: Status | None = None
    requeue_after: timedelta | None = None
    irrevocable: bool = False

    @property
    def needs_newest(self) -> bool:
        """Whether the owner has to be read again before this is carried out."""
        return self.irrevocable or any(isinstance(action, Delete) for action in self.actions)
