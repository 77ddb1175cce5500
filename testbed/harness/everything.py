"""All that clusters and their pods need, built ahead: what a test or the demo would else stop for in its middle."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from harness import binaries, images
from harness.image import ImageRef

OURS = ("agent", "operator", "trainer")


def build() -> Mapping[str, ImageRef]:
    """Build what the cache does not hold: programs from Go modules beside images from Debian and PyPI packages.

    Returns: our images by name. Raises what ``binaries.ensure`` and ``images.ensure`` raise.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:
        programs = pool.submit(binaries.ensure)
        made = pool.submit(lambda: {name: images.ensure(name) for name in OURS})
        programs.result()
        return made.result()
