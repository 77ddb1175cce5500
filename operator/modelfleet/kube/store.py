"""The objects the operator knows, fed by watches, lists and the responses to its own writes.

Concurrency: all methods are synchronous and run on the one event loop, so each is atomic. Three writers meet here, in
any order: watch events (late by milliseconds to seconds, kopf handles objects side by side), lists (a state as of one
resource version), and the operator's own writes (newer than any event so far). The rules that make the order
irrelevant:

* The newest resourceVersion of an object wins. Kubernetes promises that versions of one type compare as integers.
* Deletions leave a tombstone, so that a late event can't resurrect an object: nothing that was written before one
  counts. What was written after it does, with the same uid, too: a watch by label says DELETED of an object that lost
  the label, and it may get it back. Only after our own delete, whose response names no version, a uid never returns
  until a watch or a list has said when it went.
* A list removes what it does not contain, unless that is newer than the list.

Whoever brings the news, each change is told to the subscribers, once. So it does not matter that the watch event of our
own write comes second and says nothing new: those who depend on the object were woken by the write's response.

Objects are raw JSON dicts without `metadata.managedFields` (half of the bytes, and of no use here). They are shared,
not copied: callers must never change what `get` and `list` return.

Nobody should have to search: an `Index` (as client-go's indexers) finds the objects that have some value, and is kept
up to date at each change; a `View` keeps what was parsed of an object for as long as the object stays the same. Both
are declared by those who use them, and cost nothing until the first use.
"""

import logging
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from modelfleet.api.foreign import first_error
from modelfleet.kinds import Key, Kind, key_of, kind_of

log = logging.getLogger(__name__)

Object = Mapping[str, Any]

Subscriber = Callable[[Kind, Object | None, Object | None], None]
"""Told of each change: kind, the object before (None: it is new), the object now (None: it is gone)."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, eq=False)
class Index:
    """Finds objects of a kind by what `values` says of each; a pure function of the raw object."""

    kind: Kind
    values: Callable[[Object], Iterable[Hashable]]


@dataclass(frozen=True, eq=False)
class View(Generic[T_co]):
    """A way to read objects of a kind; `parse` is a pure function of the raw object, and its result is never changed.

    It raises ValueError for what it can't read; whoever asks gets Unreadable, each time."""

    kind: Kind
    parse: Callable[[Object], T_co]


class Unreadable(Exception):
    """A view can't make sense of an object. The API server may take what our own models refuse: its CRDs are of another
    release, or a rule there is weaker."""

    def __init__(self, kind: Kind, key: Key, error: ValueError) -> None:
        self.kind = kind
        self.key = key
        self.why = first_error(error) if isinstance(error, ValidationError) else str(error)
        super().__init__(f"{kind.kind} {key} can't be read: {self.why}")


_TOMBSTONES = 10_000
"""Deletions remembered per kind. Events that are late by more than that many deletions do not happen: a watch delivers
in order, and a response to a write is at most one request timeout late."""


_SHORT = 64
"""Longer strings than this are hardly ever the same."""


@dataclass(frozen=True)
class _Tombstone:
    """`version`: what is not newer is gone. None: not known; nothing of this uid counts, nor what is not newer than
    `known`."""

    uid: str
    known: int
    version: int | None

    def covers(self, obj: Object) -> bool:
        if self.uid == obj["metadata"]["uid"] and self.version is None:
            return True
        return _version(obj) <= (self.known if self.version is None else self.version)


@dataclass
class _Shelf:
    """All objects of one kind, with their indexes."""

    objects: dict[Key, Object] = field(default_factory=dict)
    by_namespace: defaultdict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    by_label: defaultdict[tuple[str, str], set[Key]] = field(default_factory=lambda: defaultdict(set))
    by_owner: defaultdict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    indexes: dict[Index, defaultdict[Hashable, set[Key]]] = field(default_factory=dict)
    views: dict[View[Any], dict[Key, tuple[Object, Any]]] = field(default_factory=dict)
    tombstones: OrderedDict[Key, _Tombstone] = field(default_factory=OrderedDict)
    newest: int = 0

    def add(self, key: Key, obj: Object) -> None:
        self.drop(key)
        self.objects[key] = obj
        for index, entry in self._entries(key, obj):
            index[entry].add(key)

    def index(self, index: Index) -> Mapping[Hashable, set[Key]]:
        """The entries of an index; made from all objects at its first use."""
        entries = self.indexes.get(index)
        if entries is None:
            entries = self.indexes[index] = defaultdict(set)
            for key, obj in self.objects.items():
                for value in _indexed(index, obj):
                    entries[value].add(key)
        return entries

    def view(self, view: View[T], key: Key, obj: Object) -> T:
        """What the view makes of an object. Kept while the shelf holds this very object."""
        cache = self.views.setdefault(view, {})
        known = cache.get(key)
        if known is not None and known[0] is obj:
            parsed: T = known[1]
            return parsed
        parsed = view.parse(obj)
        if self.objects.get(key) is obj:
            cache[key] = (obj, parsed)
        return parsed

    def drop(self, key: Key) -> Object | None:
        obj = self.objects.pop(key, None)
        if obj is not None:
            for cache in self.views.values():
                cache.pop(key, None)
            for index, entry in self._entries(key, obj):
                index[entry].discard(key)
                if not index[entry]:
                    del index[entry]
        return obj

    def bury(self, key: Key, stone: _Tombstone) -> None:
        old = self.tombstones.pop(key, None)
        if old is not None and old.known > stone.known:
            stone = old
        self.tombstones[key] = stone
        if len(self.tombstones) > _TOMBSTONES:
            self.tombstones.popitem(last=False)

    def _entries(self, key: Key, obj: Object) -> Iterable[tuple[defaultdict[Any, set[Key]], Any]]:
        metadata = obj["metadata"]
        yield self.by_namespace, key.namespace
        for label in (metadata.get("labels") or {}).items():
            yield self.by_label, label
        for reference in metadata.get("ownerReferences") or ():
            yield self.by_owner, reference["uid"]
        for index, entries in self.indexes.items():
            for value in _indexed(index, obj):
                yield entries, value


class Store:
    """Objects by kind, namespace and name, with indexes by namespace, label and owner, and those that are declared."""

    def __init__(self) -> None:
        self._shelves: defaultdict[Kind, _Shelf] = defaultdict(_Shelf)
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have `subscriber` called after each change, from within the call that made it; it must only take notes."""
        self._subscribers.append(subscriber)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None. Never change what is returned."""
        return self._shelves[kind].objects.get(Key(namespace if kind.namespaced else "", name))

    def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        owner_uid: str | None = None,
    ) -> tuple[Object, ...]:
        """The objects that meet all of the given criteria, sorted by namespace and name. Never change what is returned.

        `labels` must all be equal; `owner_uid` means any owner reference, controller or not. The cost is that of the
        smallest index involved, not of the whole store.
        """
        shelf = self._shelves[kind]
        found: list[Collection[Key]] = [
            shelf.by_label.get((label, value), frozenset()) for label, value in (labels or {}).items()
        ]
        if owner_uid is not None:
            found.append(shelf.by_owner.get(owner_uid, frozenset()))
        if namespace is not None:
            found.append(shelf.by_namespace.get(namespace if kind.namespaced else "", frozenset()))
        found.sort(key=len)
        keys = found[0] if found else shelf.objects.keys()
        others = found[1:]
        return tuple(shelf.objects[key] for key in sorted(keys) if all(key in other for other in others))

    def find(self, index: Index, *values: Hashable) -> tuple[Object, ...]:
        """The objects that have any of these values in an index, sorted by namespace and name. Never change them."""
        shelf = self._shelves[index.kind]
        return tuple(shelf.objects[key] for key in sorted(self.keys(index, *values)))

    def keys(self, index: Index, *values: Hashable) -> Collection[Key]:
        """The keys of the objects that have any of these values in an index, in no order."""
        entries = self._shelves[index.kind].index(index)
        if len(values) == 1:
            return tuple(entries.get(values[0], ()))
        return {key for value in values for key in entries.get(value, ())}

    def read(self, view: View[T], obj: Object) -> T:
        """What a view makes of an object: parsed once for each version of it that the store holds. Raises Unreadable.

        An object that can't be read must harm itself alone: who reads others beside the one that it decides about uses
        `readable`.
        """
        key = key_of(obj)
        try:
            return self._shelves[view.kind].view(view, key, obj)
        except ValueError as error:
            raise Unreadable(view.kind, key, error) from error

    def readable(self, view: View[T], objects: Iterable[Object]) -> Iterator[T]:
        """What a view makes of those objects that it can read. The others' own reconciles say why they can't be."""
        for obj in objects:
            with suppress(Unreadable):
                yield self.read(view, obj)

    def count(self, kind: Kind) -> int:
        """How many objects of this kind there are."""
        return len(self._shelves[kind].objects)

    def put(self, obj: Object) -> bool:
        """Take in a version of an object. False when it says nothing new: same, older, or already deleted."""
        kind, key, version = kind_of(obj), key_of(obj), _version(obj)
        shelf = self._shelves[kind]
        tombstone = shelf.tombstones.get(key)
        if tombstone is not None and tombstone.covers(obj):
            return False
        known = shelf.objects.get(key)
        if known is not None and version <= _version(known):
            return False
        slim = _slim(obj)
        shelf.add(key, slim)
        shelf.newest = max(shelf.newest, version)
        self._tell(kind, known, slim)
        return True

    def remove(self, obj: Object) -> bool:
        """An object is gone, as a watch's DELETED event says. False when it was not there, or is a newer one by now."""
        kind, key, version = kind_of(obj), key_of(obj), _version(obj)
        shelf = self._shelves[kind]
        shelf.newest = max(shelf.newest, version)
        shelf.bury(key, _Tombstone(obj["metadata"]["uid"], version, version))
        known = shelf.objects.get(key)
        if known is None or (known["metadata"]["uid"] != obj["metadata"]["uid"] and _version(known) > version):
            return False
        self._drop(kind, key)
        return True

    def forget(self, kind: Kind, namespace: str, name: str, uid: str) -> bool:
        """The object of this uid is gone, as the response to our own delete says (which names no resourceVersion)."""
        shelf, key = self._shelves[kind], Key(namespace if kind.namespaced else "", name)
        known = shelf.objects.get(key)
        if known is None or known["metadata"]["uid"] != uid:
            return False
        shelf.bury(key, _Tombstone(uid, _version(known), None))
        self._drop(kind, key)
        return True

    def newest(self, kind: Kind) -> int:
        """The newest resourceVersion seen of this kind; take it before a list is asked for, as `seen` of `replace`."""
        return self._shelves[kind].newest

    def replace(
        self, kind: Kind, objects: Iterable[Object], version: int, *, seen: int = 0, namespace: str | None = None
    ) -> int:
        """Take in a whole list of a kind (of one `namespace`, or of all), as of resource version `version`.

        Returns how many objects differed from what was known: new, changed, or gone. An object that is missing from the
        list but newer than it stays. A list that is older than what was `seen` before it was asked for
        means that the cluster was restored from a backup: then all older knowledge, tombstones too, is void.
        """
        shelf = self._shelves[kind]
        scope = {key for key in shelf.objects if namespace is None or not kind.namespaced or key.namespace == namespace}
        rewound = version < seen
        if rewound:
            shelf.tombstones.clear()
            shelf.newest = version
        changed = 0
        listed: set[Key] = set()
        for obj in objects:
            key = key_of(obj)
            listed.add(key)
            if rewound and key in shelf.objects and _version(shelf.objects[key]) > _version(obj):
                shelf.drop(key)
            changed += self.put(obj)
        shelf.newest = max(shelf.newest, version)
        for key in scope - listed:
            known = shelf.objects[key]
            if rewound or _version(known) <= version:
                if not rewound:
                    shelf.bury(key, _Tombstone(known["metadata"]["uid"], version, version))
                self._drop(kind, key)
                changed += 1
        return changed

    def _drop(self, kind: Kind, key: Key) -> None:
        self._tell(kind, self._shelves[kind].drop(key), None)

    def _tell(self, kind: Kind, before: Object | None, now: Object | None) -> None:
        for subscriber in self._subscribers:
            subscriber(kind, before, now)


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _indexed(index: Index, obj: Object) -> list[Hashable]:
    """What an index says of an object. One that it can't read is not found by it, and is in the store all the same: a
    user's odd template must keep nobody else's objects from the operator."""
    try:
        return list(index.values(obj))
    except Exception:
        log.exception("can't be found by one of its values: %s %s", obj.get("kind"), key_of(obj))
        return []


def _slim(obj: Object) -> Object:
    """The object without `metadata.managedFields`, sharing its strings with all others.

    A parser makes each key and each value again for each object; shared, a fleet's objects take half the memory.
    """
    slim: Object = _shared({**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}})
    return slim


def _shared(value: Any) -> Any:
    if type(value) is dict:
        return {intern(key): _shared(each) for key, each in value.items()}
    if type(value) is list:
        return [_shared(each) for each in value]
    if type(value) is str and len(value) <= _SHORT:
        return intern(value)
    return value
