"""For each alert: series on which it must fire, and near misses on which it must not. Values as promtool writes them:
"0+60x30" is 0 and thirty steps of 60; one value a minute."""

from dataclasses import dataclass

Series = dict[str, str]

NODE = 'namespace="factory",rollout="line",group="fleet",version="v1",node="n1",pod="p",model="parts"'
ROLLOUT = 'namespace="factory",rollout="line"'
AT_NODE = {"namespace": "factory", "rollout": "line", "node": "n1"}
AT_VERSION = {**AT_NODE, "group": "fleet", "version": "v1"}
AT_ROLLOUT = {"namespace": "factory", "rollout": "line"}
DAY = 24 * 60
GAP = "stale _ _"
"""What Prometheus has while the operator's pod is replaced."""


@dataclass(frozen=True)
class Case:
    """`labels`: of the alert that fires, without its severity; None: none fires. `at`: minutes. `value`: as its text
    has it, where it has one."""

    alert: str
    about: str
    series: Series
    labels: dict[str, str] | None
    at: int = 60
    value: str = ""


def confidence(low: str, all_of: str, mean: str = "") -> Series:
    """Counters of one node: detections up to 0.5, all, and the sum of confidences."""
    found = {f'modelfleet_detection_confidence_bucket{{{NODE},le="0.5"}}': low}
    found[f"modelfleet_detection_confidence_count{{{NODE}}}"] = all_of
    return found | ({f"modelfleet_detection_confidence_sum{{{NODE}}}": mean} if mean else {})


def frames(used: str, damaged: str = "0x120", frozen: str = "0x120") -> Series:
    """Counters of one node that is ready: frames through the model, and those left out."""
    return {
        f"modelfleet_frames_total{{{NODE}}}": used,
        f"modelfleet_frames_damaged_total{{{NODE}}}": damaged,
        f"modelfleet_frames_frozen_total{{{NODE}}}": frozen,
        f"modelfleet_model_loaded_timestamp_seconds{{{NODE}}}": "1x120",
    }


def condition(type: str, reason: str, values: str) -> Series:
    return {f'modelfleet_rollout_condition{{{ROLLOUT},type="{type}",reason="{reason}"}}': values}


def verdict(name: str, values: str = "1x120") -> Series:
    return {f'modelfleet_gate_verdict{{{ROLLOUT},group="canary",version="v2",verdict="{name}"}}': values}


STABLE = {f'modelfleet_rollout_version_info{{{ROLLOUT},role="stable",version="v1"}}': "1x120"}


def quarantined(cause: str, since: int) -> Series:
    labels = f'{ROLLOUT},version="v2",cause="{cause}"'
    return {f"modelfleet_rollout_quarantined_timestamp_seconds{{{labels}}}": f"{since}x{DAY}"}


def trained(result: str, at: int) -> Series:
    labels = f'namespace="factory",training_job="parts-v3",model="parts",result="{result}"'
    return {f"modelfleet_trainingjob_end_timestamp_seconds{{{labels}}}": f"{at}x{DAY}"}


def paused(cause: str, values: str = "1x120") -> Series:
    return {f'modelfleet_capture_paused{{{NODE},cause="{cause}"}}': values}


def synced(failures: str, at: int = 0) -> Series:
    """Of one Dataset: syncs that failed in a row, and when the last one ended."""
    labels = 'namespace="factory",dataset="parts",model="parts"'
    return {
        f"modelfleet_dataset_sync_failures{{{labels}}}": failures,
        f"modelfleet_dataset_sync_timestamp_seconds{{{labels}}}": f"{at}x300",
    }


def nightly() -> Series:
    """Of one Dataset: a sync that failed in the first minute of a day, and in the tenth of the next one."""
    labels = 'namespace="factory",dataset="parts",model="parts"'
    return {
        f"modelfleet_dataset_sync_failures{{{labels}}}": f"1x{DAY + 9} 2x120",
        f"modelfleet_dataset_sync_timestamp_seconds{{{labels}}}": f"0x{DAY + 9} {(DAY + 10) * 60}x120",
    }


def serving(version: str, wanted: str, values: str = "1x120", wanted_of: str = "1x120") -> Series:
    node = NODE.replace('version="v1"', f'version="{version}"')
    return {
        f'modelfleet_model_info{{{node},sha256="a"}}': values,
        f'modelfleet_rollout_group_version_info{{{ROLLOUT},group="fleet",version="{wanted}"}}': wanted_of,
    }


def operators(**pods: tuple[str, str]) -> Series:
    """Of each operator's pod: whether it is ready, and whether it works."""
    return {
        f'modelfleet_operator_{name}{{pod="{pod}"}}': values
        for pod, both in pods.items()
        for name, values in zip(("ready", "leader"), both, strict=True)
    }


def ready(values: str) -> Series:
    return {"modelfleet_operator_ready": values}


def queries(**results: str) -> Series:
    return {
        f'modelfleet_operator_prometheus_queries_total{{provider="default",result="{result}"}}': values
        for result, values in results.items()
    }


_STEADY = "0+60x120"
_FROZEN = confidence("0x180", "0+180x180", "0+150.3x180")
_NOISY = confidence("0x180", "0+180x180", " ".join(f"{150.3 * n + 0.05 * (n * 7 % 5):.3f}" for n in range(180)))
_UNSURE = confidence(f"0+6x{DAY} {6 * DAY}+30x120", f"0+60x{DAY + 120}")
_LESS_SURE_AND_LITTLE = confidence(f"0+0.1x{DAY} {DAY // 10}+1x120", f"0+2x{DAY + 120}")
_AFTER_A_SUNDAY = confidence(f"0x{DAY} 0+30x120", f"0+1x{DAY} {DAY}+60x120")
_SCRAPED = " ".join(["1x8 stale"] * 12)
_THREE = synced("_x10 1x60 2x60 3x60")
_GATE = {**AT_ROLLOUT, "group": "canary", "version": "v2"}
_SLOW = " ".join(f"{n}x5" for n in range(20))
_SLOWER = "0x11 1x23 " + " ".join(f"{n}x11" for n in range(2, 9))
_DYING = "1x20 " + "stale _x4 1 " * 20
_UPGRADED = "1x30 stale _x3 1x20 stale _x3 1x60"

CASES = (
    Case(
        "ModelfleetRolloutStuck", "a stalled Rollout", condition("Stalled", "GateTimedOut", "1x120"),
        {**AT_ROLLOUT, "reason": "GateTimedOut"},
    ),
    Case("ModelfleetRolloutStuck", "rolled back is another alert", condition("Stalled", "RolledBack", "1x120"), None),
    Case("ModelfleetRolloutStuck", "stalled for ten minutes", condition("Stalled", "InvalidWindow", "_x50 1x10"), None),
    Case("ModelfleetRolloutStuck", "a stalled Rollout, while the operator is upgraded",
         condition("Stalled", "GateTimedOut", f"1x55 {GAP} 1x60") | ready(f"1x55 {GAP} 1x60"),
         {**AT_ROLLOUT, "reason": "GateTimedOut"}, at=57),
    Case("ModelfleetRolloutStuck", "the new operator runs, and has read nothing yet",
         condition("Stalled", "GateTimedOut", f"1x55 {GAP} 1x60") | ready("1x55 stale 0 0 1x60"),
         {**AT_ROLLOUT, "reason": "GateTimedOut"}, at=58),
    Case("ModelfleetRolloutStuck", "it was deleted",
         condition("Stalled", "GateTimedOut", "1x55 stale") | ready("1x120"), None, at=57),
    Case("ModelfleetRolledBack", "while the operator is upgraded",
         dict.fromkeys(quarantined("GateFailed", 0), f"0x55 {GAP} 0x60") | ready(f"1x55 {GAP} 1x60"),
         {**AT_ROLLOUT, "version": "v2", "cause": "GateFailed"}, at=57),
    Case("ModelfleetRolledBack", "an hour ago", quarantined("GateFailed", 0),
         {**AT_ROLLOUT, "version": "v2", "cause": "GateFailed"}),
    Case("ModelfleetRolledBack", "seven hours ago", quarantined("GateFailed", 0), None, at=420),
    Case("ModelfleetRolledBack", "somebody aborted it", quarantined("Aborted", 0), None),
    Case("ModelfleetGateWithoutData", "half an hour of NoData", verdict("NoData"),
         _GATE),
    Case("ModelfleetGateWithoutData", "no provider configured", verdict("ProviderDown"),
         _GATE),
    Case("ModelfleetGateWithoutData", "Prometheus answers now and then, and has nothing",
         verdict("NoData", "1x3 0x3 " * 12) | verdict("ProviderDown", "0x3 1x3 " * 12), _GATE),
    Case("ModelfleetGateWithoutData", "the operator was upgraded meanwhile", verdict("NoData", f"1x45 {GAP} 1x60"),
         _GATE),
    Case("ModelfleetGateWithoutData", "not decided yet", verdict("Inconclusive"), None),
    Case("ModelfleetNodeOnWrongVersion", "an old pod that stays", serving("v1", "v2"), AT_VERSION),
    Case("ModelfleetNodeOnWrongVersion", "an old pod that is not scraped now and then", serving("v1", "v2", _SCRAPED),
         AT_VERSION),
    Case("ModelfleetNodeOnWrongVersion", "the operator was upgraded meanwhile",
         serving("v1", "v2", wanted_of=f"1x45 {GAP} 1x60"), AT_VERSION),
    Case("ModelfleetNodeOnWrongVersion", "of a Rollout of the same name in another namespace",
         serving("v1", "v1")
         | {series.replace("factory", "other"): values for series, values in serving("v2", "v2").items()}, None),
    Case("ModelfleetNodeOnWrongVersion", "the right version", serving("v2", "v2"), None),
    Case("ModelfleetNodeOnWrongVersion", "a version is on its way",
         serving("v1", "v2") | condition("Reconciling", "Progressing", "1x120"), None),
    Case("ModelfleetNodeOnWrongVersion", "the operator is gone",
         {f'modelfleet_model_info{{{NODE},sha256="a"}}': "1x120"}, None),
    Case("ModelfleetTrainingFailed", "an hour ago", trained("Failed", 0),
         {"namespace": "factory", "training_job": "parts-v3", "model": "parts"}),
    Case("ModelfleetTrainingFailed", "one that ended well", trained("Complete", 0), None),
    Case("ModelfleetTrainingFailed", "seven hours ago", trained("Failed", 0), None, at=420),
    Case("ModelfleetDrift", "declared", STABLE | condition("DriftDetected", "Drifting", "1x120"),
         {**AT_ROLLOUT, "version": "v1"}),
    Case("ModelfleetDrift", "declared, and now the watch is paused: a version is on its way, or Prometheus is down",
         STABLE | condition("DriftDetected", "WatchPaused", "1x120"), {**AT_ROLLOUT, "version": "v1"}),
    Case("ModelfleetDrift", "suspected only", STABLE | condition("DriftDetected", "Suspected", "0x120"), None),
    Case("ModelfleetLowConfidence", "from a tenth to a half", _UNSURE, {**AT_ROLLOUT, "version": "v1"}, at=DAY + 110,
         value="40%"),
    Case("ModelfleetLowConfidence", "as yesterday", confidence(f"0+6x{DAY + 120}", f"0+60x{DAY + 120}"), None,
         at=DAY + 110),
    Case("ModelfleetLowConfidence", "too few detections to say", _LESS_SURE_AND_LITTLE, None, at=DAY + 110),
    Case("ModelfleetLowConfidence", "too few yesterday, when nobody worked, to compare with", _AFTER_A_SUNDAY, None,
         at=DAY + 110),
    Case("ModelfleetFramesDamaged", "one in ten",
         {f"modelfleet_frames_total{{{NODE}}}": _STEADY, f"modelfleet_frames_failed_total{{{NODE}}}": "0+6x120"},
         AT_VERSION, value="10%"),
    Case("ModelfleetFramesDamaged", "one in sixty",
         {f"modelfleet_frames_total{{{NODE}}}": _STEADY, f"modelfleet_frames_failed_total{{{NODE}}}": "0+1x120"}, None),
    Case("ModelfleetFramesDamaged", "one in ten was left out", frames("0+54x120", damaged="0+6x120"), AT_VERSION,
         value="10%"),
    Case("ModelfleetFramesDamaged", "one in sixty was left out", frames("0+59x120", damaged="0+1x120"), None),
    Case("ModelfleetFramesDamaged", "each, of a line that gives one in six minutes", frames("0x120", damaged=_SLOW),
         AT_VERSION, value="100%"),
    Case("ModelfleetFramesDamaged", "one alone, of a line that gives one in twelve minutes",
         frames(_SLOWER, damaged="0x24 1x95"), None, at=40),
    Case("ModelfleetFramesStopped", "of a line that gives one in six minutes", frames(_SLOW), None),
    Case("ModelfleetFramesFrozen", "each picture, of a line that gives one in six minutes",
         frames("0x120", frozen=_SLOW), AT_VERSION),
    Case("ModelfleetFramesStopped", "all were damaged", frames("0x120", damaged="0+60x120"), None),
    Case("ModelfleetFramesStopped", "the picture is frozen", frames("0x120", frozen="0+60x120"), None),
    Case("ModelfleetFramesStopped", "none of any kind", frames("0x120"), AT_VERSION),
    Case("ModelfleetFramesFrozen", "left out by the agent", frames("0x120", frozen="0+60x120"), AT_VERSION),
    Case("ModelfleetFramesFrozen", "a third is still", frames("0+40x120", frozen="0+20x120"), None),
    Case("ModelfleetFramesDamaged", "no frames at all",
         {f"modelfleet_frames_total{{{NODE}}}": "0x120", f"modelfleet_frames_failed_total{{{NODE}}}": "0x120"}, None),
    Case("ModelfleetFramesStopped", "the counter stands still",
         {f"modelfleet_frames_total{{{NODE}}}": "0+60x20 1200x100",
          f"modelfleet_model_loaded_timestamp_seconds{{{NODE}}}": "1x120"}, AT_VERSION),
    Case("ModelfleetFramesStopped", "the counter stands still, and is not scraped now and then",
         {f"modelfleet_frames_total{{{NODE}}}": _SCRAPED,
          f"modelfleet_model_loaded_timestamp_seconds{{{NODE}}}": _SCRAPED}, AT_VERSION),
    Case("ModelfleetFramesStopped", "the model is still being loaded",
         {f"modelfleet_frames_total{{{NODE}}}": "0x120",
          f"modelfleet_model_loaded_timestamp_seconds{{{NODE}}}": "0x120"}, None),
    Case("ModelfleetFramesStopped", "frames arrive",
         {f"modelfleet_frames_total{{{NODE}}}": _STEADY,
          f"modelfleet_model_loaded_timestamp_seconds{{{NODE}}}": "1x120"}, None),
    Case("ModelfleetFramesFrozen", "the very same detections", _FROZEN, AT_VERSION, at=150),
    Case("ModelfleetFramesFrozen", "a still scene with noise", _NOISY, None, at=150),
    Case("ModelfleetFramesFrozen", "frozen for half an hour",
         confidence("0x180", "_x120 0+180x60", "_x120 0+150.3x60"), None, at=150),
    Case("ModelfleetFramesFrozen", "nothing is detected", confidence("0x180", "0x180", "0x180"), None, at=150),
    Case("ModelfleetCaptureUploadFailing", "all tries fail",
         {f'modelfleet_capture_upload_failed_total{{{NODE},cause="AccessDenied"}}': "0+1x120",
          f'modelfleet_capture_uploaded_total{{{NODE},reason="sample"}}': "5x120"}, AT_NODE, at=90),
    Case("ModelfleetCaptureUploadFailing", "some get through",
         {f'modelfleet_capture_upload_failed_total{{{NODE},cause="Unreachable"}}': "0+1x120",
          f'modelfleet_capture_uploaded_total{{{NODE},reason="sample"}}': "0+1x120"}, None, at=90),
    Case("ModelfleetCaptureUploadFailing", "what was sent can't be removed, and is sent again and again",
         {f'modelfleet_capture_upload_failed_total{{{NODE},cause="SpoolUnwritable"}}': "0+1x120",
          f'modelfleet_capture_uploaded_total{{{NODE},reason="sample"}}': "0+1x120"}, AT_NODE, at=90),
    Case("ModelfleetCaptureSpoolFull", "captures are evicted",
         {f'modelfleet_capture_evicted_total{{{NODE},reason="unsure"}}': "0+1x120"}, AT_NODE),
    Case("ModelfleetCaptureSpoolFull", "frames are dropped",
         {f"modelfleet_capture_dropped_total{{{NODE}}}": "0+1x120"}, AT_NODE),
    Case("ModelfleetCaptureSpoolFull", "once, two hours ago",
         {f"modelfleet_capture_dropped_total{{{NODE}}}": "0 5x240"}, None, at=120),
    Case("ModelfleetCapturePaused", "the disk is full", paused("FreeSpace"), {**AT_NODE, "cause": "FreeSpace"}),
    Case("ModelfleetCapturePaused", "one scrape in ten is missed", paused("DiskError", _SCRAPED),
         {**AT_NODE, "cause": "DiskError"}),
    Case("ModelfleetCapturePaused", "somebody suspended it", paused("Suspended"), None),
    Case("ModelfleetCapturePaused", "a node without a clock of its own has started",
         paused("ClockBeforeBuild", "_x50 1x9 0x60"), None),
    Case("ModelfleetCaptureSettingsInvalid", "said by one of the two processes",
         {f'modelfleet_capture_settings_invalid{{{NODE},endpoint="metrics"}}': "1x120",
          f'modelfleet_capture_settings_invalid{{{NODE},endpoint="metrics-capture"}}': "0x120"}, AT_NODE),
    Case("ModelfleetCaptureSettingsInvalid", "one scrape in ten is missed",
         {f"modelfleet_capture_settings_invalid{{{NODE}}}": _SCRAPED}, AT_NODE),
    Case("ModelfleetCaptureSettingsInvalid", "valid",
         {f"modelfleet_capture_settings_invalid{{{NODE}}}": "0x120"}, None),
    Case("ModelfleetDatasetSyncFailing", "three in a row", _THREE,
         {"namespace": "factory", "dataset": "parts", "model": "parts"}, at=180, value="3"),
    Case("ModelfleetDatasetSyncFailing", "three in a row, and an upgrade of the operator",
         {series: values.replace("2x60", f"2x28 {GAP} 2x29") for series, values in _THREE.items()},
         {"namespace": "factory", "dataset": "parts", "model": "parts"}, at=180, value="3"),
    Case("ModelfleetDatasetSyncFailing", "the next one succeeded", synced("_x10 1x60 0x120"), None, at=180),
    Case("ModelfleetDatasetSyncFailing", "it is tried each night, and took longer this time", nightly(),
         {"namespace": "factory", "dataset": "parts", "model": "parts"}, at=DAY + 60, value="2"),
    Case("ModelfleetDatasetSyncFailing", "the last try was two days ago", synced("3x180", -2 * 86400), None, at=180),
    Case("ModelfleetOperatorDown", "it is gone", operators(a=("1x20 _x100", "1x20 _x100")), {}),
    Case("ModelfleetOperatorDown", "it dies soon after it is ready, each six minutes",
         operators(a=(_DYING, _DYING)), {}, at=90),
    Case("ModelfleetOperatorDown", "two upgrades within half an hour", operators(a=(_UPGRADED, _UPGRADED)), None,
         at=62),
    Case("ModelfleetOperatorDown", "Prometheus has just been started", operators(a=("1x120", "1x120")), None, at=12),
    Case("ModelfleetOperatorDown", "it is not ready", operators(a=("0x120", "1x120")), {}),
    Case("ModelfleetOperatorDown", "one of two is ready, and works",
         operators(a=("0x120", "0x120"), b=("1x120", "1x120")), None),
    Case("ModelfleetOperatorDown", "both stand by, since neither gets the Lease",
         operators(a=("1x120", "0x120"), b=("1x120", "0x120")), {}),
    Case("ModelfleetOperatorDown", "the one that works is not in sync, the other stands by",
         operators(a=("0x120", "1x120"), b=("1x120", "0x120")), {}),
    Case("ModelfleetOperatorDown", "the other one takes over",
         operators(a=("1x50 _x70", "1x50 _x70"), b=("1x120", "0x51 1x69")), None, at=57),
    Case("ModelfleetOperatorDown", "a restart", operators(a=("1x45 _x6 0 1x60", "1x45 _x6 1 1x60")), None, at=57),
    Case("ModelfleetPrometheusUnreachable", "all queries fail",
         queries(ProviderDown="0+5x120", Samples="100x120"), {"provider": "default"}),
    Case("ModelfleetPrometheusUnreachable", "a watch over a week tries each 35 minutes",
         queries(ProviderDown=" ".join(f"{n}x34" for n in range(6)), Samples="100x210"),
         {"provider": "default"}, at=170),
    Case("ModelfleetPrometheusUnreachable", "one look of a watch over a week failed, and was answered 35 minutes later",
         queries(ProviderDown="0x60 1x150", Samples="8x95 16x115"), None, at=90),
    Case("ModelfleetPrometheusUnreachable", "an hourly look failed, and was answered five minutes later",
         queries(ProviderDown="0x60 1x150", Samples="8x65 16x145"), None, at=80),
    Case("ModelfleetPrometheusUnreachable", "a failure of two hours ago, since when nobody asked",
         queries(ProviderDown="0x60 1x150", Samples="8x210"), None, at=180),
    Case("ModelfleetPrometheusUnreachable", "one in five fails", queries(ProviderDown="0+1x120", Samples="0+4x120"),
         None),
    Case("ModelfleetPrometheusUnreachable", "a wrong query of somebody's check", queries(BadQuery="0+1x120"), None),
    Case("ModelfleetPrometheusUnreachable", "nothing to ask", queries(ProviderDown="7x120"), None),
    Case("ModelfleetReconcileErrors", "one object in every try",
         {'modelfleet_operator_failing_objects{kind="Rollout"}': "0x10 1x80"}, {"kind": "Rollout"}),
    Case("ModelfleetReconcileErrors", "one that is settled by the next try, again and again",
         {'modelfleet_operator_failing_objects{kind="Rollout"}': "1x10 0 1x10 0 1x10 0 1x10 0 1x50"}, None),
    Case("ModelfleetReconcileErrors", "the standby knows of none",
         {'modelfleet_operator_failing_objects{kind="Rollout",pod="a"}': "2x120",
          'modelfleet_operator_failing_objects{kind="Rollout",pod="b"}': "0x120"}, {"kind": "Rollout"}),
    Case("ModelfleetNotificationsLost", "one expired",
         {'modelfleet_operator_notifications_lost_total{endpoint="chat",cause="expired"}': "0x40 1x80"},
         {"endpoint": "chat", "cause": "expired"}),
    Case("ModelfleetNotificationsLost", "three had expired when the operator started again, before it was scraped",
         {'modelfleet_operator_notifications_lost_total{pod="b",endpoint="chat",cause="expired"}': "_x40 3x80"},
         {"endpoint": "chat", "cause": "expired"}),
    Case("ModelfleetNotificationsLost", "they had, hours ago",
         {'modelfleet_operator_notifications_lost_total{pod="b",endpoint="chat",cause="expired"}': "_x40 3x200"}, None,
         at=180),
    Case("ModelfleetNotificationsLost", "some were lost long ago, and Prometheus was away an hour ago",
         {'modelfleet_operator_notifications_lost_total{pod="b",endpoint="chat",cause="expired"}': "3x100 _x20 3x100"},
         None, at=165),
    Case("ModelfleetNotificationsLost", "one was lost long ago",
         {'modelfleet_operator_notifications_lost_total{endpoint="chat",cause="expired"}': "0x10 1x200"}, None, at=120),
    Case("ModelfleetNotificationsDelayed", "a receiver that is away",
         {'modelfleet_operator_notifications_waiting{endpoint="chat"}': "0x10 3x80"}, {"endpoint": "chat"}),
    Case("ModelfleetNotificationsDelayed", "a receiver that is away, while the operator is upgraded",
         {'modelfleet_operator_notifications_waiting{pod="a",endpoint="chat"}': "0x10 3x35 stale",
          'modelfleet_operator_notifications_waiting{pod="b",endpoint="chat"}': "_x48 3x60"}, {"endpoint": "chat"}),
    Case("ModelfleetNotificationsDelayed", "one that is away now and then",
         {'modelfleet_operator_notifications_waiting{endpoint="chat"}': "3x10 0 3x10 0 3x10 0 3x10 0 3x50"}, None),
)  # fmt: skip
