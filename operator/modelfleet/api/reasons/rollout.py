"""The reasons of a Rollout."""

from modelfleet.api.reasons import ConditionType, Reason, agent
from modelfleet.api.reasons.entry import EVENT, GROUP, NOT_SEEN, READY, RETRAIN, STUCK, WORKING, Entry

_WAITS = (*WORKING, EVENT)
_STUCK = (*STUCK, EVENT)

_MOVING = (
    NOT_SEEN,
    Entry(Reason.ROLLOUT_STARTED, (EVENT,), "Normal", "A version started in its first group."),
    Entry(Reason.GROUP_ADVANCED, (EVENT,), "Normal", "The version moved into the next group."),
    Entry(Reason.PROGRESSING, WORKING, "Normal", "Nodes are being brought to the version they should run."),
    Entry(Reason.SOAKING, WORKING, "Normal", "The gate is judging the version in the current group."),
    Entry(
        Reason.NO_NODES,
        _WAITS,
        "Normal",
        "No node matches the current group, so nothing can be judged.",
        "Label a node for the group.",
    ),
    Entry(
        Reason.NODES_UNREACHABLE,
        _WAITS,
        "Normal",
        "All reachable nodes are ready, but they are fewer than `minReachable`.",
        "Bring nodes back, or lower `minReachable`.",
    ),
    Entry(
        Reason.WAITING_FOR_APPROVAL,
        _WAITS,
        "Normal",
        "The group is Manual and somebody must approve.",
        "Approve with the annotation that the message shows.",
    ),
    Entry(
        Reason.WAITING_FOR_WINDOW,
        _WAITS,
        "Normal",
        "The version moves on when the next window opens.",
        "Wait, or change `spec.windows`.",
    ),
    Entry(
        Reason.PAUSED, _WAITS, "Normal", "`spec.paused` holds the rollout.", "Set `spec.paused` to false to continue."
    ),
    Entry(Reason.INSTALLED, (EVENT,), "Normal", "The first version went through all groups and is stable."),
    Entry(
        Reason.PROMOTED,
        (*READY, EVENT),
        "Normal",
        "The stable version runs on enough nodes of every group; as an Event, a new version became stable.",
    ),
    Entry(
        Reason.NODES_NOT_READY,
        READY,
        "Warning",
        "The stable version is ready on too few nodes of a group.",
        "Look at the nodes and pods that the message names.",
    ),
    Entry(
        Reason.ROLLING_BACK,
        WORKING,
        "Warning",
        "The version failed and groups are going back to the stable one.",
        "Wait; the cause is in the message.",
    ),
    Entry(
        Reason.ROLLED_BACK,
        _STUCK,
        "Warning",
        "The version failed; the fleet is going, or has gone, back to the stable one.",
        "Choose another version, or retry with the annotation that the message shows.",
    ),
    Entry(
        Reason.NOT_ACTED_ON,
        (ConditionType.UNSUPPORTED_FIELDS,),
        "Warning",
        "The spec sets fields that this release does not act on.",
        "Remove the fields that the message lists, or upgrade modelfleet.",
    ),
)

_GATE = (
    Entry(Reason.GATE_PASSED, (EVENT,), "Normal", "The gate passed the version in a group."),
    Entry(
        Reason.GATE_FAILED,
        _STUCK,
        "Warning",
        "The gate failed the version; Stalled only where `rollback.onFailure` is false.",
        "Read the evidence in the message, then abort, retry, or choose another version.",
    ),
    Entry(
        Reason.GATE_HELD,
        (EVENT,),
        "Warning",
        "The gate has nothing to judge by, so the version stays where it is.",
        "Look for NoData or ProviderDown in the message.",
    ),
    Entry(Reason.GATE_RESUMED, (EVENT,), "Normal", "The gate can judge again."),
    Entry(
        Reason.GATE_TIMED_OUT,
        _STUCK,
        "Warning",
        "The gate reached no verdict in time.",
        "Decide yourself: promote or abort with the annotations that the message shows.",
    ),
    Entry(
        Reason.NO_DATA,
        (*WORKING, ConditionType.STALLED, EVENT),
        "Warning",
        "The metrics that the gate needs are missing; Reconciling while the version is held.",
        "Check that the nodes export their metrics and that Prometheus scrapes them.",
    ),
    Entry(
        Reason.PROVIDER_DOWN,
        WORKING,
        "Warning",
        "Prometheus can't be asked, or refuses the query.",
        "Check Prometheus and its address in the operator's settings.",
    ),
)

_STALLED = (
    Entry(
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        _STUCK,
        "Warning",
        "Nodes did not become ready within `progressDeadline`.",
        "Look at the pods that the message names.",
    ),
    Entry(
        Reason.ABORTED,
        (EVENT,),
        "Warning",
        "Somebody aborted the version by annotation.",
        "Choose another version, or retry this one.",
    ),
    Entry(
        Reason.QUARANTINED,
        _STUCK,
        "Warning",
        "The version is marked as failed and the recorded cause is gone.",
        "Retry it with the annotation that the message shows, or choose another version.",
    ),
    Entry(
        Reason.INSTALL_FAILED,
        _STUCK,
        "Warning",
        "The first version failed and there is nothing to go back to.",
        "Choose another version, or retry with the annotation that the message shows.",
    ),
    Entry(Reason.NO_WINDOW, _STUCK, "Warning", "No window in `spec.windows` ever opens.", "Correct `spec.windows`."),
    Entry(
        Reason.INVALID_WINDOW, _STUCK, "Warning", "A window in `spec.windows` is not valid.", "Correct `spec.windows`."
    ),
    Entry(
        Reason.NAME_TAKEN,
        _STUCK,
        "Warning",
        "A DaemonSet of the needed name belongs to something else.",
        "Rename the group or the Rollout, or delete that DaemonSet.",
    ),
    Entry(
        Reason.SELECTORS_TOO_COMPLEX,
        _STUCK,
        "Warning",
        "The groups' selectors can't be expressed as node affinity.",
        "Simplify the selectors of the groups.",
    ),
    Entry(
        Reason.OTHER_TASK,
        _STUCK,
        "Warning",
        "The version is a model for another task than the fleet runs.",
        "Use a separate Rollout for it.",
    ),
    Entry(
        Reason.FORMAT_NOT_FOUND,
        _STUCK,
        "Warning",
        "The version has no file in a format that a group needs.",
        "Export that format in a new version, or change the group's format.",
    ),
    Entry(
        Reason.MODEL_VERSION_NOT_FOUND,
        _STUCK,
        "Warning",
        "The version or tag does not exist.",
        "Create it, or correct `spec.model`.",
    ),
    Entry(
        Reason.MODEL_VERSION_NOT_READY,
        _STUCK,
        "Warning",
        "The version is not Ready.",
        "Look at the ModelVersion; the rollout continues automatically once it is Ready.",
    ),
    Entry(
        Reason.MODEL_VERSION_BEING_DELETED,
        _STUCK,
        "Warning",
        "The version is being deleted.",
        "Choose another version.",
    ),
    Entry(
        Reason.MODEL_VERSION_REJECTED,
        _STUCK,
        "Warning",
        "The version failed its evaluation.",
        "Choose another version.",
    ),
    Entry(
        Reason.APPLY_REJECTED,
        STUCK,
        "Warning",
        "The API server refused something that the operator applied.",
        "Fix what the server's message names, such as a quota, an admission policy or the pod template.",
    ),
    Entry(
        Reason.COMMAND_IGNORED,
        (EVENT,),
        "Warning",
        "An annotation command had no effect, since the version was not in a state for it.",
        "Check the version and the group that the annotation names.",
    ),
)

_BESIDE = (
    Entry(
        Reason.NO_POD,
        (ConditionType.PODS_MISSING,),
        "Warning",
        "The DaemonSet controller created no pod for some reachable nodes.",
        "Look at the DaemonSet's events.",
    ),
    Entry(
        Reason.SAME_HOST_RESOURCES,
        (ConditionType.NODES_OVERLAP,),
        "Warning",
        "Another Rollout uses the same resources on a node.",
        "Change the selectors or the host ports of one of them.",
    ),
    Entry(
        Reason.NO_NODE_MATCHES,
        (ConditionType.GROUPS_WITHOUT_NODES,),
        "Warning",
        "Some groups have no node.",
        "Label nodes for them, or remove the groups.",
    ),
    Entry(
        Reason.NO_USABLE_FILE,
        (ConditionType.VERSIONS_PASSED_OVER,),
        "Warning",
        "The tag passed over newer versions that no group can load.",
        "Export the missing format in a new version.",
    ),
)

_NODES = (
    Entry(
        Reason.POD_STUCK,
        (GROUP,),
        "Warning",
        "A pod should be gone and is still there.",
        "Look at its node, and delete the pod by force if the node is lost.",
    ),
    Entry(
        Reason.NOT_READY,
        (GROUP,),
        "Warning",
        "A container runs but its readiness probe does not pass.",
        "Read the container's log.",
    ),
    Entry(Reason.POD_FAILED, (GROUP,), "Warning", "A pod failed without giving a reason.", "Look at the pod's events."),
    Entry(
        Reason.UNSCHEDULABLE,
        (GROUP,),
        "Warning",
        "The node does not take its pod.",
        "Free resources on the node, or correct taints and requests.",
    ),
    Entry(
        Reason.ERROR, (GROUP,), "Warning", "A container ended with an error and no reason.", "Read the container's log."
    ),
)

_WATCH = (ConditionType.DRIFT_DETECTED, EVENT)

_DRIFT = (
    Entry(Reason.LEARNING, _WATCH, "Normal", "The watch for drift has no baseline of the stable version yet."),
    Entry(Reason.STEADY, _WATCH, "Normal", "The stable version behaves as in its baseline."),
    Entry(
        Reason.SUSPECTED,
        _WATCH,
        "Normal",
        "The stable version has changed its behaviour, but not for as long as `drift.sustain` yet.",
        "Look at the nodes that the message names.",
    ),
    Entry(
        Reason.DRIFTING,
        _WATCH,
        "Warning",
        "The stable version has drifted: it is less sure of what it sees than in its baseline.",
        "Look at frames of the nodes that the message names, label them, and retrain.",
    ),
    Entry(
        Reason.MORE_CONFIDENT,
        _WATCH,
        "Warning",
        "The stable version is surer than in its baseline: an easier scene, or it misses the hard objects.",
        "Review some frames.",
    ),
    Entry(
        Reason.FEWER_OBJECTS,
        _WATCH,
        "Warning",
        "The stable version finds less than in its baseline, and is as sure as before.",
        "Compare with a count from elsewhere, or review some frames.",
    ),
    Entry(
        Reason.WATCH_PAUSED,
        _WATCH,
        "Warning",
        "Drift can't be judged now: a version is on its way, or Prometheus has no figures.",
        "Read the message in `status.drift`.",
    ),
    Entry(
        Reason.NODE_DRIFTS,
        (EVENT,),
        "Warning",
        "Single nodes have drifted, and the fleet has not.",
        "Check the camera of the node; nothing is retrained for this.",
    ),
)

_RETRAINING = (
    Entry(Reason.RETRAINING_STARTED, (EVENT,), "Normal", "A TrainingJob was created from `drift.retrain.template`."),
    Entry(Reason.NOT_DUE, (RETRAIN,), "Normal", "Nothing calls for a training."),
    Entry(Reason.TRAINING_RUNNING, (RETRAIN,), "Normal", "A retraining is under way."),
    Entry(
        Reason.TEMPLATE_REJECTED,
        (RETRAIN, EVENT),
        "Warning",
        "The API server refused the TrainingJob.",
        "Correct `spec.drift.retrain.template` as the message says.",
    ),
    Entry(
        Reason.SUSPENDED,
        (RETRAIN,),
        "Normal",
        "`drift.retrain.suspend` is true.",
        "Set it to false to have versions trained automatically.",
    ),
    Entry(
        Reason.PAUSED,
        (RETRAIN,),
        "Normal",
        "`spec.paused` is true, so a new version could not be rolled out.",
        "Set `spec.paused` to false.",
    ),
    Entry(
        Reason.ROLLOUT_ACTIVE, (RETRAIN,), "Normal", "A version is on its way through the groups, or on its way back."
    ),
    Entry(
        Reason.RESULT_PENDING,
        (RETRAIN, EVENT),
        "Warning",
        "The last retraining made a version that nobody has tried.",
        "Roll it out with `spec.model`, or delete it.",
    ),
    Entry(
        Reason.TRAINING_DELETED,
        (RETRAIN, EVENT),
        "Warning",
        "The TrainingJob for this drift was deleted before it ended, so no other one is created.",
        "Ask for another one with the annotation that the message shows.",
    ),
    Entry(Reason.COOLING_DOWN, (RETRAIN,), "Normal", "The last retraining is less than the cooldown ago."),
    Entry(Reason.BUDGET_SPENT, (RETRAIN,), "Normal", "There were `maxPerWeek` retrainings within seven days."),
    Entry(
        Reason.NO_NEW_DATA,
        (RETRAIN, EVENT),
        "Warning",
        "The template's data is what the stable version was trained on.",
        "Add newer data to the template, or set `drift.retrain.requireNewData` to false.",
    ),
)

ENTRIES = (*_MOVING, *_GATE, *_STALLED, *_BESIDE, *_NODES, *_DRIFT, *_RETRAINING, *agent.SERVING)
