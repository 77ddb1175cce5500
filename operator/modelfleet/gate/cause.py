"""Why a verdict is what it is, as one word: stable, and listed in docs/gate.md."""

from enum import StrEnum


class Cause(StrEnum):
    """The reason beside a verdict. In the log and the audit; a Rollout's conditions have reasons of their own."""

    # Pass
    NO_WORSE = "NoWorse"
    NO_CONTROL = "NoControl"
    NOT_COMPARED = "NotCompared"
    # Fail
    LESS_PRECISE = "LessPrecise"
    FINDS_LESS = "FindsLess"
    CHECK_FAILED = "CheckFailed"
    # Inconclusive
    WAITING = "Waiting"
    SOAKING = "Soaking"
    UNDECIDED = "Undecided"
    TOO_FEW_NODES = "TooFewNodes"
    TOO_FEW_DETECTIONS = "TooFewDetections"
    TOO_FEW_ASSIGNMENTS = "TooFewAssignments"
    TIMED_OUT = "TimedOut"
    # NoData, once it has lasted
    NO_NODES = "NoNodes"
    NO_DETECTIONS = "NoDetections"
    NO_CHECK_DATA = "NoCheckData"
    # ProviderDown
    PROVIDER_DOWN = "ProviderDown"
    BAD_QUERY = "BadQuery"
