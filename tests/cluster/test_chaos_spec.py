"""Acto's idea: each field of the spec of each example is changed and changed back, and everything is as it was before.

Changed are the fields that an example has, and set are those that only the CRD has, where a value for them is known:
from another example, or from the schema. What the API server takes is changed in groups, each in a copy of the example
of its own, so that all of them go on at once. MODELFLEET_CHAOS=n: other groups each time, smaller ones.
"""

from __future__ import annotations

import copy
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from harness import Cluster
from harness.paths import REPOSITORY
from harness.prometheus import Prometheus
from modelfleet.api import names
from modelfleet.rollout import manifests
from modelfleet.workloads.pods import REQUIRED
from worlds.api_faults import Guard
from worlds.chaos_stories import Seen
from worlds.rollout import model_version
from worlds.torture import Torture, torture

Json = dict[str, Any]
Step = str | int
At = tuple[Step, ...]

APP = "modelfleet.dev/app"
APPS = ("line", "yard")
ENUMS = {
    "Hold": "Rollback", "Pause": "Rollback", "Auto": "Threshold", "Manual": "Automatic", "Node": "Pod",
    "onnx": "engine", "engine": "onnx", "Scratch": "FineTune", "FineTune": "Scratch",
}  # fmt: skip
KEPT = {("spec", "model", "tag")}
"""There is one version, which every example means by its own tag; another tag means none."""
TOGETHER = 4 if "MODELFLEET_CHAOS" in os.environ else 16
"""So many fields are changed at once, at most."""


@dataclass(frozen=True)
class Change:
    """A field of an example, and its other value."""

    path: At
    value: Any

    @property
    def blocks(self) -> bool:
        """With it nothing else may be acted on: it is changed on its own."""
        of_group = self.path[1] == "groups" and self.path[-1] == "name"
        return of_group or self.path[1] == "model" or self.path[-1] in ("paused", "signed", "suspend")

    def on(self, manifest: Json) -> Json:
        """The manifest with it."""
        found = copy.deepcopy(manifest)
        holder: Any = found
        for step in self.path[:-1]:
            holder = holder[step]
        holder[self.path[-1]] = self.value
        return found


@dataclass(frozen=True)
class Place:
    """A copy of an example, and the changes that are made to it there."""

    example: str
    manifest: Json
    changes: tuple[Change, ...]

    @property
    def changed(self) -> Json:
        found = self.manifest
        for change in self.changes:
            found = change.on(found)
        return found


def test_fields_that_were_changed_and_changed_back_leave_no_trace(
    crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], prometheus: Prometheus, tmp_path: Path
) -> None:
    examples = dict(documents())
    changes = {name: [*changed(manifest), *added(name, examples)] for name, manifest in examples.items()}
    for labels in ({"modelfleet.dev/group": "canary"}, {"accelerator": "orin"}, *({APP: app} for app in APPS)):
        kwok_nodes(1, labels)
    with torture(crds, namespace, Guard(), tmp_path, prometheus.url) as tortured:
        alone = dict(zip(examples, tortured.places.add(len(examples)), strict=True))
        server = Server(crds, {name: (manifest, alone[name]) for name, manifest in examples.items()})
        install(tortured, {alone[name]: manifest for name, manifest in examples.items()})
        taken = {name: [each for each in found if server.takes(name, each)] for name, found in changes.items()}
        places = list(grouped(examples, taken, server))
        spaces = dict(zip(tortured.places.add(len(places)), places, strict=True))
        install(tortured, {space: place.manifest for space, place in spaces.items()})
        before = settled(tortured, spaces)
        tortured.places.apply(lambda space: [spaces[space].changed], spaces)
        until(tortured, spaces, looked_at)
        tortured.until_quiet()
        tortured.places.apply(lambda space: [spaces[space].manifest], spaces)
        after = settled(tortured, spaces)
        for space, place in spaces.items():
            named = [".".join(map(str, each.path)) for each in place.changes]
            assert after[space] == before[space], f"one of {named} of {place.example}"
    asked, made = sum(map(len, changes.values())), sum(len(place.changes) for place in places)
    print(f"{asked} fields of {len(examples)} examples in {len(places)} groups, {asked - made} changes refused")
    assert made > 150


def grouped(examples: Mapping[str, Json], taken: Mapping[str, list[Change]], server: Server) -> Iterator[Place]:
    """Changes that the API server takes together, of one example each; by chance, the same each time unless asked."""
    dice = random.Random() if "MODELFLEET_CHAOS" in os.environ else random.Random(14)
    for name, found in taken.items():
        left = dice.sample(found, len(found))
        while left:
            group: list[Change] = []
            for each in tuple(left):
                fits = not group or not (each.blocks or group[0].blocks)
                if fits and len(group) < TOGETHER and all(apart(each.path, other.path) for other in group):
                    group.append(each)
                    if len(group) > 1 and not server.takes(name, *group):
                        group.pop()
                        continue
                    left.remove(each)
            yield Place(name, examples[name], tuple(group))


def apart(one: At, other: At) -> bool:
    """Neither is part of the other, or in the same entry of a list of alternatives."""
    length = min(len(one), len(other))
    return one[:length] != other[:length]


class Server:
    """Asks the API server whether it takes a change of an example that is there already; nothing is changed."""

    def __init__(self, cluster: Cluster, there: Mapping[str, tuple[Json, str]]) -> None:
        self._api = client.CustomObjectsApi(config.new_client_from_config(str(cluster.kubeconfig)))
        self._there = there

    def takes(self, name: str, *changes: Change) -> bool:
        manifest, namespace = self._there[name]
        group, version = manifest["apiVersion"].split("/")
        body = Place(name, manifest, changes).changed
        plural = f"{manifest['kind'].lower()}s"
        try:
            self._api.patch_namespaced_custom_object(
                group, version, namespace, plural, manifest["metadata"]["name"], body, dry_run="All",
                field_manager="kubectl", force=True, _content_type="application/apply-patch+yaml",
            )  # fmt: skip
        except client.ApiException as error:
            if error.status not in (400, 403, 422):
                raise
            return False
        return True


def install(tortured: Torture, manifests: Mapping[str, Json]) -> None:
    """The examples in their namespaces, with the one version that they are about."""
    parent = model_version("v1", ("onnx", "engine", "pytorch"), model="parts-detector")
    models = [space for space, each in manifests.items() if each["kind"] != "ModelVersion"]
    tortured.places.apply(lambda _: [parent], models)
    tortured.places.apply(lambda space: [manifests[space]], manifests)


def documents() -> Iterator[tuple[str, Json]]:
    """The objects of our kinds in the examples, each with its file and number."""
    for path in sorted((REPOSITORY / "examples").glob("*.yaml")):
        for number, found in enumerate(yaml.safe_load_all(path.read_text())):
            if found["apiVersion"].startswith("modelfleet.dev/"):
                yield f"{path.stem}-{number}", prepared(found)


def prepared(manifest: Json) -> Json:
    """The example, on the one version that there is, with no wait that a test can't bear."""
    if manifest["kind"] == "Rollout":
        manifest["metadata"]["annotations"] = {"modelfleet.dev/promote": "v1"}
        manifest["spec"]["model"] = {"name": "parts-detector", "tag": "latest"}
        if "windows" in manifest["spec"]:
            manifest["spec"]["windows"] = [{"cron": "0 * * * *", "duration": "1h", "timeZone": "Europe/Rome"}]
        if "replay" in manifest["spec"]:
            manifest["spec"]["replay"]["suspend"] = True
        manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
    return dict(manifest)


def until(tortured: Torture, spaces: Mapping[str, Place], so: Callable[[Seen, str, str], bool]) -> None:
    by_space = {space: (place.manifest["kind"], place.manifest["metadata"]["name"]) for space, place in spaces.items()}
    tortured.until(lambda seen: [space for space in by_space if not so(seen[space], *by_space[space])], "a look")


def settled(tortured: Torture, spaces: Mapping[str, Place]) -> dict[str, Json]:
    """What there is of each example once all newest specs were looked at and nothing is written any more. What counts
    up is left out."""
    until(tortured, spaces, observed)
    found = tortured.until_quiet()
    return {
        space: shown(found[space], place.manifest["kind"], place.manifest["metadata"]["name"])
        for space, place in spaces.items()
    }


def shown(seen: Seen, kind: str, name: str) -> Json:
    status = seen.status(kind, name)
    return {
        "conditions": seen.conditions(kind, name),
        "status": {key: status.get(key) for key in ("phase", "stableRevision", "candidateVersion", "currentGroup")},
        "running": seen.running,
        "daemonSets": [
            (each["metadata"]["name"], as_if_never_moved(each["spec"]), each["metadata"]["labels"])
            for each in seen.of("DaemonSet")
        ],
    }


def as_if_never_moved(spec: Json) -> Json:
    """A DaemonSet's spec without what a group that was away, and has its nodes back, keeps until its next revision: its
    pods wait for those of other groups to leave their nodes. To take that away would restart them."""
    found = copy.deepcopy(spec)
    labels = found["template"]["metadata"]["labels"]
    if affinity := found["template"]["spec"].get("affinity"):
        apart = manifests.others(labels[names.ROLLOUT], labels[names.NODE_GROUP])
        if affinity.get("podAntiAffinity") == {REQUIRED: [apart]}:
            del affinity["podAntiAffinity"]
    return found


def looked_at(seen: Seen, kind: str, name: str) -> bool:
    """It has looked at the newest spec."""
    found = seen.get(kind, name)
    return bool(seen.status(kind, name).get("observedGeneration") == found["metadata"]["generation"])


def observed(seen: Seen, kind: str, name: str) -> bool:
    """The same, and it is not on its way to where that leads."""
    ready = [(status, reason) for condition, status, reason in seen.conditions(kind, name) if condition == "Ready"]
    return looked_at(seen, kind, name) and bool(ready) and ready[0][0] != "Unknown" and ready[0][1] != "Progressing"


# --- which fields, and what they are changed to -----------------------------------------------------------------------


def changed(manifest: Json) -> Iterator[Change]:
    """Each field of the example's spec with another value."""
    for path, value in leaves(manifest["spec"], ("spec",)):
        if path not in KEPT:
            yield Change(path, other(value))


def added(name: str, examples: Mapping[str, Json]) -> Iterator[Change]:
    """Each field that the CRD has and the example has not, with a value of another example's or of the schema's."""
    manifest = examples[name]
    given = {
        anywhere(path): value
        for each in examples.values()
        if each["kind"] == manifest["kind"]
        for path, value in nodes(each["spec"], ("spec",))
    }
    for path, schema in absent(manifest["spec"], schema_of(manifest["kind"]), ("spec",)):
        value = given.get(anywhere(path), of_schema(schema))
        if value is not None:
            yield Change(path, value)


def schema_of(kind: str) -> Json:
    """That of the spec of a kind."""
    for path in (REPOSITORY / "crds").glob("*.yaml"):
        crd = yaml.safe_load(path.read_text())
        if crd["spec"]["names"]["kind"] == kind:
            found: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            return found
    raise AssertionError(f"no CRD of {kind}")


def absent(value: Any, schema: Json, path: At) -> Iterator[tuple[At, Json]]:
    """Fields of the schema, in what is there, that are not there."""
    if isinstance(value, dict):
        for key, below in schema.get("properties", {}).items():
            if key in value:
                yield from absent(value[key], below, (*path, key))
            else:
                yield (*path, key), below
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from absent(entry, schema.get("items", {}), (*path, index))


def of_schema(schema: Json) -> Any:
    """A value that is not the default; None where the schema does not tell one."""
    default = schema.get("default")
    if "enum" in schema:
        return next((each for each in schema["enum"] if each != default), None)
    match schema.get("type"):
        case "boolean":
            return not default
        case "integer":
            return (default if isinstance(default, int) else int(schema.get("minimum", 0))) + 1
    return other(default) if isinstance(default, str) else None


def nodes(value: Any, path: At) -> Iterator[tuple[At, Any]]:
    """Everything below, with its path."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in below:
        yield (*path, step), inner
        yield from nodes(inner, (*path, step))


def leaves(value: Any, path: At) -> Iterator[tuple[At, Any]]:
    """Each plain value with its path."""
    return ((at, found) for at, found in nodes(value, path) if not isinstance(found, dict | list))


def anywhere(path: At) -> At:
    """The path without places in lists."""
    return tuple("*" if isinstance(step, int) else step for step in path)


def other(value: Any) -> Any:
    """Another value of the same form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value in ENUMS:
        return ENUMS[value]
    number = re.fullmatch(r"(\d+)(%|[A-Za-z]*)", value)
    if number:
        return f"{int(number[1]) + 1}{number[2]}"
    if re.fullmatch(r"0\.\d+", value):
        return f"0.{int(value[2:]) + 1:0{len(value) - 2}d}"
    return f"{value}x"
