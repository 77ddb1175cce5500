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
_DATASET_TESTS = REPOSITORY / "dataset/tests"  # the package comes with the image; tests there share its files
_LOCK = REPOSITORY / "trainer-image/test-requirements.txt"
_OPERATOR = REPOSITORY / "operator/modelfleet/training"  # its table of arguments is held to the image's ultralytics


def run_trainer_tests() -> int:
    """Run the trainer's and the dataset's tests inside the image; output goes to ours. Return pytest's exit code."""
    with tempfile.TemporaryDirectory() as work:
        Path(work).chmod(0o777)  # the emptyDir that a Job's pod has there
        command = ["python", "-m", "pytest", "-c", "/dev/null", "--rootdir=/tests", "--import-mode=importlib"]
        return images.run_in(
            "trainer",
            [
                *command,
                "-p",
                "no:cacheprovider",
                "-ra",
                "--durations=10",
                "--numprocesses=auto",
                "--dist=loadfile",
                "/tests",
                "/dataset-tests",
            ],
            mounts={
                Path(work): "/work",
                _TESTS: "/tests:ro",
                _DATASET_TESTS: "/dataset-tests:ro",
                _test_tools(): "/test-tools:ro",
                _OPERATOR: "/operator-training:ro",
            },
            # models this small train no faster on two cores than on one, so that each process takes one
            environment={
                "PYTHONPATH": "/opt/trainer/src:/test-tools:/dataset-tests",
                "OMP_NUM_THREADS": "1",
                "OPERATOR_TRAINING": "/operator-training",
            },
        )


def print_argument_table() -> int:
    """Print what the operator's table of training arguments is to be. Return the exit code."""
    return images.run_in("trainer", ["python", "-m", "trainer.argument_table"])


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
