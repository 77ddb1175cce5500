"""The running operator: what is started, in which order, and how it ends.

    await Operator(settings, kubeconfig, version, capabilities).run()

lifetime.py puts the parts together: start, readiness, signals, end. The parts know nothing of each other:

    streams    watching: kopf's streams, and how they log in
    resyncs    listing everything into the store: at the start, after gaps, now and then
    workers    queues, and the loops that empty them
    clients    the doors to the API server and to Prometheus, as the settings have them
    logs       when the log of a container is over, and when it is forgotten
    collector  Python's garbage collector, tuned to a large store

Concurrency: one event loop for all: kopf's streams, the workers, the logs, the HTTP server.
"""

from modelfleet.runtime.lifetime import Operator
from modelfleet.runtime.workers import Capability

__all__ = ["Capability", "Operator"]
