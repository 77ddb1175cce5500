"""The reasons of a Rollout: a table, as long as there are reasons."""

from modelfleet.api.reasons import ConditionType, Reason, agent
from modelfleet.api.reasons.entry import (
    APPLY_REJECTED,
    EVENT,
    GROUP,
    NOT_SEEN,
    READY,
    REPLAY,
    RETRAIN,
    STUCK,
    UNREADABLE,
    WORKING,
    Entry,
    Topic,
)

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
        topic=Topic.AWAITING_APPROVAL,
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
    Entry(
        Reason.INSTALLED,
        (EVENT,),
        "Normal",
        "The first version went through all groups and is stable.",
        topic=Topic.PROMOTED,
    ),
    Entry(
        Reason.PROMOTED,
        (*READY, EVENT),
        "Normal",
        "The stable version runs on enough nodes of every group; as an Event, a new version became stable.",
        topic=Topic.PROMOTED,
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
        topic=Topic.ROLLED_BACK,
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
        topic=Topic.FAILED,
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
        topic=Topic.FAILED,
    ),
    Entry(
        Reason.NO_DATA,
        (*WORKING, ConditionType.STALLED, EVENT),
        "Warning",
        "The metrics that the gate needs are missing; Reconciling while the version is held.",
        "Check that the nodes export their metrics and that Prometheus scrapes them.",
        topic=Topic.FAILED,
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
        topic=Topic.FAILED,
    ),
    Entry(
        Reason.CLUSTER_REFUSES,
        _STUCK,
        "Warning",
        "The cluster does not create, place or start the version's pods: a quota, a policy, no room, an image that "
        "can't be pulled. The version is held, and not quarantined.",
        "Fix what the message names; the rollout goes on automatically. To go back, abort.",
    ),
    Entry(
        Reason.ABORTED,
        (EVENT,),
        "Warning",
        "Somebody aborted the version by annotation.",
        "Choose another version, or retry this one.",
        topic=Topic.ROLLED_BACK,
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
        topic=Topic.FAILED,
    ),
    Entry(
        Reason.INVALID_WINDOW, _STUCK, "Warning", "A window in `spec.windows` is not valid.", "Correct `spec.windows`."
    ),
    Entry(
        Reason.NAME_TAKEN,
        _STUCK,
        "Warning",
        "A DaemonSet, or the ConfigMap for settings of capture, of the needed name belongs to something else.",
        "Rename the group or the Rollout, or delete what the message names.",
    ),
    Entry(
        Reason.SELECTORS_TOO_COMPLEX,
        _STUCK,
        "Warning",
        "The groups' selectors can't be expressed as node affinity.",
        "Simplify the selectors of the groups.",
    ),
    Entry(
        Reason.SIGNATURE_KEYS_MISSING,
        _STUCK,
        "Warning",
        "The Rollout demands signed models, and the operator has no key to verify signatures with.",
        "Set `signatures.publicKeys` in the operator's settings, or leave out `spec.delivery.signed`.",
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
    UNREADABLE,
    APPLY_REJECTED,
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

_CAPTURES = (
    Entry(
        Reason.SOURCE_NOT_MOUNTED,
        (ConditionType.CAPTURES_NOT_MOUNTED,),
        "Warning",
        "Captures are to be stored on a volume that the pods of a group do not have, and would be lost with the pod.",
        "Mount the volume in the container that `delivery.container` names, or choose another `destination`.",
    ),
    Entry(
        Reason.SAME_FOLDER,
        (ConditionType.CAPTURES_SHARED,),
        "Warning",
        "A Rollout of the same name in another namespace sends its captures to the same folder, where their keys do "
        "not tell them apart.",
        "Choose another `delivery.capture.destination` for one of them.",
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
        Reason.POD_NOT_STARTED,
        (GROUP,),
        "Warning",
        "A node has had a pod for longer than the progress deadline and has not come to start it.",
        "Read the pod's events (`kubectl describe pod`): its network, a volume, the pull of an image or the download "
        "of the model keeps it.",
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
        topic=Topic.DRIFT,
    ),
    Entry(
        Reason.MORE_CONFIDENT,
        _WATCH,
        "Warning",
        "The stable version is surer than in its baseline: an easier scene, or it misses the hard objects.",
        "Review some frames.",
        topic=Topic.DRIFT,
    ),
    Entry(
        Reason.FEWER_OBJECTS,
        _WATCH,
        "Warning",
        "The stable version finds less than in its baseline, and is as sure as before.",
        "Compare with a count from elsewhere, or review some frames.",
        topic=Topic.DRIFT,
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
        topic=Topic.DRIFT,
    ),
)

_RETRAINING = (
    Entry(
        Reason.RETRAINING_STARTED,
        (EVENT,),
        "Normal",
        "A TrainingJob was created from `drift.retrain.template`.",
        topic=Topic.RETRAINING,
    ),
    Entry(Reason.NOT_DUE, (RETRAIN,), "Normal", "Nothing calls for a training."),
    Entry(Reason.TRAINING_RUNNING, (RETRAIN,), "Normal", "A retraining is under way."),
    Entry(
        Reason.TEMPLATE_REJECTED,
        (RETRAIN, EVENT),
        "Warning",
        "The API server refused the TrainingJob.",
        "Correct `spec.drift.retrain.template` as the message says.",
        topic=Topic.RETRAINING_BLOCKED,
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
        topic=Topic.RETRAINING_BLOCKED,
    ),
    Entry(
        Reason.TRAINING_DELETED,
        (RETRAIN, EVENT),
        "Warning",
        "The TrainingJob for this drift was deleted before it ended, so no other one is created.",
        "Ask for another one with the annotation that the message shows.",
        topic=Topic.RETRAINING_BLOCKED,
    ),
    Entry(Reason.COOLING_DOWN, (RETRAIN,), "Normal", "The last retraining is less than the cooldown ago."),
    Entry(Reason.BUDGET_SPENT, (RETRAIN,), "Normal", "There were `maxPerWeek` retrainings within seven days."),
    Entry(
        Reason.DATASET_NOT_FOUND,
        (RETRAIN, EVENT),
        "Warning",
        "The template names no data, and there is not exactly one Dataset of the model.",
        "Create one, or name one with `dataset.from` in `drift.retrain.template`.",
        topic=Topic.RETRAINING_BLOCKED,
    ),
    Entry(
        Reason.NO_NEW_DATA,
        (RETRAIN, EVENT),
        "Warning",
        "The stable version was trained on the data already, or too little of it is new.",
        "Label the frames that the message speaks of, or set `drift.retrain.requireNewData` to false.",
        topic=Topic.RETRAINING_BLOCKED,
    ),
)

_REPLAY = (
    Entry(
        Reason.REPLAYING,
        (*WORKING, REPLAY, EVENT),
        "Normal",
        "A Job compares the new version with the stable one on captured frames, and the version waits for it.",
        "Wait; the message says until when at the latest.",
    ),
    Entry(Reason.REPLAYED, (REPLAY, EVENT), "Normal", "The replay ended; its figures are in `status.replay.found`."),
    Entry(
        Reason.REPLAY_FAILED,
        (REPLAY, EVENT),
        "Warning",
        "The replay came to no result, and the rollout goes on without; as `replay.reason` it has no other reason.",
        "Read the reason and the message in `status.replay`.",
    ),
    Entry(
        Reason.REPLAY_SKIPPED,
        (EVENT,),
        "Normal",
        "No replay was made, and the rollout goes on without.",
        "Read the reason and the message in `status.replay`.",
    ),
    Entry(
        Reason.NO_STABLE_VERSION, (REPLAY,), "Normal", "The version is the first one: there is nothing to compare with."
    ),
    Entry(
        Reason.SUSPENDED,
        (REPLAY,),
        "Normal",
        "`replay.suspend` is true.",
        "Set it to false to have new versions replayed.",
    ),
    Entry(
        Reason.GATES_SKIPPED,
        (REPLAY,),
        "Normal",
        "Somebody let the version past its gates, so that it waits for no replay.",
    ),
    Entry(
        Reason.FORMAT_NOT_FOUND,
        (REPLAY,),
        "Warning",
        "A version has no file of the format that a replay takes.",
        "Export that format as well.",
    ),
    Entry(
        Reason.SOURCE_NOT_MOUNTED,
        (REPLAY,),
        "Warning",
        "Captures or a model file are on a volume that the replay's Job does not have.",
        "Mount it in container `replay` of `spec.replay.template`.",
    ),
    Entry(
        Reason.APPLY_REJECTED,
        (REPLAY,),
        "Warning",
        "The API server refused the replay's Job.",
        "Correct what the message names: `spec.replay`, or a quota.",
    ),
    Entry(
        Reason.JOB_DELETED,
        (REPLAY,),
        "Warning",
        "The replay's Job was gone before it said what it found.",
        "Nothing: the rollout goes on without.",
    ),
    Entry(
        Reason.NO_PODS,
        (REPLAY,),
        "Warning",
        "The replay's Job has created no pod.",
        "Fix what the message names; where it names nothing, look at the Job's events.",
    ),
    Entry(
        Reason.UNSCHEDULABLE,
        (REPLAY,),
        "Warning",
        "No node takes the replay's pod.",
        "Correct its node selector and its requests in `spec.replay.template`.",
    ),
    Entry(
        Reason.SCHEDULING_GATED,
        (REPLAY,),
        "Warning",
        "The replay's pod has a scheduling gate.",
        "Look at what put it there.",
    ),
    Entry(
        Reason.IMAGE_PULL_FAILED,
        (REPLAY,),
        "Warning",
        "The image of the replay's pod can't be pulled.",
        "Correct the image, or its pull secret, in `spec.replay.template`.",
    ),
    Entry(
        Reason.DEADLINE_EXCEEDED,
        (REPLAY,),
        "Warning",
        "The replay took longer than `replay.timeout`.",
        "Raise it, or compare fewer frames.",
    ),
    Entry(
        Reason.OUT_OF_MEMORY,
        (REPLAY,),
        "Warning",
        "The replay was killed for using too much memory.",
        "Raise the memory limit of container `replay` in `spec.replay.template`.",
    ),
    Entry(
        Reason.REPLAY_CRASHED,
        (REPLAY,),
        "Warning",
        "The replay ended without saying why.",
        "Read the log of the pod that the message names.",
    ),
    Entry(
        Reason.RESULT_INVALID,
        (REPLAY,),
        "Warning",
        "The replay succeeded, and its termination message makes no sense.",
        "Use an agent image of this release.",
    ),
    Entry(
        Reason.RESULT_LOST,
        (REPLAY,),
        "Warning",
        "The replay succeeded, and its pod was gone before its result was read.",
        "Nothing: the rollout goes on without.",
    ),
    Entry(
        Reason.JOB_FAILED,
        (REPLAY,),
        "Warning",
        "The replay's Job failed, and no pod of it is left.",
        "Look at the Job's events.",
    ),
)

ENTRIES = (
    *_MOVING,
    *_GATE,
    *_STALLED,
    *_BESIDE,
    *_CAPTURES,
    *_NODES,
    *_DRIFT,
    *_RETRAINING,
    *_REPLAY,
    *agent.SERVING,
    *agent.REPLAYING,
)
