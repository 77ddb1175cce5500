"""What can be seen of a fleet: one catalogue of metrics, and the dashboards, rules and alerts that go by it.

    catalogue   every metric of agent, upload, trainer and operator: docs/metrics.md has its table
    objects     the state of Rollouts and TrainingJobs as metrics, for what no Event and no counter can tell
    rules       recording rules
    alerts      alerts, each with what to do
    runbooks    the page of each alert
    boards      dashboards

`python -m modelfleet.observability` writes all generated files (`make observability`).
"""
