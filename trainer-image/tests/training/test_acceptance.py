"""What is checked is what ultralytics' reader takes: its rules and ours, on the same pictures."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from ultralytics.data.utils import IMG_FORMATS, check_image

from detectiondata.acceptance import FORMATS, LEAST, look


def picture(width: int, height: int, format: str) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(stream, format)
    return stream.getvalue()


def test_the_formats_are_those_of_ultralytics() -> None:
    assert IMG_FORMATS | {"jpeg2000"} == FORMATS


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "GIF", "PPM", "MPO"])
@pytest.mark.parametrize("size", [(LEAST, LEAST), (LEAST - 1, 40), (40, LEAST - 1)])
@pytest.mark.parametrize("damaged", [False, True])
def test_both_say_the_same(format: str, size: tuple[int, int], damaged: bool, tmp_path: Path) -> None:
    content = picture(*size, format)
    if damaged and format == "PNG":  # the check sum of its size
        content = content[:29] + bytes([content[29] ^ 1]) + content[30:]
    path = tmp_path / f"a.{format.lower()}"
    path.write_bytes(content)
    try:
        check_image(str(path))
        taken = True
    except Exception:  # noqa: BLE001  as its caller does
        taken = False
    assert (look(content).verdict == "taken") is taken
