"""The mask: polygons of a picture that nobody may see, from the capture settings file that the operator mounts.

Where a mask is demanded, a file that can't be read or understood means that there is no picture. An unmasked one is
never shown instead, nor one with yesterday's mask.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from agent.polygons import Polygon, polygons

_WAY_OUT = (
    "Pictures without the mask are not shown. Check the ConfigMap <rollout>-capture, or set LIVE_MASK=false if nothing "
    "needs to be hidden."
)


class MaskUnknown(Exception):
    """What must be hidden isn't known, so that nothing may be shown; the message says why and what to do."""


class Mask:
    """The mask of the settings file, read again when the file changes. May be used from any thread.

    `demanded` False: nothing is hidden, and no file is read. `settings` None: none was named.
    """

    def __init__(self, demanded: bool, settings: Path | None) -> None:
        self._demanded = demanded
        self._settings = settings
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int, int], tuple[Polygon, ...]] | None = None

    def polygons(self) -> tuple[Polygon, ...]:
        """What to hide, now. Raises MaskUnknown."""
        if not self._demanded:
            return ()
        if self._settings is None:
            raise MaskUnknown(f"LIVE_MASK is true, and CAPTURE_SETTINGS names no file with a mask. {_WAY_OUT}")
        with self._lock:
            try:
                # kubelet swaps a link, so that the file is another one after each change
                status = self._settings.stat()
                identity = (status.st_ino, status.st_mtime_ns, status.st_size)
                if self._read is None or self._read[0] != identity:
                    self._read = identity, parse(json.loads(self._settings.read_bytes()))
            except OSError as error:
                raise MaskUnknown(
                    f"The mask's file {self._settings} can't be read: {error.strerror}. {_WAY_OUT}"
                ) from error
            except (ValueError, RecursionError) as error:
                raise MaskUnknown(f"The mask's file {self._settings} is not valid: {error}. {_WAY_OUT}") from error
            return self._read[1]


def parse(settings: Any) -> tuple[Polygon, ...]:
    """`image.mask` of the capture settings; none where the settings have no mask. Raises ValueError."""
    if not isinstance(settings, dict):
        raise ValueError("it is not a JSON object")
    image = settings.get("image", {})
    if not isinstance(image, dict):
        raise ValueError("image is not an object")
    try:
        return polygons(image.get("mask", []))
    except ValueError as error:
        raise ValueError(f"image.mask {error}") from None
