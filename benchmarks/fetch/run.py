"""What does a store bear? `python -m fetch.run --out docs`: as many `agent fetch` at once as a fleet has nodes.

A real S3 gateway (versitygw) on this machine, and for each node the agent's own fetch with a cache of its own; what a
node costs beyond that (its pod, its kernel) is not part of it. Four processes of a quarter of the nodes each, since the
nodes' processors are missing here: gateway and nodes share this machine, which makes the figures worse than a fleet's.
Meanwhile somebody else reads a small object ten times a second: a store that is taken down shows in what that takes.
"""

import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import artifactstore
from agent.cache import fetch
from agent.config import FetchConfig, ModelFile
from agent.termination import Refused
from fetch.page import page
from harness.object_store import REGION, gateway

PROCESSES = 4
URI, PROBED = "s3://models/v1/best.onnx", "s3://models/small"
PROBE_EVERY = 0.1  # seconds


def one_node(cache: Path, sha256: str, size: int, spread: float, begun: float) -> tuple[float, float, str]:
    """When its fetch asked the store and when it ended, in seconds since `begun`, and what went wrong ("" nothing)."""
    cache.mkdir(parents=True)
    asked = time.time()

    def sleep(seconds: float) -> None:
        nonlocal asked
        time.sleep(seconds)
        asked = time.time()

    config = FetchConfig(ModelFile(cache / sha256 / "best.onnx", sha256, size), URI, "bench.line", spread=spread)
    try:
        fetch.run(config, sleep=sleep)
    except Refused as refused:
        return asked - begun, time.time() - begun, str(refused)
    return asked - begun, time.time() - begun, ""


def some_nodes(folder: Path, numbers: list[int], sha256: str, size: int, spread: float, begun: float) -> list[Any]:
    """Each in a thread of its own; they begin when the clock says `begun`."""
    logging.disable(logging.INFO)
    time.sleep(max(0.0, begun - time.time()))
    with ThreadPoolExecutor(len(numbers)) as pool:
        jobs = [pool.submit(one_node, folder / str(n), sha256, size, spread, begun) for n in numbers]
        return [job.result() for job in jobs]


def probe(stop: Event, found: Any) -> None:
    """Read a small object again and again: when, how many seconds it took, and whether the store gave it."""
    while not stop.is_set():
        at, before, given = time.time(), time.perf_counter(), True
        try:
            artifactstore.read_bytes(PROBED)
        except artifactstore.ArtifactError:
            given = False
        found.append((at, time.perf_counter() - before, given))
        time.sleep(PROBE_EVERY)


def gateway_figures() -> dict[str, float]:
    """Processor seconds and largest memory (MB) of the versitygw that is a child of ours."""
    for status in Path("/proc").glob("[0-9]*/status"):
        text = status.read_text()
        if "Name:\tversitygw" in text and f"PPid:\t{os.getpid()}\n" in text:
            fields = (status.parent / "stat").read_text().rpartition(")")[2].split()
            peak = int(text.partition("VmHWM:")[2].split()[0]) / 1000
            return {"cpu": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), "memory": peak}
    raise RuntimeError("versitygw is not there")


def measured(folder: Path, nodes: int, content: bytes, spread: float) -> dict[str, Any]:
    """One pull by all nodes, from a gateway of its own."""
    (folder / "buckets/models/v1").mkdir(parents=True)
    (folder / "buckets/models/v1/best.onnx").write_bytes(content)
    (folder / "buckets/models/small").write_bytes(b"x" * 1000)
    sha256 = hashlib.sha256(content).hexdigest()
    context = multiprocessing.get_context("spawn")
    with gateway(folder / "buckets", "bench-access-key", "bench-secret-key") as endpoint, context.Manager() as manager:
        os.environ |= {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": REGION}
        os.environ |= {"AWS_ACCESS_KEY_ID": "bench-access-key", "AWS_SECRET_ACCESS_KEY": "bench-secret-key"}
        stop, probes = context.Event(), manager.list()
        prober = context.Process(target=probe, args=(stop, probes))
        prober.start()
        begun = time.time() + 20  # until all processes are there
        with context.Pool(PROCESSES) as pool:
            parts = [list(range(nodes))[part::PROCESSES] for part in range(PROCESSES)]
            jobs = [(folder / "nodes", part, sha256, len(content), spread, begun) for part in parts]
            results = [node for part in pool.starmap(some_nodes, jobs) for node in part]
        stop.set()
        prober.join()
        figures, reads = gateway_figures(), list(probes)
    shutil.rmtree(folder)
    last = begun + max(ended for _, ended, _ in results)
    return {
        "spread": spread,
        "nodes": results,
        "probes": [[seconds, given] for at, seconds, given in reads if begun <= at <= last],
        "quiet": statistics.median(seconds for at, seconds, _ in reads if at < begun),
        "gateway": figures,
    }


def main() -> None:
    """Measure, then write the page and its figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--megabytes", type=float, default=12, help="size of the model; a YOLOv8n in ONNX has 12")
    parser.add_argument("--spreads", type=float, nargs="+", default=[0, 5, 30])
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    content = os.urandom(int(given.megabytes * 1e6))
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "processors": os.cpu_count(),
        "system": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "nodes": given.nodes,
        "megabytes": given.megabytes,
    }
    with tempfile.TemporaryDirectory() as folder:
        pulls = [
            measured(Path(folder) / f"{number}", given.nodes, content, spread)
            for number, spread in enumerate(given.spreads)
        ]
    found = {"about": about, "pulls": pulls}
    (given.out / "fetch-benchmark.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
    (given.out / "fetch-benchmark.md").write_text(page(found))


if __name__ == "__main__":
    main()
