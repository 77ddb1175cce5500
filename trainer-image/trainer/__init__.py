"""Trains one YOLO model version from a dataset and publishes it with its digests.

Runs once in a batch Job, gets everything from the environment variable TRAINER_RUN, and answers by exit code,
termination message and JSON lines on stdout. It holds no Kubernetes credentials. docs/trainer.md has the contract.
"""
