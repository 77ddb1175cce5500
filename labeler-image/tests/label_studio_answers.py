"""Parts of Label Studio's answers, as version 1.23 gives them."""

from __future__ import annotations

from typing import Any

CLASSES = ("zeta", "alpha")  # not in the order of the alphabet


def rectangle(label: str = "zeta", x: float = 10, y: float = 20, w: float = 30, h: float = 40, **more: Any) -> Any:
    """One box in percent of an image of 640 by 480; `more` goes beside or, if its name is one of value's, into it."""
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [label]}
    value |= {name: more.pop(name) for name in list(more) if name in value}
    return {
        "id": "r",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": 640,
        "original_height": 480,
        "image_rotation": 0,
        "value": value,
        **more,
    }


def annotation(*result: Any, id: int = 1, by: str = "ada@example.com", at: str = "12:00:00", **more: Any) -> Any:
    """What somebody submitted."""
    return {
        "id": id,
        "result": list(result),
        "created_username": f" {by}, {id}",
        "completed_by": id,
        "was_cancelled": False,
        "ground_truth": False,
        "updated_at": f"2026-11-29T{at}.000000Z",
        "last_action": None,
        "parent_prediction": None,
        **more,
    }


def task(*annotations: Any, predictions: Any = (), key: str | None = "n1/a.jpg", **more: Any) -> Any:
    """A task of an image of 640 by 480."""
    return {
        "id": 1,
        "data": {"key": key, "image": "s3://captures/n1/a.jpg", "width": 640, "height": 480},
        "annotations": list(annotations),
        "predictions": [{"id": 7 + number, "result": list(each)} for number, each in enumerate(predictions)],
        "drafts": [],
        **more,
    }
