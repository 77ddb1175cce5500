"""The page of the fetch benchmark, from its figures. Pure."""

from typing import Any


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _row(pull: dict[str, Any], megabytes: float) -> str:
    nodes = pull["nodes"]
    good = [(asked, ended) for asked, ended, wrong in nodes if not wrong]
    took = [ended - asked for asked, ended in good] or [0.0]
    ends = [ended for _, ended in good] or [0.0]
    at_once = max(sum(asked <= at < ended for asked, ended, _ in nodes) for at in (asked for asked, _, _ in nodes))
    probes = pull["probes"]
    refused = sum(not given for _, given in probes)
    latency = [seconds for seconds, _ in probes] or [0.0]
    cells = [
        f"{pull['spread']:g} s",
        f"{len(good)} of {len(nodes)}",
        str(at_once),
        f"{max(ends):.1f} s",
        f"{_quantile(took, 0.5):.1f} s / {_quantile(took, 0.95):.1f} s",
        f"{len(good) * megabytes / max(ends):.0f} MB/s" if good else "",
        f"{1000 * _quantile(latency, 0.5):.0f} / {1000 * _quantile(latency, 0.95):.0f} / {1000 * max(latency):.0f} ms",
        f"{refused} of {len(probes)}",
        f"{pull['gateway']['cpu']:.1f} s, {pull['gateway']['memory']:.0f} MB",
    ]
    return f"| {' | '.join(cells)} |"


def page(found: dict[str, Any]) -> str:
    """Markdown."""
    about, pulls = found["about"], found["pulls"]
    wrong = sorted({wrong for pull in pulls for _, _, wrong in pull["nodes"] if wrong})
    told = "What went wrong, in the agent's words:\n\n" + "\n".join(f"- {each}" for each in wrong)
    rows = "\n".join(_row(pull, about["megabytes"]) for pull in pulls)
    quiet = ", ".join(f"{1000 * pull['quiet']:.0f}" for pull in pulls)
    columns = (
        "spread",
        "nodes that had it",
        "at once",
        "last one after",
        "a node's fetch, median / 95%",
        "together",
        "small reads, median / 95% / longest",
        "refused",
        "gateway: processor, memory",
    )
    return f"""# What a store bears when all nodes fetch at once

Made by the make target bench-fetch; do not edit. The question: do {about["nodes"]} nodes that pull a model of
{about["megabytes"]:g} MB at the same moment take the store down, and what does it change to spread their starts
(`MODEL_FETCH_SPREAD`, see [models on the nodes](models-on-nodes.md))?

The store is versitygw, an S3 gateway over a folder, as one process on the machine that plays all the nodes too. Each
node is the agent's own fetch with a cache of its own: it downloads, verifies, syncs to disk. Meanwhile another client
reads an object of 1 kB ten times a second; how long that takes says how the store fares for everybody else. Before the
pull it took a median of {quiet} ms, row by row.

| {" | ".join(columns)} |
|{"---|" * len(columns)}
{rows}

{told if wrong else "No fetch failed."}

Measured on {about["date"]}: {about["processors"]} processors ({about["system"]}), load before the run
{about["load"]:.1f}. All nodes and the gateway share these processors and one disk, so that the times are longer than a
fleet's; and they are no measure of a store with many disks.
"""
