"""The demo's stand-in for the people who correct boxes in Label Studio.

It works over Label Studio's API, as a browser does, and knows what is on a frame because the demo drew it: a frame is
found again by what it looks like, since a camera's frame has no name by the time it was encoded again and stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import httpx
import numpy as np

from e2e.dataset import CLASSES, Box
from e2e.story import StoryFailed

_SIDE = 20  # pixels of the small grey picture by which a frame is known
_SAME = 4.0  # grey levels, root mean square: JPEG leaves less than 1, two frames of one scene differ by 10 and more


@dataclass
class Truth:
    """What is on each frame that the demo drew."""

    _looks: list[np.ndarray] = field(default_factory=list)
    _boxes: list[Sequence[Box]] = field(default_factory=list)

    def add(self, picture: np.ndarray, boxes: Sequence[Box]) -> None:
        """Remember a frame, uint8 BGR [height, width, 3]."""
        self._looks.append(_look(picture))
        self._boxes.append(boxes)

    def of(self, jpeg: bytes) -> Sequence[Box]:
        """The boxes on a frame. Raises StoryFailed for one that the demo did not draw."""
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        apart = np.sqrt(((np.stack(self._looks) - _look(picture)) ** 2).mean(axis=1))
        nearest = int(apart.argmin())
        if apart[nearest] > _SAME:
            raise StoryFailed(f"a captured frame is none that the demo drew ({apart[nearest]:.1f} grey levels apart)")
        return self._boxes[nearest]


def _look(picture: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    small: np.ndarray = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    return small


def review(url: str, token: str, project: str, truth: Truth, image: Callable[[str], bytes]) -> int:
    """Submit an annotation for each task of the project, and of its blind half, that has none. Returns how many.

    `image` gets a task's captured frame by its key.
    """
    with httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"}, timeout=30) as client:
        done = 0
        for task in _open_tasks(client, (project, f"{project}-blind")):
            boxes = truth.of(image(task["data"]["key"]))
            annotation = {"result": [_rectangle(box, task["data"]) for box in boxes], "lead_time": 1.0}
            client.post(f"/api/tasks/{task['id']}/annotations/", json=annotation).raise_for_status()
            done += 1
    return done


def _open_tasks(client: httpx.Client, titles: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    found = client.get("/api/projects", params={"page_size": 100}).raise_for_status().json()["results"]
    for project in (entry["id"] for entry in found if entry["title"] in titles):
        query = {"project": project, "page_size": 1000, "fields": "all"}
        tasks = client.get("/api/tasks", params=query).raise_for_status().json()["tasks"]
        yield from (task for task in tasks if not task["is_labeled"])


def _rectangle(box: Box, data: Mapping[str, Any]) -> dict[str, Any]:
    """A box as Label Studio has it: percent of the picture, from its upper left corner."""
    return {
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": data["width"],
        "original_height": data["height"],
        "image_rotation": 0,
        "value": {
            "x": 100 * (box.x - box.width / 2),
            "y": 100 * (box.y - box.height / 2),
            "width": 100 * box.width,
            "height": 100 * box.height,
            "rotation": 0,
            "rectanglelabels": [CLASSES[box.label]],
        },
    }
