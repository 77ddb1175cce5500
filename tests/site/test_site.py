"""The site that `make site` has built: all pages are there, none of them fetches anything from another host, and its
diagrams are drawn."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from harness.browser import browser

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build/site"
PAGES = sorted(SITE.rglob("*.html"))
# what a browser fetches by itself; `a` is followed by people
MERMAID = "javascripts/mermaid.min.js"
DIAGRAMS = {
    page.relative_to(ROOT / "docs").with_suffix(".html"): count
    for page in sorted(ROOT.glob("docs/**/*.md"))
    if (count := page.read_text().count("```mermaid\n"))
}
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}

pytestmark = pytest.mark.skipif(not PAGES, reason="there is no build/site: make site")


class Fetches(HTMLParser):
    """What a page fetches from elsewhere when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        address = attributes.get(FETCHED.get(tag, "")) or ""
        if address.startswith(("http:", "https:", "//")) and attributes.get("rel") != "canonical":
            self.found.append(address)


def test_every_page_of_docs_was_built() -> None:
    pages = {p.relative_to(ROOT / "docs").with_suffix("") for p in ROOT.glob("docs/**/*.md")}
    built = {p.relative_to(SITE).with_suffix("") for p in PAGES}
    as_index = {p.with_name("index") if p.name == "README" else p for p in pages}
    assert as_index <= built


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(SITE)))
def test_a_page_fetches_nothing_from_another_host(page: Path) -> None:
    fetches = Fetches()
    fetches.feed(page.read_text())
    assert fetches.found == []


def test_the_check_finds_what_a_page_fetches() -> None:
    fetches = Fetches()
    fetches.feed('<a href="https://a/"><link rel="stylesheet" href="https://b/"><script src="//c/d.js"></script>')
    assert fetches.found == ["https://b/", "//c/d.js"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_there_are_diagrams() -> None:
    assert Path("concepts.html") in DIAGRAMS


async def test_diagrams_are_drawn_and_nothing_comes_from_another_host(served: str, tmp_path: Path) -> None:
    """In a real browser. What the theme can't draw stays text; without our copy it would ask a CDN for mermaid."""
    async with browser(tmp_path) as chromium, chromium.page(1280, 1024) as page:
        for name, diagrams in DIAGRAMS.items():
            await page.open(f"http://{served}/{name}")
            await page.until(f"document.querySelectorAll('div.mermaid').length === {diagrams}")
            smallest = "Math.min(...[...document.querySelectorAll('div.mermaid')].map(d => d.clientHeight))"
            assert await page.evaluate(smallest) > 100, name
            assert await page.evaluate("document.querySelectorAll('pre.mermaid').length") == 0
            asked = "performance.getEntriesByType('resource').map(entry => new URL(entry.name).host)"
            assert set(await page.evaluate(asked)) == {served}, name
            (tmp_path / f"{name.stem}.png").write_bytes(await page.screenshot())
            assert page.complaints == [], name
