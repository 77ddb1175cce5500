"""The page of the agent's benchmark says what was measured, and claims no more than the intervals do."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from inference import page

    return page


def cell(agent, size=320, bare=10.0):
    """One network: runs of the agent in each of its turns of a second, beside those of bare onnxruntime."""
    others = {side: [bare, 1.0, 0.9] for side in ("openvino", "openvino-own", "agent-onnxruntime")}
    turns = [{"onnxruntime": [bare, 1.0, 1.0], **others, "agent": [runs, 1.0, 0.5]} for runs in agent]
    sides = turns[0]
    return {
        "architecture": "yolov8n",
        "size": size,
        "backend": "openvino-bf16",
        "turns": turns,
        "memory": dict.fromkeys(sides, 200 << 20),
    }


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([cell((20, 21, 20)), cell((19, 19, 20), 640)], "The target is met"),
        ([cell((20, 21, 20)), cell((10, 11, 10), 640)], "**The target is missed** by yolov8n, 640 px:"),
        ([cell((12, 25, 17))], "Not decided for yolov8n, 320 px"),
        ([cell((20,))], "Not decided for yolov8n, 320 px"),  # one round has no interval
        ([cell((10, 11, 10), 160)], "sizes that were not measured"),
    ],
)
def test_the_verdict_goes_by_the_intervals(page, cells, said):
    assert page.verdict(cells).startswith(said) or said in page.verdict(cells)


def test_the_figures_are_those_of_the_turns(page):
    measured = cell((20, 30))
    assert page.rate(measured, "agent") == 25
    assert page.cost(measured, "agent") == 1 / 50
    mean, _ = page.ratio(measured, "agent")
    assert mean == pytest.approx(6**0.5)


def test_the_page_has_every_network_and_says_that_the_machine_was_shared(page):
    about = {
        "date": "2026-01-02", "processor": "P", "processors": 2, "kernel": "6", "load_before": 0.1, "rounds": 3,
        "seconds": 2.0, "threads": 1, "frame": [640, 480], "versions": {"onnxruntime": "1"}, "shared": True,
    }  # fmt: skip
    text = page.page({"about": about, "cells": [cell((20, 21, 20)), cell((20, 21, 20), 640)]})
    assert "| yolov8n, 320 px | 1 | 1.00 ± 0.00 | 1.00 ± 0.00 | 1.00 ± 0.00 | 2.03 ± 0.06 | `openvino-bf16` |" in text
    assert text.count("| yolov8n, 640 px |") == 4
    assert "shared with other work" in text
    assert "shared" not in page.page({"about": about | {"shared": False}, "cells": [cell((20, 21, 20))]})
