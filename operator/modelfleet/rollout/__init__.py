"""Rollouts: how a new version reaches a fleet, group after group, judged in each, and how it goes back."""

from modelfleet.rollout.observe import controller
from modelfleet.rollout.watch import WATCHES

__all__ = ["WATCHES", "controller"]
