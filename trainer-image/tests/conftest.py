"""Makes `shapes` and `documents` importable, here and in the trainer image, which runs these tests from elsewhere."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs programs of the test cluster; skipped in the image")
