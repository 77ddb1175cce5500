"""The watch for drift: has the stable version changed its behaviour in the field? Design: docs/drift.md.

    plan = Plan(..., policy=policy(rollout.spec.drift))
    hours = await observe.extend(prometheus, plan, hours, now)      # the only I/O
    judgement = judge(plan, hours, anchor, before, now)             # pure
    judgement = overlay(judgement, plan, reviewed, before, now)     # pure: what people say of reviewed frames

What follows from a judgement (a condition, a retraining) is the Rollout's to decide.
"""

from modelfleet.drift import audit, observe
from modelfleet.drift.anchor import Anchor, Unreadable, pack, unpack
from modelfleet.drift.hours import Hours
from modelfleet.drift.judge import judge, paused, provider_down
from modelfleet.drift.judgement import Before, Judgement, State
from modelfleet.drift.plan import Plan
from modelfleet.drift.policy import Policy, policy
from modelfleet.drift.review import Interval, Reviewed, overlay

__all__ = [
    "Anchor",
    "Before",
    "Hours",
    "Interval",
    "Judgement",
    "Plan",
    "Policy",
    "Reviewed",
    "State",
    "Unreadable",
    "audit",
    "judge",
    "observe",
    "overlay",
    "pack",
    "paused",
    "policy",
    "provider_down",
    "unpack",
]
