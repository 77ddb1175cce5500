"""The gate: may a version go on? Resolves the rules, gathers the facts from Prometheus, judges them. Design: gate.md.

    policy = resolve(rollout.spec.gate, group.gate)
    plan = Plan(..., policy=policy, started_at=...)
    evidence = await observe.gather(prometheus, plan, now)       # the only I/O
    judgement = judge(plan, evidence, now)                       # pure

What follows from a verdict (hold, pause, roll back) is the Rollout's to decide.
"""

from modelfleet.api.gatespec import ComparisonMethod, Verdict
from modelfleet.gate import observe
from modelfleet.gate.evidence import Evidence
from modelfleet.gate.judge import judge
from modelfleet.gate.plan import Plan
from modelfleet.gate.policy import Check, Comparison, Policy, resolve
from modelfleet.gate.verdict import Judgement

__all__ = [
    "Check",
    "Comparison",
    "ComparisonMethod",
    "Evidence",
    "Judgement",
    "Plan",
    "Policy",
    "Verdict",
    "judge",
    "observe",
    "resolve",
]
