"""`python -m pictures.draw FOLDER`: a picture of each dashboard, as PNG. `make dashboards-picture` does it for docs.

Needs npm, and a Chromium (Debian's package, installed where it is missing). What is drawn is Grafana's own (lines,
figures, tables, their units, legends, thresholds and mappings); state timelines and heatmaps are drawn by page.jsx.
"""

import argparse
import asyncio
import functools
import io
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

from PIL import Image

from e2e.dashboards import story_until
from harness.browser import browser
from modelfleet.observability.generate import DASHBOARDS
from worlds import observed
from worlds.board_queries import ALL_OF, Range
from worlds.recording import programs, serve

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCES = ("index.html", "page.jsx", "queries.js", "vite.config.js", "package.json")
WIDTH, ROW = 1456, 30
HOURS = 27


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the dashboards.")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("boards", nargs="*", help="names of dashboards; default: all")
    parser.add_argument("--build", type=Path, default=Path("build/pictures"), help="where the page is built")
    parser.add_argument("--demo", metavar="URL", help="the Prometheus of a demo that was kept; default: a made-up day")
    options = parser.parse_args()
    boards = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / DASHBOARDS).glob("*.json"))}
    page = build(options.build.resolve())
    shutil.rmtree(page / "boards", ignore_errors=True)
    shutil.copytree(ROOT / DASHBOARDS, page / "boards")
    options.out.mkdir(parents=True, exist_ok=True)
    data = nullcontext(story_until(time.time(), options.demo)) if options.demo else made_up_day()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(page)) as server, data as shown:
        Thread(target=server.serve_forever, daemon=True).start()
        for name, board in boards.items():
            if not options.boards or name in options.boards:
                address = f"http://127.0.0.1:{server.server_port}/?{urlencode(_asked(name, shown))}"
                save(asyncio.run(draw(address, _height(board))), options.out / f"{name}.png")
        server.shutdown()


@contextmanager
def made_up_day() -> Iterator[Range]:
    """A real Prometheus with the data of `worlds.observed`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, end = Path(scratch), observed.END.timestamp()
        observed.record(folder / "recording.txt")
        with serve(programs()["cluster"], folder / "recording.txt", folder) as prometheus:
            variables = {**ALL_OF, "__rate_interval": "10m", "__range": f"{HOURS}h", "window": "1h", "before": "1d"}
            yield Range(prometheus.url, end - HOURS * 3600, end, 600, variables)


def build(folder: Path) -> Path:
    """The page, built from the sources; again only when they changed."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = all(
        (folder / name).is_file() and (folder / name).read_bytes() == (HERE / name).read_bytes() for name in SOURCES
    )
    if not fresh or not (folder / "dist").is_dir():
        for name in SOURCES:
            shutil.copy(HERE / name, folder / name)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=folder, check=True)
        subprocess.run(["npx", "vite", "build", "--logLevel=warn"], cwd=folder, check=True)
    return folder / "dist"


async def draw(address: str, height: int) -> bytes:
    """A picture of the page at `address`, once it has drawn all that it asked for."""
    with tempfile.TemporaryDirectory() as profile:
        async with browser(Path(profile)) as chromium, chromium.page(WIDTH, height) as page:
            await page.open(address)
            await page.until("document.title === 'drawn'")
            return await page.screenshot()


def save(picture: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(picture)) as opened:
        opened.quantize(128).save(path, optimize=True)  # less than half of the size
    print(path)


def _asked(name: str, shown: Range) -> Mapping[str, str]:
    """The page's parameters; it counts whole seconds."""
    whole = replace(shown, start=int(shown.start), end=int(shown.end))
    return {"board": name, "source": json.dumps(asdict(whole))}


def _height(board: Mapping[str, Any]) -> int:
    return max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"]) * ROW + 60


def _handler(folder: Path) -> Any:
    return functools.partial(_Quiet, directory=str(folder))


if __name__ == "__main__":
    main()
