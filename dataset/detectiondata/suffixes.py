"""Which files are images, by their names."""

from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

# Pictures as well. What of them can be read is found out by reading them; what can't is named and not passed over.
PICTURE_SUFFIXES = IMAGE_SUFFIXES | {
    *(".apng", ".arw", ".avif", ".cr2", ".dib", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".j2k", ".jfi"),
    *(".jfif", ".jif", ".jp2", ".jpe", ".jpeg2000", ".jpf", ".jpx", ".jxl", ".mpo", ".nef", ".pbm", ".pfm", ".pgm"),
    *(".pnm", ".ppm", ".psd", ".raw", ".tga"),
}


def is_picture(name: str) -> bool:
    """Whether a name, or a path with slashes of either kind, is that of a picture."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower() in PICTURE_SUFFIXES
