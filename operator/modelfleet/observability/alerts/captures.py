"""Alerts about frames that are kept for labelling, on their way to the store and into a Dataset."""

from modelfleet.api.reasons import Reason
from modelfleet.observability.alert import Alert
from modelfleet.observability.alerts.standing import standing

_LOG = "The log of the sidecar: `kubectl -n NAMESPACE logs POD -c upload-captures`."
_DATASET = "namespace, dataset, model"

ALERTS = (
    Alert(
        name="ModelfleetCaptureUploadFailing",
        severity="warning",
        expr=(
            "sum by (namespace, rollout, node) (increase(modelfleet_capture_upload_failed_total[30m])) > 0 unless "
            "sum by (namespace, rollout, node) (increase(modelfleet_capture_uploaded_total[30m])) > 0 or "
            "sum by (namespace, rollout, node) "
            '(increase(modelfleet_capture_upload_failed_total{cause="SpoolUnwritable"}[30m])) > 0'
        ),
        lasts="30m",
        summary="Captures of {{ $labels.node }} do not reach the store ({{ $labels.namespace }}/{{ $labels.rollout }})",
        description=(
            "All tries to send captures have failed for half an hour, or what was sent can't be removed from the "
            "spool. Captures wait on the node's disk until their rule's share is full; then the oldest go. The label "
            "cause of modelfleet_capture_upload_failed_total says why; so does the log of container upload-captures."
        ),
        means=(
            "The node can't send frames for labelling. Nothing is lost yet: they wait in the spool, which has a limit "
            "(ModelfleetCaptureSpoolFull)."
        ),
        look=(
            'The cause: `sum by (cause) (increase(modelfleet_capture_upload_failed_total{node="NODE"}[1h]))`.',
            _LOG,
            "One node: its network. All nodes: the store, or the credentials.",
        ),
        do=(
            "AccessDenied: correct the Secret named in `spec.delivery.capture.credentialsSecret`, then restart the "
            "pods: they read it when they start.",
            "NotFound: create the bucket that `destination` names. Unreachable: repair the network or the store.",
            "Unsupported or Refused: the log has the store's answer; correct `destination`.",
            "SpoolUnreadable or SpoolUnwritable: the node's disk is broken or read-only, or the application writes as "
            "another user than the upload; give it `securityContext.runAsUser`, or folders that the group may write.",
            "Nothing to repair at night where the disk has room: `modelfleet_capture_spool_bytes` says how much waits.",
        ),
        silent=(
            "A node without captures to send tries nothing, and fails nothing. Single captures that the store refuses "
            "while it takes others are set aside, and only counted: `modelfleet_capture_refused_total`."
        ),
    ),
    Alert(
        name="ModelfleetCaptureSpoolFull",
        severity="warning",
        expr=(
            "sum by (namespace, rollout, node) (increase(modelfleet_capture_dropped_total[30m])) > 0 or sum by "
            "(namespace, rollout, node) (increase(modelfleet_capture_evicted_total[30m])) > 0"
        ),
        lasts="15m",
        summary="{{ $labels.node }} loses captures ({{ $labels.namespace }}/{{ $labels.rollout }})",
        description=(
            "Captures are removed before they were sent, or frames worth labelling are not kept. Mostly the spool is "
            "full: the upload does not keep up, or fails. See ModelfleetCaptureUploadFailing first. Dropped alone, "
            "without evictions, is a node that is too slow or whose disk fails: the application's log says which."
        ),
        means="More is captured than can be sent or written. Frames are lost, detections are not.",
        look=(
            "`modelfleet_capture_evicted_total`: a rule's share of the spool is full. "
            "`modelfleet_capture_dropped_total`: frames come faster than they are encoded, one is larger than its "
            "share, or writing fails; the application's log says which.",
            "`modelfleet_capture_spool_bytes` and `modelfleet_capture_oldest_seconds` of the node: how much waits, "
            "how long?",
            "`modelfleet_captured_frames_total` by `reason`: does one rule keep too much?",
        ),
        do=(
            "Give the rule that keeps most a longer `cooldown` or a lower `perHour`.",
            "Or give the spool more `disk`, or the upload a higher `rate`.",
        ),
        silent=(
            "A node that captures nothing at all, since its disk is full or broken, drops nothing: "
            "ModelfleetCapturePaused."
        ),
    ),
    Alert(
        name="ModelfleetCapturePaused",
        severity="warning",
        expr=(
            "max by (namespace, rollout, node, cause) "
            '(last_over_time(modelfleet_capture_paused{cause!="Suspended"}[5m])) == 1'
        ),
        lasts="15m",
        summary=(
            "{{ $labels.node }} captures nothing: {{ $labels.cause }} ({{ $labels.namespace }}/{{ $labels.rollout }})"
        ),
        description=(
            "No frame has been kept for labelling for 15 minutes, since the node's disk is full (FreeSpace) or can't "
            "be used (DiskError), its clock is wrong (ClockBeforeBuild), or the part that captures has ended (Failed). "
            "The application's log says more."
        ),
        means=(
            "There are settings for capture, and the node can't follow them. Detections go on; frames that a rule "
            "would have kept are not even counted as dropped."
        ),
        look=(
            "The log of the application on that node, for `nothing is captured`: bytes, or the error of the disk.",
            "The dashboard *Capture and labels*, *Paused*: one node, or many?",
        ),
        do=(
            "FreeSpace: free some space on the node, or lower `spec.delivery.capture.keepFree`. It goes on "
            "automatically.",
            "DiskError: is the folder there, and may the application write to it? It tries again each second.",
            "ClockBeforeBuild: let the node get the time (NTP).",
            "Failed: restart the pod, and report the traceback of the log.",
        ),
        silent="A capture that somebody suspended (`spec.delivery.capture.suspend`): they know.",
    ),
    Alert(
        name="ModelfleetCaptureSettingsInvalid",
        severity="warning",
        expr="max by (namespace, rollout, node) (last_over_time(modelfleet_capture_settings_invalid[5m])) == 1",
        lasts="15m",
        summary="{{ $labels.node }} can't read its capture settings ({{ $labels.namespace }}/{{ $labels.rollout }})",
        description=(
            "The application, the upload or both go by the last good settings. Their logs name every wrong value."
        ),
        means=(
            "The file of settings that the operator writes is not what the application on the node understands: "
            "mostly another version of the agent than the operator expects."
        ),
        look=(
            "The logs of the application and of `upload-captures` on that node: which field?",
            "`kubectl -n NAMESPACE get configmap NAME-capture -o yaml`.",
        ),
        do=(
            "Bring agent image and operator to the same release.",
            "Or take the field out of `spec.delivery.capture`.",
        ),
        silent=(
            "Members that the agent does not know are ignored and raise nothing. Without a file nothing is captured, "
            "and nothing is invalid."
        ),
    ),
    Alert(
        name="ModelfleetDatasetSyncFailing",
        severity="warning",
        expr=(  # two days and two hours: tried each night, it is not silent while a try takes longer than the last one
            f"{standing('modelfleet_dataset_sync_failures', _DATASET)} > 0 and "
            f"time() - {standing('modelfleet_dataset_sync_timestamp_seconds', _DATASET)} < 180000"
        ),
        lasts="2h",
        summary="Dataset {{ $labels.namespace }}/{{ $labels.dataset }} is not synced",
        description=(
            "Syncs that failed in a row: {{ $value }}, and none has succeeded for two hours since. The condition Ready "
            "says why and what to do (kubectl -n {{ $labels.namespace }} describe datasets.modelfleet.dev "
            "{{ $labels.dataset }}). Silent two days after the last try."
        ),
        means=(
            "Nobody is asked about new frames, and what people have corrected comes into no version, so that the next "
            "training learns nothing of it. Captures, and what was corrected, are not lost."
        ),
        look=(
            "The condition `Ready` of the Dataset: reason and message.",
            "The log of the Job's last pod, where the message points to it.",
        ),
        do=(
            "Do what the message says. A corrected spec is tried at once.",
            "What was repaired elsewhere (a Secret, Label Studio, a store) is tried at the next slot of the schedule, "
            "or at once: `kubectl -n NAMESPACE annotate datasets.modelfleet.dev NAME modelfleet.dev/sync=now@1 "
            "--overwrite --field-manager=modelfleet-cli`; each value acts once.",
        ),
        silent=(
            "A sync that succeeds within two hours of one that failed. A Dataset that is suspended is not tried, and "
            "is silent two days later."
        ),
        reasons=(Reason.SYNC_FAILED,),
    ),
)
