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
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE: Final = "modelfleet"

# Labels of children (and of pods, where Prometheus and people select by them).
ROLLOUT: Final = f"{GROUP}/rollout"
NODE_GROUP: Final = f"{GROUP}/group"
MODEL: Final = f"{GROUP}/model"
VERSION: Final = f"{GROUP}/version"
REVISION: Final = f"{GROUP}/revision"
TRAINING_JOB: Final = f"{GROUP}/training-job"
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

# The finalizer that keeps a ModelVersion while a Rollout uses it.
IN_USE: Final = f"{GROUP}/in-use"

# The tag that nobody may set: it means the newest Ready version of a model.
LATEST: Final = "latest"

# The container of the trainer's Job, and the agent image's init container that fetches the model.
TRAINER_CONTAINER: Final = "trainer"
FETCH_CONTAINER: Final = "fetch-model"

# The container of the Job that verifies a ModelVersion's files at their source.
VERIFY_CONTAINER: Final = "verify"
