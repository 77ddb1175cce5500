"""Experiment trackers (MLflow, Weights & Biases): told about the run while it goes on, and never waited for.

Not ultralytics' own callbacks, which stay off: those call the tracker from the training's thread, where a server that
does not answer is waited for, and a run whose first call failed is not tracked any more. Here each tracker has

    tracking (this thread)  ->  Feed: a bounded backlog and a thread  ->  client: a process that imports the library

The process is what makes "never waited for" true: it can be ended whatever it is doing, and no library's exit hook,
signal handler or thread is in the process that trains.
"""

from trainer.tracking.tracking import Tracking

__all__ = ["Tracking"]
