"""The live page in a real browser: what a person sees, on a desk and on a phone, when all is well and when it isn't."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from agent_models import constant
from agent_processes import Agent, Stored, wait_until
from live_parts import near, settings

from agent.live import drawing
from e2e.dataset import CLASSES, Box, Scene, draw
from harness.browser import Page, browser

pytestmark = pytest.mark.cluster  # the browser is installed where it is missing

SIDE = 320
DESK, PHONE = (1280, 800, 1, False), (390, 844, 2, True)
NARROW = (360, 740, 2, True)
SHOWN = (
    "document.body.dataset.state === 'live' && !byId('picture').hidden && byId('picture').naturalWidth > 0 "
    "&& byId('list').children.length > 0"
)
PIXELS = """(() => {
  const canvas = document.createElement("canvas");
  canvas.width = byId("picture").naturalWidth;
  canvas.height = byId("picture").naturalHeight;
  canvas.getContext("2d").drawImage(byId("picture"), 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
})()"""
FITS = """document.documentElement.scrollWidth <= document.documentElement.clientWidth
  && [...document.querySelectorAll("body *")].every((each) => each.getBoundingClientRect().right <= innerWidth + 0.5)"""
PALE = """(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (part) => (part /= 255) <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
  const light = ([red, green, blue]) => .2126 * linear(red) + .7152 * linear(green) + .0722 * linear(blue);
  const behind = (element) => {
    const colour = numbers(getComputedStyle(element).backgroundColor);
    return (colour[3] ?? 1) ? colour : behind(element.parentElement);
  };
  const contrast = (element) => {
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  };
  return [...document.querySelectorAll("body *:not(script, style, noscript)")]
    .filter((each) => each.checkVisibility() && [...each.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .filter((each) => contrast(each) < 4.5)
    .map((each) => `${each.id || each.className || each.tagName} ${contrast(each).toFixed(2)}`);
})()"""


@dataclass(frozen=True)
class Bench:
    """An agent that watches a bench with parts on it, by a model that knows where they are."""

    agent: Agent
    url: str
    sha256: str
    boxes: list[Box]
    frames: Path


def confidences(boxes: list[Box]) -> np.ndarray:
    return np.linspace(0.95, 0.4, len(boxes))


@pytest.fixture
def bench(stored: Callable[..., Stored], agent: Callable[..., Agent], tmp_path: Path) -> Callable[..., Bench]:
    """`bench(**environment)`"""

    def start(**more: str) -> Bench:
        picture, boxes = draw(np.random.default_rng(21), Scene(objects=(6, 9), size=SIDE))
        frames = tmp_path / "frames"
        frames.mkdir()
        cv2.imwrite(str(frames / "0.png"), picture)
        rows = np.zeros((20, 6), np.float32)  # what a model with the suppression inside says: x1, y1, x2, y2, ...
        for row, box, confidence in zip(rows, boxes, confidences(boxes), strict=False):
            centre, half = np.array([box.x, box.y]), np.array([box.width, box.height]) / 2
            row[:] = [*SIDE * (centre - half), *SIDE * (centre + half), confidence, box.label]
        model = stored(constant(rows[None], SIDE)).put_in_cache()
        names = {"MODEL_CLASSES": json.dumps(CLASSES), "MODEL_IMAGE_SIZE": str(SIDE)}
        running = agent(
            "serve",
            model.env | names | {"FRAMES": f"directory://{frames}", "LIVE_PORT": "0", "LIVE_MASK": "false"} | more,
        )
        mark = "serving the live page on http://127.0.0.1:"
        wait_until(lambda: mark in running.log.read_text(), "the live page is served", running.log)
        port = running.log.read_text().partition(mark)[2].split()[0]
        return Bench(running, f"http://localhost:{port}/", model.env["MODEL_SHA256"], boxes, frames)

    return start


async def pixels(page: Page) -> np.ndarray:
    """The picture on the page, as the browser decoded it."""
    data = await page.evaluate(PIXELS)
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


async def texts(page: Page, *ids: str) -> list[str]:
    return [await page.evaluate(f"document.getElementById('{each}').innerText") for each in ids]


async def looks_right(page: Page) -> None:
    """Nothing has to be scrolled to the side, and every text has a contrast of 4.5 to 1 (WCAG AA)."""
    assert await page.evaluate(FITS)
    assert await page.evaluate(PALE) == []


@pytest.mark.parametrize("screen", [DESK, PHONE, NARROW], ids=["desk", "phone", "narrow"])
async def test_the_picture_with_boxes_and_all_figures(
    bench: Callable[..., Bench], tmp_path: Path, screen: tuple[int, int, float, bool]
) -> None:
    seen = bench()
    async with browser(tmp_path / "browser") as chromium, chromium.page(*screen) as page:
        await page.open(seen.url)
        await page.until(SHOWN)
        await page.until("Number(byId('fps').innerText) > 5")  # ten are due
        image = await pixels(page)
        assert image.shape == (2 * SIDE, 2 * SIDE, 3)
        found = 0
        for box in seen.boxes:  # each has an edge of its class's colour, unless another's name lies on it
            x, y = round(2 * SIDE * (box.x + box.width / 2)), round(2 * SIDE * box.y)
            found += near(image[y, x], drawing.COLOURS[box.label], 60)
        assert found >= len(seen.boxes) - 1
        assert await texts(page, "model", "version", "node", "group", "rollout", "state", "count", "viewers") == [
            "parts-detector", "v1", "edge-1", "canary", "line", "Live", str(len(seen.boxes)), "1 of 2",
        ]  # fmt: skip
        rows = await page.evaluate("[...byId('list').children].map(e => [...e.children].map(c => c.innerText))")
        assert [(row[1], row[4]) for row in rows] == [
            (CLASSES[box.label], f"{confidence:.2f}")
            for box, confidence in zip(seen.boxes, confidences(seen.boxes), strict=True)
        ]
        assert float((await texts(page, "age"))[0].split()[0]) < 3
        assert (
            await page.evaluate("byId('sha').title.startsWith(byId('sha').innerText) && byId('sha').title.length") == 64
        )
        assert await page.evaluate("document.title") == "Live: edge-1, parts-detector v1"
        for theme in ("light", "dark"):
            await page.theme(theme)
            await looks_right(page)
        assert page.complaints == []


async def test_a_feed_that_stalls_and_comes_back(bench: Callable[..., Bench], tmp_path: Path) -> None:
    seen = bench()
    async with browser(tmp_path / "browser") as chromium, chromium.page(*PHONE) as page:
        await page.open(seen.url)
        await page.until(SHOWN)
        colourful = np.ptp((await pixels(page)).astype(int), axis=2).max()
        seen.frames.rename(tmp_path / "away")
        await page.until("document.body.dataset.state === 'stale'")
        await page.until('byId("banner").innerText.includes("can\'t be read")')
        assert await texts(page, "state", "fps") == ["Stale", "0"]
        assert await page.evaluate("byId('banner').role") == "status"
        await page.until("parseFloat(byId('age').innerText) > 4")
        await asyncio.sleep(1)  # one more picture
        grey = await pixels(page)
        assert np.ptp(grey[:SIDE].astype(int), axis=2).max() < 20 < colourful
        assert near(grey[-3, 3], "#be2828", 40)  # the notice across the picture's lower edge
        await looks_right(page)
        (tmp_path / "away").rename(seen.frames)
        await page.until(SHOWN)
        assert (await texts(page, "banner")) == [""]
        assert page.complaints == []


async def test_no_frame_yet(bench: Callable[..., Bench], tmp_path: Path) -> None:
    seen = bench(FRAMES="directory:///away")
    async with browser(tmp_path / "browser") as chromium, chromium.page(*PHONE) as page:
        await page.open(seen.url)
        await page.until("document.body.dataset.state === 'waiting'")
        assert await texts(page, "state", "nothing", "age", "count") == ["Waiting", "No frame yet", "–", "–"]
        assert "/away can't be read" in (await texts(page, "banner"))[0]
        await looks_right(page)
        assert page.complaints == []


async def test_the_mask_and_what_happens_without_it(bench: Callable[..., Bench], tmp_path: Path) -> None:
    path = settings(tmp_path)  # the left half
    seen = bench(LIVE_MASK="true", CAPTURE_SETTINGS=str(path))
    async with browser(tmp_path / "browser") as chromium, chromium.page(*PHONE) as page:
        await page.open(seen.url)
        await page.until(SHOWN)
        await page.evaluate("byId('boxes').click()")
        await page.until(f"byId('picture').naturalWidth === {SIDE}")  # without boxes it is the frame itself
        image = await pixels(page)
        assert image[:, : SIDE // 2 - 2].max() <= 10
        assert image[:, SIDE // 2 + 4 :].mean() > 20
        path.unlink()
        await page.until("document.body.dataset.state === 'hidden' && byId('picture').hidden")
        assert await texts(page, "state", "nothing") == ["No picture", "No picture"]
        assert "capture.json can't be read" in (await texts(page, "banner"))[0]
        await looks_right(page)
        settings(tmp_path)
        await page.until(SHOWN)


async def test_one_viewer_too_many_and_an_agent_that_goes(bench: Callable[..., Bench], tmp_path: Path) -> None:
    seen = bench(LIVE_VIEWERS="1")
    async with (
        browser(tmp_path / "browser") as chromium,
        chromium.page(*DESK) as first,
        chromium.page(*DESK) as second,
    ):
        await first.open(seen.url)
        await first.until(SHOWN)
        await second.open(seen.url)
        await second.until("document.body.dataset.state === 'full'")
        assert "LIVE_VIEWERS allows (1)" in (await texts(second, "banner"))[0]
        assert await second.evaluate("byId('list').children.length") == len(seen.boxes)  # the figures go on
        await looks_right(second)
        await first.open("about:blank")
        await second.until(SHOWN)  # the place is free
        assert seen.agent.stop() == 0
        await second.until("document.body.dataset.state === 'lost'")
        assert "port-forward" in (await texts(second, "banner"))[0]
        await looks_right(second)


async def test_the_keyboard_is_enough(bench: Callable[..., Bench], tmp_path: Path) -> None:
    seen = bench()
    async with browser(tmp_path / "browser") as chromium, chromium.page(*DESK) as page:
        await page.open(seen.url)
        await page.until(SHOWN)
        reached = []
        for _ in range(3):
            await page.press("Tab", 9)
            reached.append(await page.evaluate("document.activeElement.id"))
        assert reached == ["boxes", "list", "copy"]
        await page.evaluate("byId('boxes').focus()")
        await page.press(" ", 32)
        await page.until(f"!byId('boxes').checked && byId('picture').naturalWidth === {SIDE}")
        await page.press(" ", 32)
        await page.until(f"byId('boxes').checked && byId('picture').naturalWidth === {2 * SIDE}")
        assert page.complaints == []
