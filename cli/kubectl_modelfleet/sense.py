"""Whether a command makes sense as a Rollout stands: for which version, and what will happen; or why not. Pure."""

from dataclasses import dataclass

from kubectl_modelfleet.failures import Refused, near
from kubectl_modelfleet.view import RolloutView, Standing
from modelfleet.api.reasons import Reason


@dataclass(frozen=True)
class Sensible:
    """The version that is meant, what will happen to it, and what else to know."""

    version: str
    effect: str
    notes: tuple[str, ...] = ()


def approve(shown: RolloutView, version: str | None, *, in_advance: bool) -> Sensible:
    """A version that waits for approval; or, in advance, one that is to come."""
    moving, group = shown.moving, shown.status.current_group
    waiting = moving is not None and shown.reason == Reason.WAITING_FOR_APPROVAL
    if in_advance:
        if version is None:
            raise Refused("approving in advance needs the version: approve ROLLOUT VERSION --in-advance")
        effect = f"{version} may leave the first Manual group that it waits in without being asked for."
        return Sensible(version, effect, _paused(shown))
    if not waiting or moving is None:
        raise Refused(f"nothing waits for approval: {_where(shown)} To approve beforehand: --in-advance.")
    if version not in (None, moving):
        raise Refused(f"{version} does not wait for approval, {moving} does, in group {group}.")
    return Sensible(moving, f"{moving} may leave group {group}.", _paused(shown))


def promote(shown: RolloutView, version: str | None) -> Sensible:
    """The version on its way."""
    moving = _on_its_way(shown, version, "promote")
    if shown.unasked:  # the operator would keep it for when the spec asks for the version again
        raise Refused(f"{moving} is on its way, and spec.model does not come to it: {_where(shown)}")
    if shown.stopped(moving) is not None:  # left where it failed: the operator would ignore it
        again = shown.advised(f"retry {shown.name} {moving}")
        raise Refused(f"{moving} failed, and is judged no more: {again} lifts that first. ({_where(shown)})")
    groups = [group.status.name for group in shown.groups]
    at = groups.index(shown.status.current_group) if shown.status.current_group in groups else 0
    effect = f"{moving} passes all remaining gates and approvals: of {', '.join(groups[at:])}."
    notes = ("Nodes must still become ready, and windows still count.", *_paused(shown))
    return Sensible(moving, effect, notes)


def abort(shown: RolloutView, version: str | None) -> Sensible:
    """The version on its way, or one that failed and was left where it is."""
    moving = _on_its_way(shown, version, "abort")
    stable, quarantined = shown.stable_called, f"and {moving} is quarantined (retry lifts that)."
    if shown.status.stable_version is None:
        return Sensible(moving, f"{moving} is stopped where it is: nothing is stable to go back to, {quarantined}")
    nodes = sum(group.status.updated for group in shown.groups if shown.runs_moving(group.status))
    if nodes == 0:
        return Sensible(moving, f"{moving} is stopped before a node has it, {quarantined}")
    back = (
        f"the {nodes} nodes that have {moving} go back to {stable}" if nodes != 1 else f"1 node goes back to {stable}"
    )
    return Sensible(moving, f"{back}, {quarantined}")


def retry(shown: RolloutView, version: str | None) -> Sensible:
    """A version that is quarantined."""
    failed = shown.quarantined
    if not failed:
        raise Refused(f"nothing is quarantined: {_where(shown)}")
    if version is None and len(failed) > 1:
        raise Refused(f"{', '.join(failed)} are quarantined: say which one.")
    if version is not None and version not in failed:
        raise Refused(f"{version} is not quarantined.{near(version, failed)}")
    chosen = version or failed[0]
    again = (
        chosen == shown.pinned and shown.standing is not Standing.READY
    )  # it runs, and another template of it failed
    effect = f"the quarantine of {chosen} is lifted" + (
        ", and it starts again in the first group." if again else "; it is rolled out again if spec.model means it."
    )
    return Sensible(chosen, effect, _paused(shown))


def retrain(shown: RolloutView) -> Sensible:
    """A Rollout that has a template to train from, and a stable version to start from."""
    if not shown.retrains:
        raise Refused(f"{shown.name} has no spec.drift.retrain, which says how to train: add it first (docs/drift.md).")
    stable = shown.status.stable_version
    if stable is None:
        raise Refused(f"nothing is stable yet to start from: {_where(shown)}")
    notes = []
    if shown.stable is None:
        notes.append(
            f"{shown.stable_called} is stable, and no version of {shown.model}: it begins once there is one, unless the"
            " template names what it starts from."
        )
    drift = shown.drift()
    if drift is not None and drift.retrain is not None and drift.retrain.reason == Reason.TRAINING_RUNNING:
        notes.append(f"It begins when the training that is running is over: {drift.retrain.message}")
    start = f", starting from {shown.stable}" if shown.stable is not None else ""
    effect = f"a TrainingJob is created from spec.drift.retrain{start}."
    return Sensible(stable, effect, tuple(notes))


def undo(shown: RolloutView, to: str | None) -> Sensible:
    """The version of the spec's model that was stable before; through all groups and gates, as any other."""
    stable = shown.stable_called
    if shown.status.stable_version is None:
        raise Refused(f"nothing is stable yet: {_where(shown)}")
    if shown.moving is not None and not shown.moves_stable:
        raise Refused(f"{shown.moving} is on its way: abort takes it back. ({_where(shown)})")
    before = dict.fromkeys(
        entry.version
        for entry in shown.status.history
        if entry.result in ("Promoted", "Installed") and entry.version != shown.stable and shown.is_of_model(entry)
    )
    if to is None and not before:
        if shown.stable is None:
            raise Refused(
                f"spec.model names {shown.model}, of which the history of {shown.name} has no version; {stable} is"
                f" stable. Set spec.model.name to {shown.stable_model} to stay with that, or say a version with --to."
            )
        raise Refused(f"the history of {shown.name} has no version before {stable}: say one with --to.")
    version = to or next(iter(before))
    if version == shown.stable:
        raise Refused(f"{version} is stable already.")
    if shown.stopped(version) is not None:
        lift = shown.advised(f"retry {shown.name} {version}")
        raise Refused(f"{version} is quarantined: lift that first ({lift}).")
    effect = f"{version} is rolled out in place of {stable}, through all groups and gates."
    notes = [reservation] if (reservation := shown.reservation(version)) else []
    if shown.tag is not None:
        notes.append(
            f"spec.model follows tag {shown.tag} no longer: newer versions wait until you set the tag again"
            f" (kubectl patch rollouts.modelfleet.dev {shown.name} -n {shown.namespace}{shown.cluster} --type=merge"
            " --field-manager=modelfleet-cli"
            f' -p \'{{"spec":{{"model":{{"tag":"{shown.tag}","version":null}}}}}}\').'
        )
    return Sensible(version, effect, (*notes, *_paused(shown)))


def _on_its_way(shown: RolloutView, version: str | None, verb: str) -> str:
    moving = shown.moving
    if moving is None:
        advice = " To go back to the version before: undo." if verb == "abort" else ""
        raise Refused(f"there is nothing to {verb}: {_where(shown)}{advice}")
    if shown.status.phase == "RollingBack":
        raise Refused(f"there is nothing to {verb}: {_where(shown)}")
    if version not in (None, moving):
        raise Refused(f"{version} is not on its way, {moving} is.")
    return moving


def _where(shown: RolloutView) -> str:
    message = shown.message
    return f"{shown.name} is {shown.status.phase or 'Pending'}" + (f": {message}" if message else ".")


def _paused(shown: RolloutView) -> tuple[str, ...]:
    if not shown.paused:
        return ()
    return (f"{shown.name} is paused: nothing moves on before {shown.advised(f'resume {shown.name}')}.",)
