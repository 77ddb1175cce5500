"""Alerts about how the stable model does in the field."""

from modelfleet.api.reasons import Reason
from modelfleet.observability.alert import Alert
from modelfleet.observability.alerts.standing import standing

_STABLE = 'modelfleet_rollout_version_info{role="stable"}'
_DRIFTED = 'modelfleet_rollout_condition{type="DriftDetected"}'

ALERTS = (
    Alert(
        name="ModelfleetDrift",
        severity="warning",
        expr=(  # the condition, which stays while the watch is paused, as its state does not
            f"{standing(_STABLE, 'namespace, rollout, version')} and on (namespace, rollout) "
            f"{standing(_DRIFTED, 'namespace, rollout')} == 1"
        ),
        lasts="0m",
        summary=(
            "The model of {{ $labels.namespace }}/{{ $labels.rollout }} has drifted (version {{ $labels.version }})"
        ),
        description=(
            "Nodes detect differently than in their own baselines, for as long as spec.drift.sustain asks. Read "
            "status.drift.message of the Rollout: it says which figure, on how many nodes, and whether a retraining "
            "runs."
        ),
        means=(
            "The scene has changed, or the model misses what it found before. The watch has seen it for `sustain` "
            "(24h), so it is no passing cloud, and nothing that had to be seen within the minute."
        ),
        look=(
            "`status.drift` of the Rollout: message, signals, examples of nodes, and what holds a retraining back.",
            "The dashboard *Drift*: since when, and which figure. The dashboard *Model quality*: on which nodes.",
            "Frames of the nodes that are named: dirt on a lens, another light, another kind of part?",
        ),
        do=(
            "Where it is the camera (dirt, focus, a lamp), repair that: the drift is taken back automatically.",
            "Otherwise label frames of those nodes and train from them; `spec.drift.retrain` does it automatically.",
            "While what is found falls as well, consider a person beside the machine.",
        ),
        silent=(
            "In the first days after a promotion there is no baseline (`Learning`). While Prometheus does not answer, "
            "or a version is on its way, nothing new is seen (`Paused`): what was declared before stays, and so does "
            "the alert."
        ),
        reasons=(
            Reason.DRIFTING,
            Reason.SUSPECTED,
            Reason.FEWER_OBJECTS,
            Reason.MORE_CONFIDENT,
        ),
    ),
    Alert(
        name="ModelfleetLowConfidence",
        severity="warning",
        expr=(
            "modelfleet_rollout:low_confidence:ratio_rate1h - modelfleet_rollout:low_confidence:ratio_rate1h offset "
            "1d > 0.2 and modelfleet_rollout:detections:rate1h * 3600 > 200 and "
            "modelfleet_rollout:detections:rate1h offset 1d * 3600 > 200"
        ),
        lasts="30m",
        summary=(
            "Version {{ $labels.version }} of {{ $labels.namespace }}/{{ $labels.rollout }} is far less confident "
            "than yesterday"
        ),
        description=(
            "Detections with a confidence of at most 0.5 make up {{ $value | humanizePercentage }} more of all "
            "detections than at the same time yesterday. Look at frames of the nodes now; the watch for drift needs a "
            "day to say more."
        ),
        means=(
            "The fast, rough sister of ModelfleetDrift: within an hour, the whole fleet finds things far less "
            "surely than at the same hour of the day before."
        ),
        look=(
            "The dashboard *Model quality*: since when, and on all nodes or on few?",
            "Frames of a node that is hit: what is in front of the camera?",
        ),
        do=(
            "One site, or one node: look for light, dirt, a camera that was moved.",
            "The whole fleet at once: was something else changed then (a new part, another exposure)? Label such "
            "frames.",
            "Nothing changed in the world: compare the version's figures with those of the version before, and go "
            "back to it where it did better.",
        ),
        silent=(
            "It needs a day of the same version, and 200 detections in the hour, now and the day before: on a Monday "
            "after a Sunday without work it is silent. A model that misses objects entirely is not less confident: see "
            "the figure *found per frame*."
        ),
    ),
)
