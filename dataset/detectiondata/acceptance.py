"""What ultralytics' reader takes of the pictures that OpenCV decodes, by its own rules.

So that what is checked, what is trained on and what is measured are the same files.

It looks at each picture with Pillow first (`ultralytics.data.utils.check_image`, 8.4.190), and drops what that refuses
without failing. A test in the trainer's image holds the two together.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Literal

from PIL import Image, TiffImagePlugin

FORMATS = frozenset(
    {"avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpeg2000", "jpg", "mpo", "png", "tif", "tiff", "webp"}
)
LEAST = 10  # pixels of each side
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "JPEG2000": ".jp2", "TIFF": ".tif"}
_ORIENTATION = 274  # EXIF's number of it
_NO_PICTURE = "empty, cut short or no picture"
_DAMAGED = "damaged, or cut short in the middle: a part of it is missing"
_EXIF_OF_PNG = b"eXIf"
_LFS = b"version https://git-lfs.github.com/spec"
_HEIF = re.compile(rb"....ftyp(?:hei|hev|mif|msf)", re.DOTALL)
_BITS, _BANDS, _FLOAT = 258, 277, 339  # tags of TIFF

Verdict = Literal["taken", "converted", "refused"]


@dataclass(frozen=True)
class Look:
    """`verdict` is "converted" for what OpenCV decodes and ultralytics takes in another format. `orientation` is that
    of EXIF, 1 to 8: how the picture is turned before it is shown. `suffix` is the usual one of its format."""

    verdict: Verdict
    why: str = ""
    orientation: int = 1
    suffix: str = ""


def look(content: bytes) -> Look:
    """At a picture that OpenCV decodes."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.verify()  # nothing may be read of it before
            format, size = picture.format or "", picture.size
    except Image.DecompressionBombError as error:
        return Look("refused", f"{_first_sentence(error)}; scale it down or cut it")
    except Exception as error:  # noqa: BLE001  Pillow raises whatever its decoders do
        return Look("converted", f"Pillow: {_first_sentence(error)}")
    if min(size) < LEAST:
        return Look("refused", _small(*size))
    orientation = _orientation(content)
    if format.lower() not in FORMATS:
        return Look("converted", format, orientation)
    return Look("taken", "", orientation, _SUFFIXES.get(format, f".{format.lower()}"))


def _small(width: int, height: int) -> str:
    return f"{width}x{height} pixels; ultralytics takes none of less than {LEAST} a side"


def _orientation(content: bytes) -> int:
    """1 where the EXIF data can't be read, as ultralytics has it."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.format == "PNG" and _EXIF_OF_PNG not in content:  # Pillow would decode all of it to find none
                return 1
            tags = picture.tag_v2 if picture.format == "TIFF" else picture.getexif()  # type: ignore[attr-defined]
            found = tags.get(_ORIENTATION)
    except Exception:  # noqa: BLE001  Pillow raises whatever its readers do
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def why_not(content: bytes) -> str:
    """Why a file that OpenCV can't decode is no picture for the trainer."""
    if not content:
        return _NO_PICTURE
    if content.startswith(_LFS):
        return "a pointer of Git LFS in place of the picture; run git lfs pull before you pack"
    if _HEIF.match(content):
        return "HEIC, which the trainer can't read; convert it to JPEG or PNG"
    try:
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
            if picture.format == "TIFF":
                kind = _kind_of_tiff(picture.tag_v2)  # type: ignore[attr-defined]
                if kind:
                    return f"{kind}, which the trainer can't read; convert it to 8 bits of grey or colour"
            if width * height > 1 << 30 or max(width, height) > 1 << 20:
                return f"{width}x{height} pixels, more than can be decoded; scale it down or cut it"
            if min(width, height) < LEAST:
                return _small(width, height)
            known = picture.format
    except Image.DecompressionBombError as error:
        return f"{_first_sentence(error)}, more than can be decoded; scale it down or cut it"
    except Exception:  # noqa: BLE001  Pillow raises whatever its decoders do
        known = _tiff(content)
        if known:
            return f"{known}, which the trainer can't read; convert it to 8 bits of grey or colour"
        return _NO_PICTURE
    if known is not None and known.lower() not in FORMATS:
        return f"{known}, which the trainer can't read; convert it to JPEG or PNG"
    return _DAMAGED if known in ("JPEG", "MPO") and b"\xff\xd9" in content else _NO_PICTURE


def _kind_of_tiff(tags: object) -> str:
    read = getattr(tags, "get", lambda tag, default: default)
    bits, bands, kind = read(_BITS, (8,)), read(_BANDS, 1), read(_FLOAT, (1,))
    deepest = max(bits) if isinstance(bits, tuple) else bits
    if (kind[0] if isinstance(kind, tuple) else kind) == 3 or deepest > 16:
        return f"TIFF of {deepest} bits a value"
    return f"TIFF of {bands} bands" if bands > 4 else ""


def _tiff(content: bytes) -> str:
    """For those that Pillow doesn't open: their tags alone."""
    if content[:4] not in (b"II*\0", b"MM\0*"):
        return ""
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(content[:8])
        stream = io.BytesIO(content)
        stream.seek(directory.next)
        directory.load(stream)
    except Exception:  # noqa: BLE001  as above
        return ""
    return _kind_of_tiff(directory)


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split(", could be")[0].split())[:120] or type(error).__name__
