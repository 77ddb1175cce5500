"""What a sync of a large bucket takes, in requests, time and memory: `python -m listing.run --objects 1000000`.

On versitygw, a real S3 gateway, through a proxy that counts its requests: the first sync lists all, the second what is
new. Each sync is a whole run of the labeler in a process of its own, as its Job is, with labels as files of which there
are none: what is left is knowing the captures. Objects are written past the gateway into its folder, since only their
names matter: files of two bytes, two a capture, spread evenly over nodes and days, below TMPDIR. Prints JSON.
"""

import argparse
import hashlib
import http.client
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from harness.object_store import gateway
from labeler import run
from labeler.settings import FilesSettings, Run, Split

NODES, DAYS = 20, 90
KEY = SECRET = "bench-bench-bench"
Counted = Counter[str]


class Proxy(http.server.BaseHTTPRequestHandler):
    """Hands each request on as it is, and counts it: listings by their name, others by their method."""

    protocol_version = "HTTP/1.1"
    target = ""
    counted: ClassVar[Counted] = Counter()
    lock: ClassVar = threading.Lock()

    def do_GET(self) -> None:
        self._hand_on()

    do_PUT = do_HEAD = do_GET

    def _hand_on(self) -> None:
        self._count("list" if "list-type=2" in self.path else self.command.lower(), 1)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        onward = http.client.HTTPConnection(self.target)
        onward.request(self.command, self.path, body, dict(self.headers))
        with onward.getresponse() as answer:
            content = answer.read()
            self._count("objects listed", content.count(b"<Key>"))
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        onward.close()

    def _count(self, kind: str, by: int) -> None:
        with self.lock:
            self.counted[kind] += by

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: each line would cost time."""


def fill(bucket: Path, captures: int, now: datetime, first: int = 0) -> None:
    """So many captures, evenly over nodes and days, the newest an hour ago."""
    for number in range(first, first + captures):
        node, turn = number % NODES, number // NODES
        at = now - timedelta(hours=1) - timedelta(days=DAYS) * (turn * NODES / max(1, captures) if first == 0 else 0)
        sha8 = hashlib.sha256(str(number).encode()).hexdigest()[:8]
        folder = bucket / f"line/n{node:03d}/{at:%Y/%m/%d}"
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in (".jpg", ".json"):
            (folder / f"{at:%H%M%S}.{number % 1000:03d}Z-{sha8}{suffix}").write_bytes(b"{}")


def measured(now: datetime) -> dict[str, Any]:
    """One sync, with its requests."""
    Proxy.counted.clear()
    command = [sys.executable, "-m", "listing.run", "--sync", now.isoformat()]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(found.stdout) | dict(Proxy.counted) | {"load": os.getloadavg()[0]}


def sync(now: datetime) -> dict[str, Any]:
    """One sync in this process. It says that all captures wait, since nobody labels any."""
    began = time.monotonic()
    found = run.run(settings(), None, now)
    return {
        "captures": found.waiting,
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(time.process_time(), 1),
        "peak_mb": round(peak() / 1e6),
    }


def peak() -> int:
    """Bytes that this process has had in memory at most. (The kernel's figure for its caller has those of the process
    that started it as well.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def settings() -> Run:
    """Of a Dataset; nothing but the addresses is used here."""
    files = FilesSettings("s3://labels/", "Auto")
    split = Split(Decimal("0.15"), Decimal("0.1"))
    return Run(
        "parts",
        "default",
        "parts",
        "s3://captures/",
        "s3://store/",
        ("bolt",),
        1,
        split,
        files,
        1,
        (),
        split.holdout,
        (),
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--sync", type=datetime.fromisoformat, help=argparse.SUPPRESS)  # one sync, of its own process
    options = parser.parse_args()
    if options.sync is not None:
        print(json.dumps(sync(options.sync)))
        return
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        buckets = Path(folder)
        for bucket in ("captures", "labels", "store"):
            (buckets / bucket).mkdir()
        fill(buckets / "captures", options.objects // 2, now)
        with gateway(buckets, KEY, SECRET) as url:
            Proxy.target = url.removeprefix("http://")
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            os.environ |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET,
            }
            rows = [measured(now)]
            fill(buckets / "captures", 500, now, options.objects)
            rows.append(measured(now + timedelta(minutes=30)))
            rows.append(measured(now + timedelta(minutes=60)))
            server.shutdown()
    print(json.dumps({"objects": options.objects, "nodes": NODES, "days": DAYS, "syncs": rows}, indent=1))


if __name__ == "__main__":
    main()
