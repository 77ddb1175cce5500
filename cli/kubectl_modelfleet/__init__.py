"""kubectl modelfleet: watch and steer Rollouts from a terminal or a pipeline. Needs modelfleet.api and kubectl."""

__version__ = "0.1.0"
