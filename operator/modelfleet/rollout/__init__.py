"""Rollouts: how a new version reaches a fleet, group after group, judged in each, and how it goes back."""

from modelfleet.rollout.observe import controller, owners_of

__all__ = ["controller", "owners_of"]
