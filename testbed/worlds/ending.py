"""The end of a test's namespaces.

A ModelVersion in use has a finalizer, and the operator that would take it away is gone by then. Its namespace can't end
either, and the namespace controller asks again and again for all that may be in it: with a few dozen of them the API
server has more to do for what is over than for the tests.
"""

from __future__ import annotations

from harness.any_cluster import AnyCluster

_KIND = "modelversions.modelfleet.dev"
_FREE = {"metadata": {"finalizers": None}}


def remove_namespaces(cluster: AnyCluster, *names: str) -> None:
    """Delete these namespaces with all that is in them. No operator may serve them any more."""
    objects = cluster.objects
    known = objects.get("customresourcedefinitions", _KIND) is not None
    for namespace in names:
        for version in objects.list(_KIND, namespace) if known else ():
            if "finalizers" in version["metadata"]:
                objects.patch(_KIND, version["metadata"]["name"], _FREE, namespace)
        objects.delete("namespace", namespace)
