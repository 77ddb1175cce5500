"""Alerts about versions on their way, and about trainings."""

from modelfleet.api.reasons import Reason
from modelfleet.observability.alert import Alert
from modelfleet.observability.alerts.standing import standing

_STALLED = 'modelfleet_rollout_condition{type="Stalled",reason!="RolledBack"}'
_QUARANTINED = 'modelfleet_rollout_quarantined_timestamp_seconds{cause!="Aborted"}'
_FAILED = 'modelfleet_trainingjob_end_timestamp_seconds{result="Failed"}'
_WANTED = "last_over_time(modelfleet_rollout_group_version_info[5m])"

ALERTS = (
    Alert(
        name="ModelfleetRolloutStuck",
        severity="warning",
        expr=f"{standing(_STALLED, 'namespace, rollout, reason')} == 1",
        lasts="15m",
        summary="Rollout {{ $labels.namespace }}/{{ $labels.rollout }} is stuck: {{ $labels.reason }}",
        description=(
            "It has been Stalled for 15 minutes: something has to change first. Read the message of its condition "
            "(kubectl -n {{ $labels.namespace }} describe rollouts.modelfleet.dev {{ $labels.rollout }}), which "
            "says what to do."
        ),
        means=(
            "The operator can do nothing more: somebody has to change the Rollout, a version or the cluster. The "
            "nodes keep running what they run."
        ),
        look=(
            "The condition `Stalled` of the Rollout: `kubectl -n NAMESPACE get rollouts.modelfleet.dev NAME -o "
            "jsonpath='{.status.conditions}'`. Its reason is in the alert, its message says what to do.",
            "`status.groups[].reason` for what single nodes wait for.",
        ),
        do=(
            "Do what the message says; the table below has the reasons.",
            "To go back to the old version meanwhile, choose it in `spec.model.version`.",
        ),
        silent="While the operator is down, the last state is gone after five minutes: see ModelfleetOperatorDown.",
        reasons=(
            Reason.GATE_FAILED,
            Reason.GATE_TIMED_OUT,
            Reason.NO_DATA,
            Reason.QUARANTINED,
            Reason.INSTALL_FAILED,
            Reason.PROGRESS_DEADLINE_EXCEEDED,
            Reason.CLUSTER_REFUSES,
            Reason.MODEL_VERSION_NOT_FOUND,
            Reason.MODEL_VERSION_NOT_READY,
            Reason.MODEL_VERSION_REJECTED,
            Reason.MODEL_VERSION_BEING_DELETED,
            Reason.FORMAT_NOT_FOUND,
            Reason.SIGNATURE_KEYS_MISSING,
            Reason.INVALID_WINDOW,
            Reason.NAME_TAKEN,
            Reason.SELECTORS_TOO_COMPLEX,
            Reason.APPLY_REJECTED,
            Reason.UNREADABLE,
        ),
    ),
    Alert(
        name="ModelfleetRolledBack",
        severity="warning",
        expr=f"time() - {standing(_QUARANTINED, 'namespace, rollout, version, cause')} < 21600",
        lasts="0m",
        summary=(
            "Version {{ $labels.version }} was rolled back in {{ $labels.namespace }}/{{ $labels.rollout }}: {{ "
            "$labels.cause }}"
        ),
        description=(
            "The version failed in the field and is in quarantine; the fleet goes back to the stable version "
            "automatically. Read status.quarantined of the Rollout for the evidence before a new version is "
            "trained. Silent again after 6 hours."
        ),
        means=(
            "A gate, a check or the progress deadline found the new version worse or unable to run, or the gate could "
            "not judge it and the Rollout says to go back then. The nodes that had it go back to the stable version."
        ),
        look=(
            "`status.quarantined` and `status.history` of the Rollout: why, in words.",
            "The dashboard *Model quality*: canary beside control at that time.",
            "For a gate, the operator's log: records with the field `judgement` have every figure.",
        ),
        do=(
            "Nothing at night: the fleet is going back by the operator's doing. Check that the nodes get there "
            "(dashboard *Fleet*).",
            "Where the cause was not the version (a camera broke, a node was full), lift the quarantine with the "
            "annotation `modelfleet.dev/retry`; the Rollout's message shows it.",
            "Otherwise train a better version from what the canary nodes saw.",
        ),
        silent="A version that somebody aborted raises no alert: they know.",
        reasons=(
            Reason.ROLLED_BACK,
            Reason.GATE_FAILED,
            Reason.GATE_TIMED_OUT,
            Reason.NO_DATA,
            Reason.PROGRESS_DEADLINE_EXCEEDED,
        ),
    ),
    Alert(
        name="ModelfleetGateWithoutData",
        severity="warning",
        expr=(  # of either verdict: where they take turns, none of them lasts
            "max by (namespace, rollout, group, version) "
            '(last_over_time(modelfleet_gate_verdict{verdict=~"NoData|ProviderDown"}[5m])) == 1'
        ),
        lasts="30m",
        summary=(
            "The gate of {{ $labels.namespace }}/{{ $labels.rollout }} has nothing to judge version "
            "{{ $labels.version }} by"
        ),
        description=(
            "The version has been on hold in group {{ $labels.group }} for 30 minutes. status.gate of the Rollout has "
            "the verdict, and says more in its message. NoData: check that its pods are scraped with honorLabels and "
            "that frames arrive. ProviderDown: check the operator's way to Prometheus."
        ),
        means=(
            "Prometheus has no usable series of the canary or control nodes (NoData), or the operator gets no answer "
            "from it, or has none configured (ProviderDown). Nothing is promoted without figures."
        ),
        look=(
            "`status.gate.message` of the Rollout: which side has no figures, and why nodes were set aside.",
            'In Prometheus: `modelfleet_frames_total{rollout="NAME"}`. No series: the pods are not scraped. Series '
            "with `exported_node`: `honorLabels` is missing. Series that stand still: no frames arrive.",
        ),
        do=(
            "Let the pods be scraped: the chart's `podMonitor.enabled`, or a scrape config with `honor_labels: true`.",
            "Where frames do not arrive, see ModelfleetFramesStopped.",
            "ProviderDown: see ModelfleetPrometheusUnreachable, or set the chart's `prometheus.url`.",
            "To go on without figures, promote by hand with the annotation `modelfleet.dev/promote`.",
        ),
        silent="A group without control nodes is judged by readiness and checks, and is no NoData.",
        reasons=(
            Reason.NO_DATA,
            Reason.PROVIDER_DOWN,
            Reason.GATE_HELD,
        ),
    ),
    Alert(
        name="ModelfleetNodeOnWrongVersion",
        severity="warning",
        expr=(  # of five minutes: a scrape that is missed, or an operator that starts again, begins no new half hour
            "(max by (namespace, rollout, group, node, version) (last_over_time(modelfleet_model_info[5m])) unless on "
            f"(namespace, rollout, group, version) {_WANTED}) and on (namespace, rollout, group) {_WANTED} unless on "
            '(namespace, rollout) last_over_time(modelfleet_rollout_condition{type="Reconciling"}[5m]) == 1'
        ),
        lasts="30m",
        summary=(
            "Node {{ $labels.node }} of {{ $labels.namespace }}/{{ $labels.rollout }} runs version {{ "
            "$labels.version }}, which its group should not"
        ),
        description=(
            "For 30 minutes the node has served another version than group {{ $labels.group }} should run, and no "
            "version is on its way. Look at its pod: it may be stuck, or something else serves under the Rollout's "
            "name."
        ),
        means=(
            "What a node says it serves differs from what the operator wants of its group, while nothing is being "
            "rolled out. Figures of that node do not count for the version that is judged or watched."
        ),
        look=(
            "`kubectl -n NAMESPACE get pods -l modelfleet.dev/rollout=NAME -o wide --field-selector "
            "spec.nodeName=NODE`: two pods, or one that is Terminating?",
            "`status.groups[]` of the Rollout: updated, ready, unreachable, reason.",
            "The node's kubelet: does it still report? A node that lost the API server keeps its old pod and its "
            "figures.",
        ),
        do=(
            "Delete the pod; the DaemonSet creates it again with the right version.",
            "Where the node has lost the API server, repair that first.",
            "Where a process outside of the Rollout exports its name, give it another `ROLLOUT`.",
        ),
        silent=(
            "While a version is on its way it is silent: the progress deadline sees nodes that do not follow. A "
            "node that is not scraped is not seen."
        ),
        reasons=(
            Reason.POD_STUCK,
            Reason.NO_POD,
        ),
    ),
    Alert(
        name="ModelfleetTrainingFailed",
        severity="warning",
        expr=f"time() - {standing(_FAILED, 'namespace, training_job, model')} < 21600",
        lasts="0m",
        summary="TrainingJob {{ $labels.namespace }}/{{ $labels.training_job }} failed",
        description=(
            "No version came of it. The condition Failed says why and what to do (kubectl -n {{ $labels.namespace "
            "}} describe trainingjobs.modelfleet.dev {{ $labels.training_job }}). TrainingJobs run once: fix the "
            "cause and create a new one. Silent again after 6 hours."
        ),
        means=(
            "A training ended without a version. Where it was a retraining, drift goes on until another one succeeds."
        ),
        look=(
            "The condition `Failed` of the TrainingJob: reason and message.",
            "The log of its last pod, where the message points to it.",
        ),
        do=(
            "Do what the message says, then create a new TrainingJob. A retraining after drift is tried again "
            "automatically after `cooldown`.",
        ),
        silent="A TrainingJob that waits for a GPU has not failed; its condition `Reconciling` says what it waits for.",
        reasons=(
            Reason.DATASET_INVALID,
            Reason.DATASET_MISSING,
            Reason.OUT_OF_MEMORY,
            Reason.TRAINING_FAILED,
            Reason.EVALUATION_FAILED,
            Reason.RESULT_LOST,
            Reason.DEADLINE_EXCEEDED,
            Reason.POD_FAILED,
        ),
    ),
)
