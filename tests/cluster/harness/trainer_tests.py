"""The trainer's tests, run inside the trainer image: with the torch, the libraries and the user that a Job has.

The image holds no test tools; pytest comes from a folder beside, locked by ``trainer-image/test-requirements.txt``.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from harness import images
from harness.lifetime import run
from harness.paths import REPOSITORY, cache, locked

_TESTS = REPOSITORY / "trainer-image/tests"
_LOCK = REPOSITORY / "trainer-image/test-requirements.txt"


def run_trainer_tests() -> int:
    """Run ``trainer-image/tests`` inside the image; output goes to ours. Return pytest's exit code."""
    with tempfile.TemporaryDirectory() as work:
        Path(work).chmod(0o777)  # the emptyDir that a Job's pod has there
        command = ["python", "-m", "pytest", "-c", "/dev/null", "--rootdir=/tests", "--import-mode=importlib"]
        return images.run_in(
            "trainer",
            [*command, "-p", "no:cacheprovider", "-ra", "-v", "--durations=10", "/tests"],
            mounts={Path(work): "/work", _TESTS: "/tests:ro", _test_tools(): "/test-tools:ro"},
            environment={"PYTHONPATH": "/opt/trainer/src:/test-tools"},
        )


def _test_tools() -> Path:
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
    folder = cache() / "trainer-tests" / digest
    with locked(cache() / "trainer-tests.lock", "another process installs the trainer's test tools; waiting for it"):
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            install = ["pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python-version=3.11"]
            run([sys.executable, "-m", "uv", *install, f"--target={partial}", f"--requirement={_LOCK}"])
            partial.rename(folder)
    return folder
