"""The reasons of a ModelVersion."""

from modelfleet.api.reasons import ConditionType, Reason, agent
from modelfleet.api.reasons.entry import EVENT, NOT_SEEN, READY, STUCK, WORKING, Entry

ENTRIES = (
    NOT_SEEN,
    Entry(
        Reason.ARTIFACT_UNVERIFIED,
        WORKING,
        "Normal",
        "The files are being verified at their source.",
        "Wait; the message says what the verify Job is doing.",
    ),
    Entry(
        Reason.AVAILABLE,
        READY,
        "Normal",
        "The version can be used: its files were verified, or verification is switched off for them.",
    ),
    Entry(Reason.VERIFIED, (EVENT,), "Normal", "All files at the source have the declared size and digest."),
    Entry(
        Reason.DIGEST_MISMATCH,
        (*STUCK, EVENT),
        "Warning",
        "A file at the source is not the one that was declared.",
        "Restore the declared file, or create a new version from what is there.",
    ),
    Entry(
        Reason.ARTIFACT_NOT_FOUND,
        (*STUCK, EVENT),
        "Warning",
        "A declared file does not exist at the source.",
        "Put the file there, or create a new version with the right address.",
    ),
    Entry(
        Reason.SOURCE_ACCESS_DENIED,
        (*STUCK, EVENT),
        "Warning",
        "The source refused the credentials of the verify Job.",
        "Give the verify Job credentials as the message says.",
    ),
    Entry(
        Reason.SOURCE_UNREACHABLE,
        (*WORKING, EVENT),
        "Warning",
        "The source could not be reached.",
        "Check the endpoint and the network; verification is retried automatically.",
    ),
    Entry(
        Reason.SOURCE_NOT_MOUNTED,
        (*STUCK, EVENT),
        "Warning",
        "The files are on a volume that the verify Job does not mount.",
        "Mount the volume in `verification.template`, or add `file` to `verification.exempt`.",
    ),
    Entry(
        Reason.SOURCE_UNSUPPORTED,
        (*STUCK, EVENT),
        "Warning",
        "This release can't read addresses of this scheme.",
        "Move the files to a supported store and create a new version.",
    ),
    Entry(
        Reason.VERIFICATION_FAILED,
        (*STUCK, EVENT),
        "Warning",
        "The verify Job failed for a reason other than the files.",
        "Fix the cause that the message names, or change `verification.template`; it is retried automatically.",
    ),
    Entry(
        Reason.REJECTED,
        (*STUCK, EVENT),
        "Warning",
        "The version failed its evaluation; it is kept but never rolled out.",
        "Train a better version, or change the evaluation gates of the next TrainingJob.",
    ),
    Entry(
        Reason.DELETION_HELD,
        (*WORKING, EVENT),
        "Normal",
        "The version is being deleted but a Rollout still uses it.",
        "Move the Rollout to another version, or delete the Rollout.",
    ),
    Entry(
        Reason.BEING_DELETED,
        WORKING,
        "Normal",
        "Nothing uses the version; its deletion waits for the finalizers of others.",
        "Ask the owner of the finalizer if this lasts.",
    ),
    Entry(
        Reason.VERSION_REMOVED,
        (EVENT,),
        "Normal",
        "Retention deleted an unused version; its files stay where they are.",
        "Raise `retention.keepVersions` to keep more versions.",
    ),
    Entry(
        Reason.NOT_ACTED_ON,
        (ConditionType.UNSUPPORTED_FIELDS,),
        "Warning",
        "The spec sets fields that this release does not act on.",
        "Remove the fields that the message lists, or upgrade modelfleet.",
    ),
    Entry(
        Reason.APPLY_REJECTED,
        STUCK,
        "Warning",
        "The API server refused something that the operator applied.",
        "Fix what the server's message names, such as a quota, an admission policy or the pod template.",
    ),
    *agent.VERIFYING,
)
