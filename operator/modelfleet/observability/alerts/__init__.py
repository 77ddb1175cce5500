"""All alerts, by what they are about."""

from modelfleet.observability.alert import Alert
from modelfleet.observability.alerts import captures, frames, model, operator, rollouts

ALERTS: tuple[Alert, ...] = (*rollouts.ALERTS, *model.ALERTS, *frames.ALERTS, *captures.ALERTS, *operator.ALERTS)
