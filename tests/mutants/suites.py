"""What is mutated, and by which of the unit tests it has to be found out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = Path("operator")
"""Below it the package lies in the checkout; in the scratch copy it lies below `src`, where mutmut looks."""


@dataclass(frozen=True)
class Suite:
    """Some source files with the tests that belong to them, both relative to the repository.

    `stories` are those of the tests' files that play whole rollouts, in most of the time of all.
    """

    name: str
    source: Path
    tests: tuple[str, ...]
    stories: tuple[str, ...] = ()

    def files(self) -> Iterator[Path]:
        """The source files, in order."""
        whole = ROOT / self.source
        for path in sorted(whole.rglob("*.py")) if whole.is_dir() else [whole]:
            yield path.relative_to(ROOT)


_RECONCILE = tuple(str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests/unit").glob("test_reconcile*.py")))

_ROLLOUT_STORIES = (
    "test_chaos.py",
    "test_diagram.py",
    "test_drifting.py",
    "test_forged_pass.py",
    "test_irrevocable.py",
    "test_nodes_that_come_and_go.py",
    "test_regrouping.py",
    "test_replay_stories.py",
    "test_restore.py",
    "test_rollback.py",
    "test_stories.py",
    "test_waiting.py",
    "test_watched_world.py",
)

SUITES = (
    Suite("reconcile", PACKAGES / "modelfleet/reconcile.py", _RECONCILE),
    Suite("store", PACKAGES / "modelfleet/kube/store.py", ("tests/unit/kube",)),
    Suite("rollout", PACKAGES / "modelfleet/rollout", ("tests/unit/rollout",), _ROLLOUT_STORIES),
    Suite("gate", PACKAGES / "modelfleet/gate", ("tests/unit/gate",)),
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

STABLE = ("-o", "disable_test_id_escaping_and_forfeit_all_rights_to_community_support=true")
"""Arguments of pytest, which mutmut starts several times in one process, and asks by name for the tests that it found
the first time: pytest keeps the names that `ids` of `parametrize` gives, escaped, and escapes them again the next time,
so that one with a backslash or an ä is not found."""
