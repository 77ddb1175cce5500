"""The reasons of a TrainingJob."""

from modelfleet.api.reasons import ConditionType, Reason, trainer
from modelfleet.api.reasons.entry import (
    APPLY_REJECTED,
    DONE,
    EVENT,
    FAILED,
    NOT_SEEN,
    READY,
    STUCK,
    UNREADABLE,
    WORKING,
    Entry,
    Topic,
)

_HELD = (*READY, EVENT)
_WORKING = (*WORKING, EVENT)
_STUCK = (*STUCK, EVENT)
_FAILED = (*FAILED, EVENT)

_RUN = (
    NOT_SEEN,
    Entry(
        Reason.STARTING,
        _WORKING,
        "Normal",
        "The Job or its pod is being created or started.",
        "Wait; pulling the image may take minutes.",
    ),
    Entry(Reason.JOB_CREATED, (EVENT,), "Normal", "The Job that trains the version was created."),
    Entry(
        Reason.SUSPENDED,
        _HELD,
        "Normal",
        "`spec.suspend` holds the run.",
        "Set `spec.suspend` to false to start or continue it.",
    ),
    Entry(
        Reason.QUEUED,
        _WORKING,
        "Normal",
        "Kueue or an administrator has suspended the Job.",
        "Wait for its turn in the queue, or resume the Job.",
    ),
    Entry(
        Reason.NO_PODS,
        _WORKING,
        "Warning",
        "The Job creates no pod: a quota, Pod Security or an admission policy refuses it.",
        "Fix what the message names; where it names nothing, run `kubectl describe job`. It is retried automatically.",
    ),
    Entry(
        Reason.SCHEDULING_GATED,
        _WORKING,
        "Warning",
        "A scheduling gate holds the pod.",
        "Wait for, or ask, whoever set the gate.",
    ),
    Entry(
        Reason.UNSCHEDULABLE,
        _WORKING,
        "Warning",
        "No node takes the pod.",
        "Free or add a node that fits, or lower `spec.resources`.",
    ),
    Entry(
        Reason.IMAGE_PULL_FAILED,
        _WORKING,
        "Warning",
        "The image of a container can't be pulled.",
        "Check the image's name and the pull secret; pulling is retried automatically.",
    ),
    Entry(Reason.TRAINING, _WORKING, "Normal", "The trainer is running."),
    Entry(Reason.RESUMED, (EVENT,), "Normal", "Training continued from a checkpoint."),
    Entry(
        Reason.DATA_WARNINGS,
        (EVENT,),
        "Warning",
        "Something of the data was left out, or is worth a look.",
        "Read `status.warnings`; the balance of every file is in the ModelVersion's lineage and in the report.",
    ),
    Entry(
        Reason.PREEMPTED,
        _WORKING,
        "Normal",
        "The pod was preempted or evicted, or lost its node; this does not count as a failure.",
        "Nothing: the Job creates another pod automatically.",
    ),
    Entry(
        Reason.STOPPED,
        _WORKING,
        "Normal",
        "The pod was deleted or drained; this does not count as a failure.",
        "Nothing: the Job creates another pod automatically.",
    ),
    Entry(
        Reason.RETRYING,
        _WORKING,
        "Warning",
        "An attempt failed and the Job tries again.",
        "Read the cause in the message if attempts keep failing.",
    ),
    Entry(
        Reason.ENDING,
        WORKING,
        "Warning",
        "The last attempt failed and the Job is ending.",
        "Wait for the final reason.",
    ),
    Entry(
        Reason.JOB_DELETED,
        _WORKING,
        "Warning",
        "Somebody is deleting the Job during the run.",
        "Nothing: a new Job is created automatically; to end the run, delete the TrainingJob.",
    ),
    Entry(Reason.EVALUATING, _WORKING, "Normal", "Training is done; the model is being evaluated and uploaded."),
    Entry(
        Reason.READING_RESULT,
        _WORKING,
        "Warning",
        "Training succeeded but the trainer's report can't be read yet.",
        "Wait; it is retried automatically.",
    ),
    Entry(
        Reason.REREADING_RESULT,
        _WORKING,
        "Warning",
        "The trainer's report was lost; a new Job reports the published result again without training.",
        "Wait.",
    ),
    Entry(Reason.RECORDING, WORKING, "Normal", "The ModelVersion is being created."),
    Entry(Reason.COMPLETE, (*DONE, EVENT), "Normal", "The ModelVersion was created.", topic=Topic.TRAINING_COMPLETE),
    Entry(
        Reason.NOT_ACTED_ON,
        (ConditionType.UNSUPPORTED_FIELDS,),
        "Warning",
        "The spec sets fields that this release does not act on.",
        "Remove the fields that the message lists, or upgrade modelfleet.",
    ),
)

_WAITING = (
    Entry(
        Reason.DATASET_NOT_FOUND,
        _STUCK,
        "Warning",
        "The Dataset that the spec refers to does not exist.",
        "Create it, or create a new TrainingJob with another one; the run starts automatically once it is there.",
    ),
    Entry(
        Reason.DATASET_VERSION_NOT_FOUND,
        _STUCK,
        "Warning",
        "The Dataset has no version yet, or not this one.",
        "Review the images that wait; the run starts automatically once the version is there.",
    ),
    Entry(
        Reason.HOLDOUT_NOT_FOUND,
        _STUCK,
        "Warning",
        "The version of the Dataset has no holdout.",
        "Review frames of the random sample, or name a holdout of your own with `evaluation.dataset.uri`.",
    ),
    UNREADABLE,
    APPLY_REJECTED,
    Entry(
        Reason.QUEUE_NOT_SERVED,
        _STUCK,
        "Warning",
        "The Job has waited a minute in a queue that nobody serves: no Kueue, no such LocalQueue, or none active.",
        "Do what the message says for Kueue or the LocalQueue; the run starts automatically once the queue is served.",
    ),
    Entry(
        Reason.NAME_CONFLICT,
        _STUCK,
        "Warning",
        "A Job of this name exists that this TrainingJob did not create.",
        "Delete that Job, or create the TrainingJob under another name.",
    ),
    Entry(
        Reason.INVALID_VERSION,
        _STUCK,
        "Warning",
        "No valid version name follows from the spec and the object's name.",
        "Create a new TrainingJob with a valid `spec.version`.",
    ),
    Entry(
        Reason.VERSION_EXISTS,
        (*_STUCK, ConditionType.FAILED),
        "Warning",
        "The version exists already and is never overwritten.",
        "Create a new TrainingJob with another `spec.version`.",
    ),
    *(
        entry
        for what, field, words in (
            (
                "parent",
                "spec.from",
                (Reason.PARENT_NOT_FOUND, Reason.PARENT_NOT_READY, Reason.PARENT_BEING_DELETED, Reason.PARENT_REJECTED),
            ),
            (
                "baseline",
                "spec.evaluation.baseline",
                (
                    Reason.BASELINE_NOT_FOUND,
                    Reason.BASELINE_NOT_READY,
                    Reason.BASELINE_BEING_DELETED,
                    Reason.BASELINE_REJECTED,
                ),
            ),
        )
        for entry in (
            Entry(
                words[0],
                _STUCK,
                "Warning",
                f"The {what} in `{field}` does not exist.",
                f"Create the {what}; the run then starts automatically.",
            ),
            Entry(
                words[1],
                _STUCK,
                "Warning",
                f"The {what} in `{field}` is not Ready.",
                "Look at that ModelVersion; the run starts automatically once it is Ready.",
            ),
            Entry(
                words[2],
                _STUCK,
                "Warning",
                f"The {what} in `{field}` is being deleted.",
                f"Create a new TrainingJob with another {what}.",
            ),
            Entry(
                words[3],
                _STUCK,
                "Warning",
                f"The {what} in `{field}` failed its own evaluation.",
                f"Create a new TrainingJob with another {what}.",
            ),
        )
    ),
    Entry(
        Reason.BASELINE_WITHOUT_WEIGHTS,
        _STUCK,
        "Warning",
        "No version that the baseline's tag means has the PyTorch weights that measuring needs.",
        "Tag a version that has a `pytorch` file; the run then starts automatically.",
    ),
    Entry(
        Reason.PARENT_WITHOUT_WEIGHTS,
        _STUCK,
        "Warning",
        "The parent has no PyTorch weights to train from.",
        "Create a new TrainingJob with a parent that has a `pytorch` file.",
    ),
)

_ENDED = (
    Entry(
        Reason.EVALUATION_FAILED,
        _FAILED,
        "Warning",
        "The model missed its evaluation gates; the version is kept as Rejected.",
        "Improve the data or the settings and create a new TrainingJob.",
    ),
    Entry(
        Reason.UNKNOWN_ARGUMENT,
        _FAILED,
        "Warning",
        "The trainer does not accept a hyperparameter or its value.",
        "Correct the hyperparameters in a new TrainingJob.",
    ),
    Entry(
        Reason.RUN_TOO_LONG,
        _FAILED,
        "Warning",
        "The trainer's instructions do not fit into an environment variable (128 KiB).",
        "Shorten the class names of the parent or the baseline, or leave the baseline out, in a new TrainingJob.",
    ),
    Entry(
        Reason.DEADLINE_EXCEEDED,
        _FAILED,
        "Warning",
        "The run took longer than `spec.activeDeadline`.",
        "Create a new TrainingJob with a longer deadline or fewer epochs.",
    ),
    Entry(
        Reason.JOB_FAILED,
        _FAILED,
        "Warning",
        "The Job failed and gives no reason.",
        "Look at the Job's events, then create a new TrainingJob.",
    ),
    Entry(
        Reason.POD_FAILED,
        _FAILED,
        "Warning",
        "The pod ended before the trainer did.",
        "Look at the pod's events, then create a new TrainingJob.",
    ),
    Entry(
        Reason.TRAINER_CRASHED,
        _FAILED,
        "Warning",
        "The trainer ended without a usable message.",
        "Read the pod's log, then create a new TrainingJob.",
    ),
    Entry(
        Reason.RESULT_INVALID,
        _FAILED,
        "Warning",
        "What the trainer reported can't be recorded.",
        "Fix the trainer image and create a new TrainingJob.",
    ),
    Entry(
        Reason.RESULT_LOST,
        _FAILED,
        "Warning",
        "Training succeeded but its report is lost.",
        "Create the ModelVersion by hand from the uploaded `manifest.json`, as the message says.",
    ),
)

ENTRIES = (*_RUN, *_WAITING, *_ENDED, *trainer.REPORTED)
