"""The page of the capture benchmark, from its figures. Pure."""

import json
import math
import statistics
from typing import Any

TARGET = 0.98


def _ratio(turns: list[dict[str, list[float]]], index: int) -> tuple[float, float]:
    """Geometric mean of on/off over the pairs, and half its 95% interval: a plain mean of noisy ratios is too high."""
    logs = [math.log(turn["on"][index] / turn["off"][index]) for turn in turns]
    mean = math.exp(statistics.mean(logs))
    return mean, mean * 1.96 * statistics.stdev(logs) / len(logs) ** 0.5


def page(found: dict[str, Any]) -> str:
    """Markdown."""
    about, turns = found["about"], found["turns"]
    rate, rate_error = _ratio(turns, 0)
    cost, cost_error = _ratio(turns, 1)
    off, on = (statistics.mean(turn[side][0] for turn in turns) for side in ("off", "on"))
    off_cost, on_cost = (1000 * statistics.mean(turn[side][1] for turn in turns) for side in ("off", "on"))
    kept = ", ".join(f"{reason} {count:.0f}" for reason, count in sorted(found["captured"].items()))
    if rate - rate_error >= TARGET:
        verdict = "The target is met: the whole interval lies above it."
    elif rate + rate_error < TARGET:
        verdict = "**The target is missed**: the whole interval lies below it."
    else:
        verdict = "The interval holds the target: these figures do not decide it; run more pairs on a machine at rest."
    shared = (
        "\n**The machine was shared with other work during this run**: a first look. Processor time a frame\n"
        "bears that better than the rates do.\n"
        if about["shared"]
        else ""
    )
    return f"""# Does capturing slow inference down?

Made by the make target bench-capture; do not edit. Target: with every kind of rule and the random sample on, inference
runs at {TARGET:.0%} of its rate without capture, or more.

Two real agents ([what capture does](capture.md)) run the same model on the same frames, one with capture and one
without, in turns of {about["seconds"]:g} s, {about["pairs"]} pairs, the order alternating; while one has its turn, the
other is stopped. Both are given {about["frame_rate"]:g} frames a second of {about["frame"]} x {about["frame"]} pixels,
more than they can do, so that what capturing takes from the loop is missing in the rate. The model's convolutions are
computed; what it says is fixed, so that rules fire. Cooldowns go on while an agent is stopped, so that each turn begins
with rules that are due: more captures than on a node. The upload is another process and not part of this.
{shared}
| | capture off | capture on | on / off (95%) |
|---|---|---|---|
| frames a second | {off:.1f} | {on:.1f} | **{rate:.3f}** ± {rate_error:.3f} |
| processor time a frame, all threads | {off_cost:.1f} ms | {on_cost:.1f} ms | {cost:.3f} ± {cost_error:.3f} |

{verdict}

Kept by the capturing agent: {kept}.

Measured on {about["date"]}: {about["processors"]} processors ({about["machine"]}, Linux {about["kernel"]}), load before
the run {about["load_before"]}. Settings:

```json
{json.dumps(about["settings"])}
```
"""
