"""A real Kubernetes cluster on one machine, for tests and the demo. ``testbed/README.md`` says how it works."""

from harness.cluster import Cluster, ExistingCluster
from harness.kwok import Behaviour, Outcome
from harness.operator_process import OperatorProcess, StartOperator

__all__ = ["Behaviour", "Cluster", "ExistingCluster", "OperatorProcess", "Outcome", "StartOperator"]
