"""The one door to the Kubernetes API server: what is there (`Store`), what to do next (`Queue`), and how to change it
(`Client`).

Pure modules import kinds from `modelfleet.kinds` and nothing from here.
"""

from modelfleet.kinds import (
    CHILDREN,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DAEMON_SET,
    DATASET,
    JOB,
    MODEL_VERSION,
    NODE,
    OWNERS,
    POD,
    ROLLOUT,
    TRAINING_JOB,
    WATCHED,
    Key,
    Kind,
    key_of,
    kind_of,
)
from modelfleet.kube.client import Client, Listing
from modelfleet.kube.connection import Connection
from modelfleet.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
)
from modelfleet.kube.logs import LogTails
from modelfleet.kube.queue import Backoff, Queue
from modelfleet.kube.store import Index, Object, Store, Unreadable, View

__all__ = [
    "CHILDREN",
    "CONFIG_MAP",
    "CONTROLLER_REVISION",
    "DAEMON_SET",
    "DATASET",
    "JOB",
    "MODEL_VERSION",
    "NODE",
    "OWNERS",
    "POD",
    "ROLLOUT",
    "TRAINING_JOB",
    "WATCHED",
    "AlreadyExists",
    "ApiError",
    "Backoff",
    "Client",
    "Conflict",
    "Connection",
    "Expired",
    "Forbidden",
    "Index",
    "Invalid",
    "Key",
    "Kind",
    "Listing",
    "LogTails",
    "NotFound",
    "Object",
    "Queue",
    "Store",
    "Unavailable",
    "Unreadable",
    "View",
    "key_of",
    "kind_of",
]
