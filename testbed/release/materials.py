"""Bills of materials (CycloneDX), by syft: of a folder with packages, or of an image with what its base image has."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from harness import binaries


def of_folder(folder: Path, name: str, file: Path) -> None:
    """Write the bill of the packages in a folder; raises CalledProcessError."""
    _scan(f"dir:{folder}", name, file)


def of_image(builder: str, image: str, name: str, file: Path) -> None:
    """Write the bill of an image that this builder has; raises CalledProcessError."""
    with tempfile.TemporaryDirectory(prefix="modelfleet-sbom-") as folder:
        archive = Path(folder) / "image.tar"
        buildah = Path(builder).name == "buildah"
        saved = ["push", image, f"docker-archive:{archive}"] if buildah else ["save", f"--output={archive}", image]
        subprocess.run([builder, *saved], check=True)
        _scan(f"docker-archive:{archive}", name, file)


def _scan(source: str, name: str, file: Path) -> None:
    subprocess.run(
        [
            str(binaries.path("syft")), "scan", source, "--quiet", f"--source-name={name}",
            f"--output=cyclonedx-json={file}",
        ],
        env=os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"}, check=True,
    )  # fmt: skip
