"""Measures what the operator costs at scale: `python -m scale.run --out docs`. RIVAL=argo measures Argo Rollouts, too.

Each figure of many Rollouts is of a cluster of its own, the two sides in turns. Needs the test cluster's programs.
"""

import argparse
import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.binaries import KUBERNETES_VERSION
from scale import fleet, measure
from scale.page import page
from scale.sides import ARGO, OURS

SIZES = (10, 100, 1_000, 4_000)
RIVAL_SIZES = (10, 100, 1_000)
NODES = (100, 1_000, 10_000)


def measured(sizes: tuple[int, ...], nodes: tuple[int, ...], *, rival: bool) -> dict[str, Any]:
    """All figures, with what they were measured on."""
    costs = []
    for size in sizes:
        for side in (OURS, ARGO) if rival and size in RIVAL_SIZES else (OURS,):
            print(f"{side.name}, {size:,} objects ...", flush=True)
            costs.append(measure.cost(side, size).to_dict())
            print(f"  {costs[-1]['processor_seconds']:.1f} s of processor time", flush=True)
    fleets = []
    for size in nodes:
        print(f"one Rollout, {size:,} nodes ...", flush=True)
        fleets.append(asdict(fleet.cost(size)))
    return {"about": _about(), "costs": costs, "fleets": fleets}


def _about() -> dict[str, Any]:
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processors": os.cpu_count(),
        "processor": model.split(":", 1)[1].strip(),
        "kernel": platform.release(),
        "kubernetes": KUBERNETES_VERSION,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where page and figures go")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="numbers of Rollouts")
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES, metavar="N", help="numbers of nodes")
    options = parser.parse_args()
    rival = os.environ.get("RIVAL", "")
    if rival not in ("", "argo"):
        parser.error(f"RIVAL={rival}: only argo is known")
    found = measured(tuple(options.sizes), tuple(options.nodes), rival=bool(rival))
    (options.out / "scale-benchmark.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "scale-benchmark.md").write_text(page(found))
    print(page(found))


if __name__ == "__main__":
    main()
