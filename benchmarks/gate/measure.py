"""Reads off a running fleet what the simulator's parameters are chosen from: `python -m gate.measure URL ...`.

Meant for `make demo KEEP=1`, whose summary prints Prometheus' address. What a demo can tell: how the detections spread
over the buckets, how many of them a holdout shows to be true, detections per frame, and how a node's figures flicker.
What it can't: its pictures repeat, so that it knows no weather and no day, and three nodes say little about a fleet.
"""

import argparse
import asyncio
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from gate.simulator import BASE, TRUTH, Array, World
from modelfleet.measurement.endpoints import EDGES, log_rate, precision
from modelfleet.prometheus import Client, Samples


async def counted(url: str, version: str, minutes: int, window: timedelta) -> tuple[list[str], Array, Array]:
    """Nodes; detections (nodes, windows, 10) and frames (nodes, windows) of those that ran `version` all the time."""
    last = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=10)
    first, span = last - timedelta(minutes=minutes) + window, f"{window.total_seconds():g}s"
    selector = f'{{version="{version}"}}'
    windows = int((last - first) / window) + 1
    async with Client(url) as client:
        frames = await client.range(
            f"sum by (node) (increase(modelfleet_frames_total{selector}[{span}]))", first, last, window
        )
        buckets = await client.range(
            f"sum by (node, le) (increase(modelfleet_detection_confidence_bucket{selector}[{span}]))",
            first,
            last,
            window,
        )
    if not isinstance(frames, Samples) or not isinstance(buckets, Samples):
        raise SystemExit(f"{url} gave no figures of version {version}: {frames}, {buckets}")
    whole = {
        labels["node"]: np.array([value for _, value in points])
        for labels, points in frames.series
        if len(points) == windows
    }
    nodes = sorted(whole)
    cumulative = np.zeros((len(nodes), windows, len(EDGES)))
    for labels, points in buckets.series:
        edge = float(labels["le"])
        if labels["node"] in whole and edge in EDGES and len(points) == windows:
            cumulative[nodes.index(labels["node"]), :, EDGES.index(edge)] = [value for _, value in points]
    return nodes, np.diff(cumulative, axis=2), np.array([whole[node] for node in nodes])


def calibration(kubectl: list[str], version: str) -> Array:
    """Expected precision of each bucket, as the version's holdout showed it."""
    text = subprocess.check_output([*kubectl, "get", "modelversion", version, "--output=json"], text=True)
    return np.array([float(value) for value in json.loads(text)["spec"]["calibration"]["precision"]])


def figures(detections: Array, frames: Array, weights: Array) -> dict[str, object]:
    """The simulator's parameters, as far as they can be read off; `flicker` and `memory` are of one window."""
    shares = detections.sum(axis=(0, 1)) / detections.sum()
    p, r = precision(detections, weights), log_rate(detections, frames, weights)
    changes = p - p.mean(axis=1, keepdims=True)
    lag = float((changes[:, 1:] * changes[:, :-1]).sum() / (changes**2).sum())
    sampling = np.sqrt((p * (1 - p) / detections.sum(axis=2)).mean())
    return {
        "nodes": len(p),
        "windows": p.shape[1],
        "shares": [round(float(share), 3) for share in shares],
        "truth": [round(float(weight), 3) for weight in weights],
        "detections": round(float(detections.sum())),
        "frames": round(float(frames.sum())),
        "per_frame": round(float(detections.sum() / frames.sum()), 2),
        "precision": round(float(shares @ weights), 3),
        "node": round(float(p.mean(axis=1).std(ddof=1)), 4),
        "node_rate": round(float(r.mean(axis=1).std(ddof=1)), 4),
        "spread": round(float(changes.std()), 4),
        "spread_of_independent_detections": round(float(sampling), 4),
        "spread_rate": round(float((r - r.mean(axis=1, keepdims=True)).std()), 4),
        "autocorrelation": round(lag, 3),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prometheus", help="its address")
    parser.add_argument("--version", default="v2")
    parser.add_argument("--model", default="parts-detector")
    parser.add_argument("--kubectl", default="kubectl --namespace demo", help="how to ask for the ModelVersion")
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--window", type=int, default=60, help="seconds")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    weights = calibration(options.kubectl.split(), f"{options.model}-{options.version}")
    window = timedelta(seconds=options.window)
    _, detections, frames = asyncio.run(counted(options.prometheus, options.version, options.minutes, window))
    found = {"window_seconds": options.window, **figures(detections, frames, weights)}
    text = json.dumps(found, indent=1)
    print(text)
    print(f"the simulator has: shares {BASE.tolist()}, truth {TRUTH.tolist()}, {World()}")
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
