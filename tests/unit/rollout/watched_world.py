"""The simulated cluster under chaos: it looks at every write that the operator makes, and knows what must never be.

What it holds against the operator is found here a second time, from raw objects: which group a node belongs to, what is
quarantined, which revision is stable, and what the gate said of the pods that a group has. `World.judge` and the
operator's own code for these are not used.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from modelfleet.api import names
from modelfleet.api.commands import NOTED
from modelfleet.decision import Apply, Create, Delete, Patch
from modelfleet.gate import Judgement, Plan, Verdict
from modelfleet.kinds import CONTROLLER_REVISION, DAEMON_SET, MODEL_VERSION, NODE, POD, ROLLOUT, kind_of
from unit.rollout import builders
from unit.rollout.simulation import NAMESPACE, World, said

Json = dict[str, Any]
Facts = Mapping[str, str]

SELECTORS: dict[str, Json] = {
    "canary": {"matchLabels": {"group": "canary"}},
    "site": {"matchLabels": {"group": "site"}},
    "fleet": {"matchLabels": {"group": "fleet"}},
    "rest": {"matchExpressions": [{"key": "group", "operator": "Exists"}]},
}
"""The groups there can be. `rest` overlaps with all others: what is left of it depends on the order."""

PROBLEMS: dict[str, Json | None] = {
    "no word": None,
    "crashes": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
    "no such image": {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}},
    "registry away": {"waiting": {"reason": "ErrImagePull", "message": "connection refused"}},
}
"""What a pod of a broken version says of itself."""


class Killed(Exception):
    """The operator dies right after a write."""


class WatchedWorld(World):
    """The cluster and its operator, with an eye on every write.

    verdict  what the gate says from now on; None: what the real chain makes of no figures at all
    passed   (revision, group) -> what the gate last said for certain of the pods that the group has
    """

    def __init__(self) -> None:
        super().__init__()
        self.verdict: Verdict | None = None
        self.saying = "no word"
        self.passed: dict[tuple[str, str], str] = {}

    def killed(self) -> "WatchedWorld":
        fork = super().killed()
        assert isinstance(fork, WatchedWorld)
        fork.passed, fork.stuck = dict(self.passed), set(self.stuck)
        return fork

    # --- what is so, from raw objects ---------------------------------------------------------------------------------

    @property
    def spec_now(self) -> Json:
        found: Json = self.get(ROLLOUT, "line")["spec"]
        return found

    def members(self) -> dict[str, list[str]]:
        """The nodes of each group: the first that selects a node has it, and a taint keeps pods off."""
        found: dict[str, list[str]] = {group["name"]: [] for group in self.spec_now["groups"]}
        for node in self.store.list(NODE):
            label = node["metadata"]["labels"].get("group")
            mine = next((g for g in found if label is not None and g in (label, "rest")), None)
            if mine is not None and not node["spec"].get("taints"):
                found[mine].append(node["metadata"]["name"])
        return found

    def facts(self) -> dict[str, Facts]:
        """The annotations of each ControllerRevision, by hash."""
        return {
            raw["metadata"]["labels"][names.REVISION]: raw["metadata"].get("annotations") or {}
            for raw in self.store.list(CONTROLLER_REVISION, NAMESPACE)
        }

    def stable(self) -> str | None:
        """The hash of the newest promoted revision that is not quarantined."""
        promoted = [
            (notes[names.PROMOTED_AT], raw["revision"], raw["metadata"]["labels"][names.REVISION])
            for raw in self.store.list(CONTROLLER_REVISION, NAMESPACE)
            if names.PROMOTED_AT in (notes := raw["metadata"].get("annotations") or {})
            and names.QUARANTINED_AT not in notes
        ]
        return max(promoted)[2] if promoted else None

    def quarantined(self) -> set[str]:
        """The hashes that must not be given to a group: those that failed, and all of a version that failed."""
        raws = self.store.list(CONTROLLER_REVISION, NAMESPACE)
        own, versions = set(), set()
        for raw in raws:
            notes, labels = raw["metadata"].get("annotations") or {}, raw["metadata"]["labels"]
            if names.QUARANTINED_AT in notes:
                own.add(labels[names.REVISION])
                if notes[f"{names.GROUP}/quarantined-scope"] == "Version":
                    versions.add(labels[names.VERSION])
        return own | {
            raw["metadata"]["labels"][names.REVISION]
            for raw in raws
            if raw["metadata"]["labels"][names.VERSION] in versions
        }

    def carried(self) -> dict[str, str]:
        """The hash that each group's DaemonSet carries."""
        found = {}
        for name in SELECTORS:
            raw = self.store.get(DAEMON_SET, NAMESPACE, f"line-{name}")
            if raw is not None:
                found[name] = raw["metadata"]["labels"][names.REVISION]
        return found

    def is_reachable(self, node: str) -> bool:
        return bool(self.get(NODE, node)["status"]["conditions"][0]["status"] == "True")

    # --- every write --------------------------------------------------------------------------------------------------

    def _carry_out(self, action: Apply | Create | Patch | Delete) -> None:
        stable, quarantined = self.stable(), self.quarantined()
        promoted: str | None = None
        if isinstance(action, Apply) and kind_of(action.manifest) == CONTROLLER_REVISION:
            promoted = self._new_promotion(action.manifest, quarantined)
        if isinstance(action, Apply) and kind_of(action.manifest) == DAEMON_SET:
            self._may_have(action.manifest, stable, quarantined)
        super()._carry_out(action)
        assert self.stable() == (promoted or stable), "what is stable changed, and nothing was promoted"

    def _new_promotion(self, manifest: Json, quarantined: set[str]) -> str | None:
        """The hash that this write promotes, which must be right; None where it promotes nothing."""
        metadata = manifest["metadata"]
        hash, notes = metadata["labels"][names.REVISION], metadata["annotations"]
        before = self.facts().get(hash, {})
        if notes.get(names.PROMOTED_AT) in (None, before.get(names.PROMOTED_AT)):
            return None
        assert hash not in quarantined, f"{hash} is promoted, and quarantined"
        said, known = (json.loads(facts.get(NOTED, "{}")) for facts in (notes, before))
        if not any(
            key.startswith("promote=") and key not in known for key in said
        ):  # noted and acted upon in one write
            self._went_through(hash, [group["name"] for group in self.spec_now["groups"]], before)
        return str(hash)

    def _may_have(self, manifest: Json, stable: str | None, quarantined: set[str]) -> None:
        """A group gets this revision: it has it, or it is stable, or all groups before have passed it."""
        hash = manifest["metadata"]["labels"][names.REVISION]
        group = manifest["metadata"]["name"].removeprefix("line-")
        if self.carried().get(group) == hash:
            return
        for key in [key for key in self.passed if key[1] == group]:
            del self.passed[key]
        if hash == stable:
            return
        assert hash not in quarantined, f"group {group} gets {hash}, which is quarantined"
        order = [entry["name"] for entry in self.spec_now["groups"]]
        self._went_through(hash, order[: order.index(group)], self.facts()[hash])

    def _went_through(self, hash: str, groups: list[str], notes: Facts) -> None:
        """Each of these groups has passed the revision, or has no node, or somebody let it past its gates."""
        noted = json.loads(notes.get(NOTED, "{}"))
        if any(key.startswith("promote=") and where == "gates" for key, where in noted.items()):
            return
        members, carried = self.members(), self.carried()
        for group in groups:
            if not members[group] and carried.get(group) == hash:
                self.passed.setdefault((hash, group), "no node")
            told = self.passed.get((hash, group))
            assert told in (Verdict.PASS.value, "no node"), f"{hash} goes on, and group {group} says {told} of it"

    def _judgement(self, plan: Plan) -> Judgement:
        told = super()._judgement(plan)
        if told.verdict is not Verdict.INCONCLUSIVE:
            self.passed[self.carried()[plan.group], plan.group] = told.verdict.value
        return told

    def judge_now(self, plan: Plan, now: datetime) -> Judgement | None:
        if self.verdict is None:
            return None
        early = self.verdict is Verdict.PASS and now < plan.started_at + plan.policy.soak
        verdict = Verdict.INCONCLUSIVE if early else self.verdict
        return said(plan, now, verdict, timed_out=verdict is Verdict.INCONCLUSIVE and plan.timed_out(now))

    # --- what happens to the cluster ----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Ten seconds; pods that were asked to end do so where nothing keeps them."""
        for pod in list(self.store.list(POD, NAMESPACE)):
            node = pod["spec"]["nodeName"]
            gone = self.store.get(NODE, "", node) is None
            if pod["metadata"].get("deletionTimestamp") and (
                gone or (node not in self.stuck and self.is_reachable(node))
            ):
                self.delete(POD, pod["metadata"]["name"])
        super().tick()

    def _control(self, daemon_set: Mapping[str, Any]) -> None:
        """The DaemonSet controller, which may take ready pods from no more nodes than the group's maxUnavailable; from
        none with maxSurge."""
        spec = next((g for g in self.spec_now["groups"] if f"line-{g['name']}" == daemon_set["metadata"]["name"]), None)
        before = self._serving(daemon_set)
        super()._control(daemon_set)
        after = self._serving(daemon_set)
        there = [node for node in (self.members()[spec["name"]] if spec else ()) if self.is_reachable(node)]
        taken = [node for node in there if node in before and node not in after]
        if spec is None or not taken:
            return
        most = 0 if spec.get("maxSurge") else allowed(spec["maxUnavailable"], len(self.members()[spec["name"]]))
        down = [node for node in there if node not in after]
        assert len(down) <= most, f"group {spec['name']}: {down} are down, {taken} of them taken down; {most} may be"

    def _serving(self, daemon_set: Mapping[str, Any]) -> set[str]:
        return {
            pod["spec"]["nodeName"]
            for pod in self._pods_of(daemon_set)
            if pod["status"]["conditions"][0]["status"] == "True"
        }

    def fault(self, pod: Json) -> None:
        """What a broken version's pod says."""
        state = PROBLEMS[self.saying]
        if state is not None:
            pod["status"]["containerStatuses"] = [{"name": "agent", "restartCount": 1, "state": state}]

    def put_node(self, name: str, label: str | None, *, reachable: bool = True, tainted: bool = False) -> None:
        taints = [{"key": "reserved", "effect": "NoSchedule"}] if tainted else []
        labels = {} if label is None else {"group": label}
        self.put(builders.node(name, labels, reachable=reachable, since=self.now, taints=taints))

    # --- how it ends --------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """All faults end; what people chose stays."""
        self.broken, self.no_pods, self.stuck, self.verdict = set(), set(), set(), Verdict.PASS
        for node in list(self.store.list(NODE)):
            metadata = node["metadata"]
            if node["spec"].get("taints") or not self.is_reachable(metadata["name"]):
                self.put_node(metadata["name"], metadata["labels"].get("group"))

    def settle(self, limit: timedelta = timedelta(hours=4)) -> None:
        """Let time pass until the Rollout stands where it may stay, and see that it says the truth and stays there."""
        until, quiet, untrue = self.now + limit, 0, ""
        while self.now < until and quiet < 12:
            writes = self.writes
            self.tick()
            self.operate()
            untrue = next(self._untruths(), "")
            quiet = 0 if untrue or self.writes != writes else quiet + 1
        assert not untrue, f"{self.phase}, {self.reason()}: {untrue}\n{self.message()}"
        assert quiet, "it goes on writing where it stands"
        writes, end = self.writes, self.end()
        for _ in range(30):
            self.tick()
        self.operate()
        assert (self.writes, self.end()) == (writes, end), "it begins to write again where it stands"

    def _untruths(self) -> Iterator[str]:
        """What of the end is not so: first what always has to be, then whether it is an end, and a true one."""
        stable = self.stable()
        named = f"line-{stable}" if stable else None
        if self.status.get("stableRevision") != named:
            yield f"stable is {named}, and status says {self.status.get('stableRevision')}"
        if self.status.get("observedGeneration") != self.get(ROLLOUT, "line")["metadata"]["generation"]:
            yield "the status speaks of another generation"
        if surplus := {name for name in self.carried().keys() - self.members().keys() if not self._is_needed(name)}:
            yield f"DaemonSets of {sorted(surplus)} are there, which the spec does not have"
        is_true = self._ends().get((self.phase, self.reason()))
        if is_true is None:
            yield "this is no end"
        elif not is_true():
            yield f"this is not so: {self.running} runs, {self.carried()} is carried, {self.members()} are there"

    def _is_needed(self, group: str) -> bool:
        """Whether a group that the spec does not have may have its DaemonSet: nothing may change while the Rollout is
        paused, and its nodes run on where their new group has no DaemonSet."""
        if self.spec_now.get("paused"):
            return True
        new = {node: name for name, members in self.members().items() for node in members}
        pods = self._pods_of(self.get(DAEMON_SET, f"line-{group}"))
        there = {new[node] for pod in pods if (node := pod["spec"]["nodeName"]) in new}
        return bool(there) and not there & self.carried().keys()

    def _ends(self) -> Mapping[tuple[str | None, str | None], Callable[[], bool]]:
        """Where a Rollout may stay, and when that is true."""
        here = self.status.get("currentGroup")
        manual = [group["name"] for group in self.spec_now["groups"] if group.get("approval") == "Manual"]
        goes_back = self.stable() is not None and self.spec_now["rollback"]["onFailure"]
        held = {
            ("Failed", reason): lambda: self._chosen_failed() and not goes_back
            for reason in ("InstallFailed", "GateFailed", "GateTimedOut", "NoData", "ProgressDeadlineExceeded")
        }
        return {
            ("Ready", "Promoted"): lambda: self._all_run_stable() and set(self.running.values()) <= {self._chosen()},
            ("RolledBack", "RolledBack"): lambda: self._all_run_stable() and self._chosen_failed(),
            **held,
            ("Stalled", "ModelVersionNotFound"): lambda: self._model_version(self._chosen()) is None,
            ("Stalled", "ModelVersionNotReady"): self._all_are_being_deleted,
            ("Stalled", "ModelVersionBeingDeleted"): self._all_are_being_deleted,
            ("Paused", "Paused"): lambda: bool(self.spec_now.get("paused")),
            ("WaitingForApproval", "WaitingForApproval"): lambda: here in manual,
            ("Progressing", "NoNodes"): lambda: here is not None and not self.members()[here],
        }

    def _all_run_stable(self) -> bool:
        nodes = {node for members in self.members().values() for node in members}
        return set(self.running) == nodes and set(self.carried().values()) == {self.stable()}

    def _all_are_being_deleted(self) -> bool:
        """The pinned version is; or all are, where the newest is followed."""
        pinned = self.spec_now["model"].get("version")
        raws = self.store.list(MODEL_VERSION, NAMESPACE)
        meant = [raw for raw in raws if pinned in (None, raw["spec"]["version"])]
        return bool(meant) and all("deletionTimestamp" in raw["metadata"] for raw in meant)

    def _chosen(self) -> str:
        model = self.spec_now["model"]
        if "version" in model:
            return str(model["version"])
        there = [raw for raw in self.store.list(MODEL_VERSION, NAMESPACE) if "deletionTimestamp" not in raw["metadata"]]
        newest = max(there, key=lambda raw: raw["metadata"]["creationTimestamp"], default=None)
        return "none" if newest is None else str(newest["spec"]["version"])

    def _model_version(self, version: str) -> Mapping[str, Any] | None:
        return self.store.get(MODEL_VERSION, NAMESPACE, f"parts-{version}")

    def _chosen_failed(self) -> bool:
        quarantined = self.quarantined()
        return any(
            raw["metadata"]["labels"][names.REVISION] in quarantined
            for raw in self.store.list(CONTROLLER_REVISION, NAMESPACE)
            if raw["metadata"]["labels"][names.VERSION] == self._chosen()
        )


def allowed(max_unavailable: int | str, nodes: int) -> int:
    """How many of so many nodes may be down at once; never none."""
    if isinstance(max_unavailable, int):
        return max(1, max_unavailable)
    return max(1, -(-int(max_unavailable.rstrip("%")) * nodes // 100))
