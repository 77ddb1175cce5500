"""What the tests of Datasets see of the cluster, beside what those of training see: Jobs of a Dataset, and pods.

No labeler runs, since nodes are simulated (KWOK): the tests write its termination message, in its format. Everything
between (scheduler, Job controller, API server, garbage collector, operator) is real.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worlds.training import Space

Json = dict[str, Any]


def dataset(name: str = "parts", annotations: Mapping[str, str] | None = None, **spec: Any) -> Json:
    """A Dataset with labels from files, and a schedule that does not come while a test runs; None removes a field."""
    fields: Json = {
        "model": "parts",
        "captures": {"uri": "s3://captures/line/"},
        "store": {"uri": f"s3://data/{name}/"},
        "classes": ["bolt", "nut"],
        "schedule": "0 0 29 2 *",
        "labelling": {
            "labelStudio": {"url": "http://label-studio:8080", "project": name, "secretRef": {"name": "label-studio"}}
        },
        **spec,
    }
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": name, "annotations": dict(annotations or {})},
        "spec": {key: value for key, value in fields.items() if value is not None},
    }


def report(number: int | None = None, *, images: int = 640, holdout: bool = True, **fields: Any) -> str:
    """The termination message of a labeler that succeeded; `number` of the newest version, None: there is none."""
    return json.dumps(
        {
            "result": "Succeeded",
            "waiting": 12,
            "inReview": 40,
            "reviewed": 700,
            "editedShare": "0.12",
            "pending": 7,
            "latest": None if number is None else _latest(number, images, holdout),
            "perClass": [{"name": "bolt", "objects": 1500}],
            "versions": [] if number is None else [_entry(each, images) for each in range(number, 0, -1)][:10],
            "review": None,
            "notes": [],
            **fields,
        }
    )


def _latest(number: int, images: int, holdout: bool) -> Json:
    folder = f"s3://data/parts/versions/{number:05d}"
    frozen = {"uri": f"{folder}/holdout.json", "sha256": f"{number + 1000:064x}", "images": 60} if holdout else None
    return {
        "number": number,
        "sha256": f"{number:064x}",
        "uri": f"{folder}/version.json",
        "images": images,
        "objects": 3 * images,
        "classes": 2,
        "createdAt": "2026-11-29T12:00:00Z",
        "holdout": frozen,
    }


def _entry(number: int, images: int) -> Json:
    return {
        "number": number,
        "sha256": f"{number:064x}",
        "parent": number - 1 or None,
        "images": images,
        "added": 50,
        "createdAt": "2026-11-29T12:00:00Z",
    }


@dataclass(frozen=True)
class Line:
    """A namespace with a Dataset `parts`."""

    space: Space

    def status(self) -> Json:
        """Of the Dataset."""
        return self.space.status("parts", "dataset.modelfleet.dev")

    def ready(self) -> Json:
        """The condition Ready of the Dataset."""
        return self.space.ready("parts", "dataset.modelfleet.dev")

    def until_reason(self, reason: str) -> str:
        """The message of Ready once it has this reason."""
        self.space.until(lambda: self.ready()["reason"] == reason)
        return str(self.ready()["message"])

    def jobs(self) -> list[Json]:
        """The Jobs of the Dataset."""
        return self.space.list("jobs", "modelfleet.dev/dataset=parts")

    def until_running(self, besides: tuple[str, ...] = ()) -> str:
        """The name of the labeler's pod that runs, another one than `besides`."""

        def running() -> str:
            for pod in self.space.list("pods", "modelfleet.dev/dataset=parts"):
                if pod["status"]["phase"] == "Running" and pod["metadata"]["name"] not in besides:
                    return str(pod["metadata"]["name"])
            return ""

        return self.space.until(running)

    def sync_now(self, nonce: str) -> None:
        """As people do."""
        self.space.kubectl(
            "annotate", "--overwrite", "dataset.modelfleet.dev/parts", f"modelfleet.dev/sync=now@{nonce}"
        )

    def events(self) -> list[str]:
        """The reasons of the Events on the Dataset."""
        found = self.space.list("events", fields="involvedObject.kind=Dataset,involvedObject.name=parts")
        return [str(event["reason"]) for event in found]
