"""What a capability's watches do with one change, without queues."""

from modelfleet.kube import Store


def woken(watches, kind, obj, store, before=None):
    """The names of the owners that look again, sorted, when `obj` comes (or, with `before`, comes in its place)."""
    found = {key.name for watch in watches if watch.kind == kind for key in watch.woken(before, obj, store)}
    return sorted(found)


def delays(watches, kind, obj, store, before=None):
    """For each owner that is woken, how long the news may wait, in seconds; the shortest counts."""
    found: dict[str, float] = {}
    for watch in watches:
        if watch.kind == kind:
            for key in watch.woken(before, obj, store):
                found[key.name] = min(found.get(key.name, 1e9), watch.delay.total_seconds())
    return found


def store_of(*objects):
    """A store that holds these raw objects."""
    store = Store()
    for number, obj in enumerate(objects, start=1):
        store.put({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(number)}})
    return store
