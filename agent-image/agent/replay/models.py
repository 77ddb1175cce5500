"""A version's detector, from its source: fetched and verified as on a node, loaded and tried once."""

from __future__ import annotations

from pathlib import Path

from agent.cache import fetch
from agent.config import FetchConfig, ModelFile
from agent.replay.settings import Model, Replay
from agent.serve.backends.network import InferenceFailed, ModelUnsupported
from agent.serve.detector import Detector, Image
from agent.termination import Refused
from detectiondata.captures import Detection


class Version:
    """Raises Refused, as `agent fetch` and `agent serve` do. `folder` is for the files of all versions of a run."""

    def __init__(self, model: Model, replay: Replay, folder: Path) -> None:
        file = ModelFile(folder / model.sha256 / model.file_name, model.sha256, model.size)
        owner = f"{replay.namespace}.{replay.rollout}"
        fetch.run(FetchConfig(file, model.uri, owner, keep=2, signature=model.signature))
        self.name = model.version
        self._classes = model.classes
        self._compared = replay.classes
        try:
            self._detector = Detector(
                file.path.read_bytes(),
                model.classes,
                model.image_size,
                confidence=replay.confidence,
                iou=replay.iou,
            )
            self._detector.smoke()
        except ModelUnsupported as error:
            raise Refused("ModelUnsupported", f"{model.version}, {model.uri}: {error}") from error
        except InferenceFailed as error:
            raise Refused(
                "SmokeInferenceFailed", f"{model.version}, {model.uri}, failed on a plain grey frame: {error}"
            ) from error

    def detect(self, image: Image) -> list[Detection]:
        """Of the classes that both versions know, most confident first. Raises InferenceFailed."""
        return [
            Detection(found.label, found.confidence, *found.box)
            for found in self._detector.detect(image).named(self._classes)
            if found.label in self._compared
        ]
