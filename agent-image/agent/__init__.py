"""The node side of modelfleet: fetches and verifies a model version, serves frames through it, exports its metrics.

`agent.metrics` is importable on its own (it needs nothing but prometheus-client): other people's inference
applications use it to take part in the fleet's gate. Nothing here imports it, or anything else, at package level.
"""

__version__ = "0.1.0"
