"""Alerts about what the cameras deliver."""

from modelfleet.observability.alert import Alert

_POD = "`kubectl -n NAMESPACE get pods -l modelfleet.dev/rollout=NAME -o wide --field-selector spec.nodeName=NODE`"


def _newest(why: str) -> str:
    """The share that was left out for this of the newest frames: of a line that gives one each ten minutes, there is
    none in most windows of five. One frame alone makes no alert: its window and these eight minutes are less than 15.
    """
    return f"last_over_time(modelfleet_node:frames_{why}:ratio_rate5m[8m])"


ALERTS = (
    Alert(
        name="ModelfleetFramesDamaged",
        severity="warning",
        expr=f"{_newest('damaged')} > 0.05 or {_newest('failed')} > 0.05",
        lasts="15m",
        summary=(
            "{{ $value | humanizePercentage }} of the frames on {{ $labels.node }} are damaged or fail ({{ "
            "$labels.namespace }}/{{ $labels.rollout }})"
        ),
        description=(
            "For 15 minutes parts of frames were lost on the way (they are left out), or frames can't be decoded, or "
            "inference fails on them. Read the log of the application on that node: it names the cause once a minute."
        ),
        means="The camera, its cable or its stream delivers damaged frames, or the model can't be run on what comes.",
        look=(
            f"The log of the application: {_POD}, then `kubectl logs`.",
            "`modelfleet_frames_damaged_total` or `modelfleet_frames_failed_total`: which one rises?",
            "Damaged: parts are lost between camera and node. A lost packet costs all frames up to the next key frame.",
            "Failed, one node, or all on a version? All on a version: the version can't handle these frames.",
        ),
        do=(
            "One node: check cable, power, and load of the network; restart the camera.",
            "Frames that look whole count as damaged: the camera's stream has errors of its own that do no harm. Set "
            "`DAMAGED_FRAMES=use` in the pod template, and report the message.",
            "A whole version: abort it with the annotation `modelfleet.dev/abort`, or choose the version before.",
        ),
        silent=(
            "Fewer than one frame in twenty raises no alert, nor may a line that gives less than one in ten minutes. "
            "Pictures that a camera leaves out before it numbers its packets, and bits that changed into other valid "
            "ones, can't be seen. An application of your own may not count damage."
        ),
    ),
    Alert(
        name="ModelfleetFramesStopped",
        severity="warning",
        expr=(
            "modelfleet_node:frames:rate5m == 0 unless (modelfleet_node:frames_damaged:ratio_rate5m > 0 or "
            "modelfleet_node:frames_frozen:ratio_rate5m > 0) and on (namespace, rollout, group, version, node) "
            "last_over_time(modelfleet_model_loaded_timestamp_seconds[5m]) > 0"
        ),
        lasts="15m",
        summary="No frames on {{ $labels.node }} ({{ $labels.namespace }}/{{ $labels.rollout }})",
        description=(
            "The application answers and its model is loaded, but no frame has arrived for 15 minutes. Check the "
            "camera."
        ),
        means="The node is up and sees nothing. It is set aside by gates, and not watched for drift.",
        look=(
            f"The log of the application: {_POD}, then `kubectl logs`.",
            "Is the line switched off? Then nothing is wrong.",
        ),
        do=("Check the camera: power, network, its stream. Then restart the pod.",),
        silent=(
            "A node that is switched off or not scraped has no series at all: `up` of its pod, and "
            "`modelfleet_rollout_nodes_unreachable`. Frames that arrive and are all left out: ModelfleetFramesDamaged"
            " and ModelfleetFramesFrozen."
        ),
    ),
    Alert(
        name="ModelfleetFramesFrozen",
        severity="warning",
        expr=(
            f"{_newest('frozen')} > 0.5 or "
            "(stddev_over_time(modelfleet_node:confidence:mean_rate5m[1h]) < 0.000001 and "
            "count_over_time(modelfleet_node:confidence:mean_rate5m[1h]) >= 30)"
        ),
        lasts="15m",
        summary=(
            "{{ $labels.node }} seems to see the same picture again and again ({{ $labels.namespace }}/{{ "
            "$labels.rollout }})"
        ),
        description=(
            "For 15 minutes more than half of the pictures were the same to the last bit, or the mean confidence of "
            "the detections has not moved by a millionth for more than an hour. No live camera does that. Look at "
            "what it shows."
        ),
        means=(
            "Frames arrive, and their picture is the same, or gives the very same detections. Cameras and their "
            "drivers do that when they hang: the last picture is sent for ever. Even a scene that stands still has "
            "noise. Frozen frames are left out: gates set the node aside for having no frames, and drift isn't "
            "watched on it."
        ),
        look=("The camera's picture: does it move? Does its clock?",),
        do=(
            "Restart the camera, then the pod.",
            "The source is meant to stand still (a test pattern): set `FROZEN_AFTER=0` in the pod template. The scene"
            " is still and the camera sends key frames rarely: set `FROZEN_AFTER` to more seconds than between two of"
            " them.",
        ),
        silent=(
            "An application of your own that does not count frozen frames: a frozen picture on which nothing is "
            "detected looks like an empty line. Files and folders are recognised as frozen only by their confidences."
        ),
    ),
)
