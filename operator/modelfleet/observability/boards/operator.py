"""Operator: whether it keeps up, and with whom it has trouble."""

from modelfleet.observability.board import OPERATOR, board
from modelfleet.observability.panels import Query, row, stat, timeseries

OF = 'job=~"$job"'
_RATE = "[$__rate_interval]"


def _p95(metric: str, by: str, name: str) -> Query:
    return Query(f"histogram_quantile(0.95, sum by ({by}, le) (rate({metric}_bucket{{{OF}}}{_RATE})))", name)


def _rate(metric: str, by: str, name: str) -> Query:
    return Query(f"sum by ({by}) (rate({metric}{{{OF}}}{_RATE})) * 60", name)


def _hourly(metric: str, by: str, name: str) -> Query:
    return Query(f"sum by ({by}) (rate({metric}{{{OF}}}{_RATE})) * 3600", name)


BOARD = board(
    "operator",
    "Operator",
    "The operator itself: reconciles, queues, the API server, Prometheus, notifications.",
    OPERATOR,
    [
        stat(
            "Ready",
            "Operators that are in sync: the one that works, and those that stand by.",
            Query(f"sum(modelfleet_operator_ready{{{OF}}})"),
            steps=((None, "red"), (1, "green")),
        ),
        stat(
            "Working",
            "Operators that lead: one, however many there are. 0: no version moves.",
            Query(f"sum(modelfleet_operator_leader{{{OF}}})"),
            steps=((None, "red"), (1, "green"), (2, "red")),
        ),
        stat(
            "Version",
            "Of the operator.",
            Query(f"max by (version) (modelfleet_operator_build_info{{{OF}}})", "{{version}}"),
            text=True,
        ),
        stat(
            "Failed reconciles",
            "In the time that is shown. Each is tried again, later and later.",
            Query(f"sum(increase(modelfleet_operator_reconcile_errors_total{{{OF}}}[$__range])) or vector(0)"),
            decimals=0,
            steps=((None, "green"), (1, "orange")),
        ),
        stat(
            "Missed changes",
            "Changes in the time that is shown which a resync found and no watch did. Should be 0.",
            Query(f"sum(increase(modelfleet_operator_missed_changes_total{{{OF}}}[$__range])) or vector(0)"),
            decimals=0,
            steps=((None, "green"), (1, "orange")),
        ),
        stat(
            "Lost notifications",
            "In the time that is shown: refused by their receiver, too old, or too many waited.",
            Query(f"sum(increase(modelfleet_operator_notifications_lost_total{{{OF}}}[$__range])) or vector(0)"),
            decimals=0,
            steps=((None, "green"), (1, "red")),
        ),
        row("Work"),
        timeseries(
            "Reconciles",
            "Per minute, by kind and result.",
            [_rate("modelfleet_operator_reconcile_total", "kind, result", "{{kind}} {{result}}")],
            unit="suffix:/min",
            min=0,
            width=8,
        ),
        timeseries(
            "Reconcile time",
            "95th percentile by kind, queries to Prometheus included.",
            [_p95("modelfleet_operator_reconcile_seconds", "kind", "{{kind}}")],
            unit="s",
            min=0,
            width=8,
        ),
        timeseries(
            "Errors",
            "Reconciles that failed per minute, by kind and error, and objects that were put back to be tried again.",
            [
                _rate("modelfleet_operator_reconcile_errors_total", "kind, error", "{{kind}} {{error}}"),
                _rate("modelfleet_operator_queue_retries_total", "kind", "{{kind}} put back"),
            ],
            unit="suffix:/min",
            min=0,
            width=8,
        ),
        timeseries(
            "Queue",
            "Objects that are ready and wait for a worker, and those whose last reconcile failed.",
            [
                Query(f"sum by (kind) (modelfleet_operator_queue_depth{{{OF}}})", "{{kind}}"),
                Query(f"sum by (kind) (modelfleet_operator_failing_objects{{{OF}}})", "{{kind}} failing"),
            ],
            min=0,
            soft_max=1,
            width=8,
        ),
        timeseries(
            "Time in the queue",
            "95th percentile by kind. Over a second: more workers.",
            [_p95("modelfleet_operator_queue_seconds", "kind", "{{kind}}")],
            unit="s",
            min=0,
            width=8,
        ),
        timeseries(
            "Actions and status writes",
            "Per minute. Nothing in steady state.",
            [
                _rate("modelfleet_operator_actions_total", "kind, action", "{{kind}} {{action}}"),
                _rate("modelfleet_operator_status_writes_total", "kind", "{{kind}} status"),
            ],
            unit="suffix:/min",
            min=0,
            width=8,
        ),
        row("The API server and Prometheus"),
        timeseries(
            "API requests",
            "Per minute, by verb and answer.",
            [_rate("modelfleet_operator_api_requests_total", "verb, code", "{{verb}} {{code}}")],
            unit="suffix:/min",
            min=0,
            width=8,
        ),
        timeseries(
            "Time of API requests",
            "95th percentile by verb.",
            [_p95("modelfleet_operator_api_request_seconds", "verb", "{{verb}}")],
            unit="s",
            min=0,
            width=8,
        ),
        timeseries(
            "Queries to Prometheus",
            "Per minute, by provider and outcome. ProviderDown: gates hold. BadQuery: somebody's check is wrong.",
            [_rate("modelfleet_operator_prometheus_queries_total", "provider, result", "{{provider}} {{result}}")],
            unit="suffix:/min",
            min=0,
            width=8,
        ),
        timeseries(
            "Objects",
            "In the store, by kind.",
            [Query(f"sum by (kind) (modelfleet_operator_store_objects{{{OF}}})", "{{kind}}")],
            min=0,
            width=8,
        ),
        timeseries(
            "Lists and resyncs",
            "Lists by the watch streams, and full comparisons, per minute. Many: connections break.",
            [
                _rate("modelfleet_operator_watch_lists_total", "resource", "list {{resource}}"),
                _rate("modelfleet_operator_resyncs_total", "reason", "resync: {{reason}}"),
            ],
            unit="suffix:/min",
            min=0,
            width=8,
        ),
        timeseries(
            "Verdicts of gates",
            "Changes of verdict in the last interval, over all Rollouts.",
            [
                Query(
                    f"sum by (verdict) (increase(modelfleet_operator_gate_verdicts_total{{{OF}}}{_RATE}))",
                    "{{verdict}}",
                )
            ],
            min=0,
            width=8,
        ),
        row("Notifications (where endpoints are set)"),
        timeseries(
            "Sent",
            "Notifications that a receiver took, per hour, by endpoint.",
            [_hourly("modelfleet_operator_notifications_sent_total", "endpoint", "{{endpoint}}")],
            unit="suffix:/h",
            min=0,
            width=8,
        ),
        timeseries(
            "Failed tries",
            "Per hour, by endpoint and cause; each is tried again. Outbox: what could not be written down, and is lost "
            "if the operator dies.",
            [
                _hourly("modelfleet_operator_notification_failures_total", "endpoint, cause", "{{endpoint}} {{cause}}"),
                Query(
                    f"sum(rate(modelfleet_operator_notification_outbox_errors_total{{{OF}}}{_RATE})) * 3600", "outbox"
                ),
            ],
            unit="suffix:/h",
            min=0,
            width=8,
        ),
        timeseries(
            "Waiting",
            "Notifications that are not delivered yet, by endpoint.",
            [Query(f"sum by (endpoint) (modelfleet_operator_notifications_waiting{{{OF}}})", "{{endpoint}}")],
            min=0,
            soft_max=1,
            width=8,
        ),
    ],
)
