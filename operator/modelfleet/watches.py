"""Whom a change wakes: each capability declares it as `Watch`es, one for each kind of object that it goes by.

A watch names three things: the owners that depend on an object, what of the object they go by (its essence: a change of
anything else wakes nobody), and how long the news may wait, so that a burst of it becomes one look.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from modelfleet.kinds import Key, Kind, key_of
from modelfleet.kube import Object, Store

AT_ONCE = timedelta(0)


def itself(obj: Object, _store: Store) -> Iterable[Key]:
    """The owner that has changed."""
    return [key_of(obj)]


def labelled(label: str) -> Callable[[Object, Store], Iterable[Key]]:
    """The owner that a child names in this label, in its own namespace."""

    def owners(child: Object, _store: Store) -> Iterable[Key]:
        name = (child["metadata"].get("labels") or {}).get(label)
        return [Key(key_of(child).namespace, name)] if name else []

    return owners


@dataclass(frozen=True)
class Watch:
    """Owners of kind `owner` look again when an object of `kind` changes.

    owners   the keys of those that depend on this object; asked of the object before and of the object now, so that a
             label that was moved away counts. Pure over the store
    essence  what the owners go by, as values that can be compared; None: all of it
    delay    how long a change may wait for others to come
    """

    owner: Kind
    kind: Kind
    owners: Callable[[Object, Store], Iterable[Key]]
    essence: Callable[[Object], object] | None = None
    delay: timedelta = AT_ONCE

    def woken(self, before: Object | None, now: Object | None, store: Store) -> set[Key]:
        """The owners that must look again after this change."""
        if before is not None and now is not None and self._same(before, now):
            return set()
        return {key for form in (before, now) if form is not None for key in self.owners(form, store)}

    def _same(self, before: Object, now: Object) -> bool:
        if self.essence is None or before["metadata"]["uid"] != now["metadata"]["uid"]:
            return False
        return self.essence(before) == self.essence(now)
