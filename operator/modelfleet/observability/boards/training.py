"""Training: how runs go, and how they ended."""

from modelfleet.observability.board import TRAININGS, board, once
from modelfleet.observability.panels import Query, row, stat, table, timeseries

OF = 'namespace=~"$namespace",training_job=~"$training_job"'
_RECONCILING, _COMPLETE, _FAILED = (
    f"{OF},{each}" for each in ('type="Reconciling"', 'result="Complete"', 'result="Failed"')
)
_NAME = "{{namespace}}/{{training_job}} {{version}}"

BOARD = board(
    "training",
    "Training",
    "Runs that are under way: progress, figures, speed; and how TrainingJobs ended.",
    TRAININGS,
    [
        stat(
            "Under way",
            "TrainingJobs with a trainer that reports figures.",
            Query(f"count(modelfleet_training_epoch{{{OF}}}) or vector(0)"),
            width=6,
        ),
        stat(
            "Waiting or working",
            "TrainingJobs whose condition Reconciling is True.",
            Query(f"sum({once('modelfleet_trainingjob_condition', _RECONCILING)}) or vector(0)"),
            width=6,
        ),
        stat(
            "Complete",
            "TrainingJobs that made a version, as long as their objects stay.",
            Query(f"count({once('modelfleet_trainingjob_end_timestamp_seconds', _COMPLETE)}) or vector(0)"),
            steps=((None, "green"),),
            width=6,
        ),
        stat(
            "Failed",
            "TrainingJobs that ended without a version, as long as their objects stay.",
            Query(f"count({once('modelfleet_trainingjob_end_timestamp_seconds', _FAILED)}) or vector(0)"),
            steps=((None, "green"), (1, "red")),
            width=6,
        ),
        row("Runs"),
        timeseries(
            "Progress",
            "Share of the epochs that are done. A run that stops early ends before 100%.",
            [Query(f"modelfleet_training_epoch{{{OF}}} / modelfleet_training_epochs{{{OF}}}", _NAME)],
            unit="percentunit",
            min=0,
            max=1,
            width=8,
        ),
        timeseries(
            "mAP",
            "On the validation data after each epoch. It says little of the field: the gate does.",
            [Query(f'modelfleet_training_figure{{{OF},figure=~"map.*"}}', f"{_NAME} {{{{figure}}}}")],
            unit="percentunit",
            min=0,
            max=1,
            width=8,
        ),
        timeseries(
            "Losses",
            "Of the training, after each epoch.",
            [Query(f'modelfleet_training_figure{{{OF},figure=~".*loss.*"}}', f"{_NAME} {{{{figure}}}}")],
            min=0,
            width=8,
        ),
        timeseries(
            "Epochs since the best one",
            "A run that is as many epochs past its best as its patience stops early.",
            [Query(f"modelfleet_training_epoch{{{OF}}} - modelfleet_training_best_epoch{{{OF}}}", _NAME)],
            min=0,
            width=6,
        ),
        timeseries(
            "Images a second",
            "On all GPUs together.",
            [Query(f"modelfleet_training_images_per_second{{{OF}}}", _NAME)],
            min=0,
            width=6,
        ),
        timeseries(
            "Waiting for images",
            "Share of the time spent waiting for images. High: more workers, a faster disk, or a cache.",
            [Query(f"modelfleet_training_data_loading_ratio{{{OF}}}", _NAME)],
            unit="percentunit",
            min=0,
            max=1,
            width=6,
        ),
        timeseries(
            "GPU memory",
            "The most that torch has reserved on the first GPU; nothing without one.",
            [Query(f"modelfleet_training_gpu_memory_bytes{{{OF}}}", _NAME)],
            unit="bytes",
            min=0,
            width=6,
        ),
        row("TrainingJobs"),
        table(
            "Conditions",
            "What is True of each TrainingJob, with its reason; docs/reasons.md says what to do.",
            Query(f"{once('modelfleet_trainingjob_condition', OF)} == 1"),
            {"namespace": "Namespace", "training_job": "TrainingJob", "type": "Condition", "reason": "Reason"},
        ),
        table(
            "Ended",
            "When each TrainingJob ended, and how.",
            Query(f"{once('modelfleet_trainingjob_end_timestamp_seconds', OF)} * 1000"),
            {
                "namespace": "Namespace",
                "training_job": "TrainingJob",
                "model": "Model",
                "result": "Result",
                "Value": "Ended",
            },
            unit="dateTimeAsIso",
        ),
    ],
)
