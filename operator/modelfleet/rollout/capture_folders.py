"""Rollouts of the same name, in several namespaces, whose captures go to the same folder of a store.

A capture's key begins with the Rollout's name and says nothing of its namespace: what reads the one's captures (a
Dataset, a replay) takes the other's for its own. A file:// destination is a volume of the namespace, and not looked at.
"""

from collections.abc import Iterable

from modelfleet.kube import ROLLOUT, Index, Key, Object, Store, key_of
from modelfleet.workloads import mounts


def folder(rollout: Object) -> str | None:
    """The folder that a raw Rollout's captures go to; None where there is none that another one may share."""
    capture = (rollout["spec"].get("delivery") or {}).get("capture") or {}
    destination = capture.get("destination")
    if not destination or mounts.scheme_of(destination) == "file":
        return None
    return f"{destination.rstrip('/')}/{key_of(rollout).name}/"


def _folders(rollout: Object) -> Iterable[str]:
    found = folder(rollout)
    return [] if found is None else [found]


ROLLOUTS_BY_FOLDER = Index(ROLLOUT, _folders)
"""Rollouts by the folder that their captures go to."""


def sharing(rollout: Object, store: Store) -> tuple[Key, ...]:
    """The other Rollouts whose captures go to the same folder as this raw one's."""
    own = key_of(rollout)
    found = store.keys(ROLLOUTS_BY_FOLDER, *_folders(rollout))
    return tuple(sorted(key for key in found if key != own))
