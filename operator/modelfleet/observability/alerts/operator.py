"""Alerts about the operator itself."""

from modelfleet.observability.alert import Alert

_LOG = (
    "The operator's log: `kubectl -n NAMESPACE logs -l app.kubernetes.io/name=modelfleet --prefix --tail=500`, "
    "where it restarts with `--previous`."
)
_WORKS = "modelfleet_operator_ready == 1 and modelfleet_operator_leader == 1"
_LOST = "modelfleet_operator_notifications_lost_total"


def _queries(result: str, window: str) -> str:
    """Providers with a query of this result in the window."""
    return f"sum by (provider) (increase(modelfleet_operator_prometheus_queries_total{{{result}}}{window})) > 0"


def _unanswered() -> str:
    """Providers of which all queries failed. Gates ask each minute, and a watch for drift that looks each hour tries
    again after five minutes. Where its window is a week, it does after 35: so far apart, one try that failed says
    nothing of the time between, and two in a row must have."""
    down, answered = 'result="ProviderDown"', 'result=~"Samples|NoData"'
    often = f"{_queries(down, '[15m]')} unless {_queries(answered, '[15m]')}"
    seldom = f"{_queries(down, '[45m]')} and {_queries(down, '[45m] offset 45m')} unless {_queries(answered, '[90m]')}"
    return f"({often}) or ({seldom})"


ALERTS = (
    Alert(
        name="ModelfleetOperatorDown",
        severity="critical",
        expr=(  # or works for less than 8 of 20 minutes, since it dies each time soon after it is ready
            f"absent({_WORKS}) or sum(count_over_time(({_WORKS})[20m:1m])) < 8"
        ),
        lasts="10m",
        summary="No modelfleet operator works: it is down, not ready, or none of several has the Lease",
        description=(
            "No operator has been at work for 10 minutes, or each dies soon after it begins. Nodes keep running what "
            "they run, but no version moves, and no failed one is rolled back. Look at its Deployment and its log."
        ),
        means=(
            "The operator does not run, is not scraped, starts again and again, can't get in sync with the API "
            "server, or, of several, all stand by. Nodes go on with the version that they have. A version on its way "
            "stays where it is, a bad one too."
        ),
        look=(
            "`kubectl -n NAMESPACE get pods -l app.kubernetes.io/name=modelfleet`: does it run, does it restart?",
            _LOG,
            "Runs and is ready: then Prometheus does not scrape it. `up` of its job says so.",
            "Several run, are ready and scraped, and `modelfleet_operator_leader` is 0 for all: the log says who holds "
            "the Lease, or why it can't be asked for (`could not ask for the Lease`).",
        ),
        do=(
            "OOMKilled: raise `resources.limits.memory` of the chart.",
            "Forbidden in the log: the chart's RBAC is missing for a namespace; upgrade the release.",
            "Scheduling: see the pod's events.",
            "Forbidden at the Lease: with `rbac.create: false` the Role for it is yours to make. Held by another "
            "installation: give one of them another `settings.leaderElection.name`.",
            "Not scraped: the chart's `podMonitor.enabled`, or a scrape config for port `metrics`.",
        ),
        silent=(
            "Where Prometheus is down, none of these alerts fires: watch Prometheus itself (a dead man's switch). "
            "Where several releases serve namespaces of their own, it is silent while one of them works: watch `up` of "
            "each."
        ),
    ),
    Alert(
        name="ModelfleetPrometheusUnreachable",
        severity="critical",
        expr=_unanswered(),
        lasts="15m",
        summary="The operator gets no answers from Prometheus {{ $labels.provider }}",
        description=(
            "All its queries have failed for 15 minutes or longer. Gates hold, so that versions stay where they are, "
            "and drift is not watched. The message of a gate (status.gate.message) says how it fails."
        ),
        means=(
            "Nothing can be judged. What is bad is not rolled back by figures, what is good does not go on; "
            "readiness and the progress deadline still work."
        ),
        look=(
            "`status.gate.message` of a Rollout that is under way, or the operator's log: refused, unreachable, too "
            "slow?",
            "From the operator's namespace, can the address in the chart's `prometheus.url` be reached?",
        ),
        do=(
            "Unreachable: is Prometheus up? Does a NetworkPolicy forbid it?",
            "Refused (401, 403): renew the Secret that `prometheus.secretName` names; no restart is needed.",
            "Too slow: raise `prometheus.timeout`.",
        ),
        silent=(
            "The operator asks only while a gate or a watch for drift is active. Where the Prometheus that is down "
            "is the one that evaluates this alert, it can't tell."
        ),
    ),
    Alert(
        name="ModelfleetReconcileErrors",
        severity="warning",
        expr="max by (kind) (min_over_time(modelfleet_operator_failing_objects[15m])) > 0",
        lasts="15m",
        summary="The operator keeps failing on objects of kind {{ $labels.kind }}",
        description=(
            "At least one has failed in every try for half an hour. It is tried again after 5 minutes at most. The "
            "log names object and error."
        ),
        means=(
            "Something is refused again and again: by the API server (rights, admission, quotas), by the operator, "
            "which can't read an object, or by a mistake in it."
        ),
        look=(
            _LOG,
            "By error: `sum by (kind, error) (increase(modelfleet_operator_reconcile_errors_total[1h]))`.",
        ),
        do=(
            "Forbidden: upgrade the chart, or correct its RBAC.",
            "Invalid or denied by admission: the message names the field; correct the object's template.",
            "Unreadable: correct the field that the object's status names.",
            "Anything else is a bug: keep the traceback of the log.",
        ),
        silent="What the next tries settle, such as a conflict.",
    ),
    Alert(
        name="ModelfleetNotificationsLost",
        severity="warning",
        expr=(  # what a new process has lost before it was scraped for the first time is no increase
            f"sum by (endpoint, cause) (increase({_LOST}[1h])) > 0 or sum by (endpoint, cause) "
            f"({_LOST} unless present_over_time({_LOST}[6h] offset 1h)) > 0"
        ),
        lasts="0m",
        summary="Notifications to {{ $labels.endpoint }} were lost ({{ $labels.cause }})",
        description=(
            "What should have been sent within the last hour will not be sent any more. The operator's log has each of "
            "them, with its text."
        ),
        means=(
            "Somebody was not notified of what a Rollout, a TrainingJob or a Dataset did. That goes on all the "
            "same, and their status and Events say it."
        ),
        look=(
            "The operator's log for `is lost`: what it was, and what the receiver answered last.",
            "By receiver: `sum by (endpoint, cause) (increase(modelfleet_operator_notification_failures_total[1d]))`.",
        ),
        do=(
            "`refused`: the receiver never takes this message (HTTP 400, 410, 413, 415 or 422): is `format` the one "
            "that it reads, does its address still exist?",
            "`expired`: it was away for longer than `notifications.retryFor`: repair it, or raise that.",
            "`queue_full`: it is away or too slow for what it is sent: narrow down what it gets, or raise "
            "`notifications.queue`.",
        ),
        silent=(
            "What an operator lost that had no rights to write ConfigMaps and was killed: "
            "`modelfleet_operator_notification_outbox_errors_total` says that it had none."
        ),
    ),
    Alert(
        name="ModelfleetNotificationsDelayed",
        severity="warning",
        expr="max by (endpoint) (min_over_time(modelfleet_operator_notifications_waiting[15m])) > 0",
        lasts="15m",
        summary="Notifications to {{ $labels.endpoint }} are not delivered",
        description=(
            "Some have been waiting for half an hour. They are tried again, and lost after notifications.retryFor."
        ),
        means="The receiver is away, refuses, or is too slow. Nothing else waits for it.",
        look=(
            "By cause: `sum by (cause) (increase(modelfleet_operator_notification_failures_total[1h]))`.",
            "The operator's log for `could not notify`: it has the first failure of a row, with what to do.",
            "What waits: `kubectl -n NAMESPACE get configmaps -l modelfleet.dev/outbox=notifications`.",
        ),
        do=(
            "`configuration`: the log names the setting whose file is missing or is not what it must be; correct the "
            "Secret, no restart is needed.",
            "`http_401`, `http_403`, `http_404`: renew the address or the credentials in its Secret.",
            "`http_301`, `http_302`, `http_307`, `http_308`: redirects are not followed; give the address that it "
            "redirects to.",
            "`unreachable`, `timeout`: the log has why. Is the receiver up, is its certificate of an authority that "
            "`credentials.ca` has? Does a NetworkPolicy forbid the way to it?",
        ),
        silent="A receiver that gets nothing to do is not asked: that it is away shows with the first notification.",
    ),
)
