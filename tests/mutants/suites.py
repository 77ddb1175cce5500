"""What is mutated, and by which of the unit tests it has to be found out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = Path("operator")
"""Below it the package lies in the checkout; in the scratch copy it lies below `src`, where mutmut looks."""


@dataclass(frozen=True)
class Suite:
    """Some source files with the tests that belong to them, both relative to the repository."""

    name: str
    source: Path
    tests: str

    def files(self) -> Iterator[Path]:
        """The source files, in order."""
        whole = ROOT / self.source
        for path in sorted(whole.rglob("*.py")) if whole.is_dir() else [whole]:
            yield path.relative_to(ROOT)


SUITES = (
    Suite("reconcile", PACKAGES / "modelfleet/reconcile.py", "tests/unit/test_reconcile.py"),
    Suite("store", PACKAGES / "modelfleet/kube/store.py", "tests/unit/kube"),
    Suite("rollout", PACKAGES / "modelfleet/rollout", "tests/unit/rollout"),
    Suite("gate", PACKAGES / "modelfleet/gate", "tests/unit/gate"),
)

LEFT_OUT = (
    "--ignore-glob=*/test_documentation.py",  # reads the source, which here holds each function many times
    "--ignore-glob=*/test_recovery.py",  # half of its folder's time, to tell the same stories again after each write
    "--ignore-glob=*/test_benchmark.py",  # whole simulated fleets, for what smaller tests say of the same functions
    # measure time, which a busy machine and mutmut's detours make longer
    "--deselect=tests/unit/gate/test_inference.py::test_ten_thousand_nodes_in_a_second_and_500_mb",
    "--deselect=tests/unit/kube/test_store.py::test_thousands_of_pods_are_found_without_a_scan",
)
"""Arguments of pytest."""
