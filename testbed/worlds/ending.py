"""The end of a test's namespaces.

A ModelVersion in use has a finalizer, and the operator that would take it away is gone by then. Its namespace can't end
either, and the namespace controller asks again and again for all that may be in it: with a few dozen of them the API
server has more to do for what is over than for the tests.
"""

from __future__ import annotations

import json

from harness.any_cluster import AnyCluster

_KIND = "modelversions.modelfleet.dev"
_FREE = '{"metadata": {"finalizers": null}}'


def remove_namespaces(cluster: AnyCluster, *names: str) -> None:
    """Delete these namespaces with all that is in them. No operator may serve them any more."""
    if cluster.kubectl("get", "customresourcedefinitions", _KIND, "--ignore-not-found", "--output=name"):
        found = json.loads(cluster.kubectl("get", _KIND, "--all-namespaces", "--output=json"))["items"]
        held = [each for each in found if each["metadata"]["namespace"] in names and "finalizers" in each["metadata"]]
        if held:
            items = json.dumps({"apiVersion": "v1", "kind": "List", "items": held})
            cluster.kubectl("patch", "--filename=-", "--type=merge", f"--patch={_FREE}", input=items)
    cluster.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=false")
