"""The gate: may a version go on? Resolves the rules, gathers the facts from Prometheus, judges them. Design: gate.md.

    policy = resolve(rollout.spec.gate, group.gate)
    plan = Plan(..., policy=policy, started_at=...)
    evidence = await observe.gather(prometheus, plan, now)       # the only I/O
    judgement = judge(plan, evidence, now)                       # pure

What follows from a verdict (hold, pause, roll back) is the Rollout's to decide.

The test behind it can be used without a cluster, on per-node counts from anywhere (docs/gate.md):

    result = infer(read_csv("nodes.csv"))
    print(result.verdict, explain(result))
"""

from modelfleet.api.gatespec import ComparisonMethod, Verdict
from modelfleet.gate import audit, observe
from modelfleet.gate.evidence import Evidence
from modelfleet.gate.inference import Endpoint, Inference, Rules, infer
from modelfleet.gate.judge import judge
from modelfleet.gate.judgement import EndpointName, Figure, Judgement, SetAside
from modelfleet.gate.messages import explain
from modelfleet.gate.plan import Plan
from modelfleet.gate.policy import Check, Comparison, Policy, resolve
from modelfleet.gate.problem import Problem
from modelfleet.gate.production import Production
from modelfleet.measurement.csvfile import read_csv
from modelfleet.measurement.fleet import Counts, Fleet

__all__ = [
    "Check",
    "Comparison",
    "ComparisonMethod",
    "Counts",
    "Endpoint",
    "EndpointName",
    "Evidence",
    "Figure",
    "Fleet",
    "Inference",
    "Judgement",
    "Plan",
    "Policy",
    "Problem",
    "Production",
    "Rules",
    "SetAside",
    "Verdict",
    "audit",
    "explain",
    "infer",
    "judge",
    "observe",
    "read_csv",
    "resolve",
]
