"""All dashboards, by the name of their file."""

from modelfleet.observability.boards import capture, drift, fleet, operator, quality, training
from modelfleet.observability.panels import Json

BOARDS: dict[str, Json] = {
    "fleet": fleet.BOARD,
    "quality": quality.BOARD,
    "drift": drift.BOARD,
    "capture": capture.BOARD,
    "training": training.BOARD,
    "operator": operator.BOARD,
}
