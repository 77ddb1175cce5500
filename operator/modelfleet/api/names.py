"""Every name that modelfleet writes on Kubernetes objects: labels, annotations, finalizers, field manager.

The annotations that people write, the commands, are in commands.py.
"""

from typing import Final

GROUP: Final = "modelfleet.dev"
VERSION_V1ALPHA1: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION_V1ALPHA1}"
CATEGORY: Final = "modelfleet"

# The field manager of every server-side apply, and what tells our children from everybody else's.
FIELD_MANAGER: Final = "modelfleet"
# That of what people write through the CLI, or by a kubectl command that we tell them. Flux takes back what managers
# called kubectl* wrote.
CLI_FIELD_MANAGER: Final = "modelfleet-cli"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE: Final = "modelfleet"

# Labels of children (and of pods, where Prometheus and people select by them).
ROLLOUT: Final = f"{GROUP}/rollout"
NODE_GROUP: Final = f"{GROUP}/group"
MODEL: Final = f"{GROUP}/model"
VERSION: Final = f"{GROUP}/version"
REVISION: Final = f"{GROUP}/revision"
TRAINING_JOB: Final = f"{GROUP}/training-job"
DATASET: Final = f"{GROUP}/dataset"
REPLAY: Final = f"{GROUP}/replay"
PREFETCH: Final = f"{GROUP}/prefetch"
COMPONENT: Final = "app.kubernetes.io/component"

# The label of Kueue, passed from a TrainingJob to its Job.
KUEUE_QUEUE: Final = "kueue.x-k8s.io/queue-name"

# Annotations of ControllerRevisions: what must outlive a wiped status.
QUARANTINED_AT: Final = f"{GROUP}/quarantined-at"
QUARANTINED_REASON: Final = f"{GROUP}/quarantined-reason"
PROMOTED_AT: Final = f"{GROUP}/promoted-at"

# Annotations: of a ModelVersion, what its verification found; of the verify Job and its pods, the ModelVersion's name
# (a label could not hold the longest).
VERIFICATION: Final = f"{GROUP}/verification"
MODEL_VERSION: Final = f"{GROUP}/model-version"

# Annotations of a TrainingJob that a Rollout made: what for, and why.
RETRAIN_TRIGGER: Final = f"{GROUP}/retrain-trigger"
RETRAIN_CAUSE: Final = f"{GROUP}/retrain-cause"
RETRAIN_STABLE: Final = f"{GROUP}/retrain-stable"
RETRAIN_SINCE: Final = f"{GROUP}/retrain-since"
RETRAIN_COMMAND: Final = f"{GROUP}/retrain-command"

# Annotations of a Dataset's Job: for which moment it was made, for which generation of the spec, and on which command.
SYNC_DUE: Final = f"{GROUP}/sync-due"
SYNC_GENERATION: Final = f"{GROUP}/sync-generation"
SYNC_COMMAND: Final = f"{GROUP}/sync-command"

# Annotations of a replay's Job: the versions that it compares.
REPLAY_STABLE: Final = f"{GROUP}/replay-stable"
REPLAY_CANDIDATE: Final = f"{GROUP}/replay-candidate"

# Annotation of a TrainingJob's Job: what its references to Datasets meant.
DATASET_VERSIONS: Final = f"{GROUP}/dataset-versions"

# The finalizer that keeps a ModelVersion while a Rollout uses it.
IN_USE: Final = f"{GROUP}/in-use"

# The tag that nobody may set: it means the newest Ready version of a model.
LATEST: Final = "latest"

# The container of the trainer's Job, and the agent image's init container that fetches the model.
TRAINER_CONTAINER: Final = "trainer"
FETCH_CONTAINER: Final = "fetch-model"

# The containers that a Rollout's pods get where frames are captured: the one that makes the spool writable, and the one
# that uploads.
SPOOL_CONTAINER: Final = "prepare-spool"
UPLOAD_CONTAINER: Final = "upload-captures"
# The container of a Dataset's Job, and that of a Rollout's replay.
LABELER_CONTAINER: Final = "labeler"
REPLAY_CONTAINER: Final = "replay"

# The container of the Job that verifies a ModelVersion's files at their source.
VERIFY_CONTAINER: Final = "verify"
