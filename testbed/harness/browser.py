"""A real browser without a window, spoken to in its DevTools protocol.

async with browser(folder) as chromium, chromium.page(390, 844) as page:
    await page.open("http://localhost:1234/")
    assert await page.evaluate("document.title") == "..."
    assert page.complaints == []
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from harness import debian
from harness.processes import wait_until

_MARK = "DevTools listening on "
_PATIENCE = 30  # seconds


class Page:
    """One tab. `complaints`: the errors and warnings on its console, of scripts, policy and network."""

    def __init__(self, chromium: Chromium, session: str) -> None:
        self._chromium = chromium
        self._session = session
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._chromium.call(method, self._session, **parameters)

    async def open(self, url: str) -> None:
        answer = await self.call("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        await self.until("document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until the expression is true in the page."""
        end = time.monotonic() + _PATIENCE
        while not await self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                text = await self.evaluate("document.body?.innerText")
                raise AssertionError(f"not within {_PATIENCE} s: {expression}\n{text}\n{self.complaints}")
            await asyncio.sleep(0.1)

    async def theme(self, scheme: str) -> None:
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def screenshot(self) -> bytes:
        """A PNG of the whole page, also of what has to be scrolled to."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                text=key if kind == "keyDown" and len(key) == 1 else "",
            )

    def heard(self, method: str, event: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(event["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(event["args"])[:500])
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")


class Chromium:
    """A running browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}

    async def listen(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            elif (page := self._pages.get(said.get("sessionId", ""))) is not None:
                page.heard(said["method"], said["params"])

    async def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        asked = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        await self._socket.send_json(asked)
        answer = await asyncio.wait_for(self._waiting[number], 30)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    @contextlib.asynccontextmanager
    async def page(self, width: int, height: int, scale: float = 1, mobile: bool = False) -> AsyncIterator[Page]:
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            await page.call(f"{domain}.enable")
        await page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )
        yield page
        await self.call("Target.closeTarget", targetId=target)


@contextlib.asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Chromium]:
    """Debian's Chromium, installed if it is missing; `folder` takes its profile and its log."""
    process, address = _start(folder)
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=1 << 26) as socket,
        ):
            chromium = Chromium(socket)
            listening = asyncio.create_task(chromium.listen())
            yield chromium
            await socket.close()
            await listening
    finally:
        _end(process)


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """The process, and the address of its DevTools."""
    debian.ensure(*debian.BROWSER)
    command = [str(debian.program("chromium-headless-shell")), "--remote-debugging-port=0", "--disable-gpu"]
    command += [f"--user-data-dir={folder / 'profile'}", "--disable-background-networking", "--no-first-run"]
    if os.geteuid() == 0:  # its sandbox refuses root
        command.append("--no-sandbox")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "chromium.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "about:blank"], stdout=output, stderr=output, start_new_session=True)
    if not wait_until(lambda: _MARK in log.read_text(), _PATIENCE):
        _end(process)
        raise RuntimeError(f"Chromium does not listen: {log.read_text()[-2000:]}")
    return process, log.read_text().partition(_MARK)[2].split()[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole session: what Debian's script starts is no child that would go with it, and has children, too."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
