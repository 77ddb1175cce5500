"""All that clusters and their pods need, built ahead: what a test or the demo would else stop for in its middle."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from harness import binaries, images, label_studio
from harness.image import ImageRef

OURS = ("agent", "labeler", "operator", "trainer")


def build() -> Mapping[str, ImageRef]:
    """Build what the cache does not hold: programs from Go modules and Label Studio, beside images from Debian and
    PyPI packages.

    Returns: our images by name. Raises what ``binaries.ensure`` and ``images.ensure`` raise.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:
        programs = pool.submit(binaries.ensure)
        made = pool.submit(lambda: {name: images.ensure(name) for name in OURS})
        programs.result()
        label_studio.ensure()
        return made.result()
