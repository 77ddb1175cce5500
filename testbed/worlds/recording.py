"""Records the metrics of simulated nodes as OpenMetrics text, and serves them with a real Prometheus.

Each scenario is one Rollout (label `rollout`) in one recording. Nodes count frames and detections from a seeded random
generator; what a scrape would have seen is written down at each node's own phase of the scrape interval.
"""

import hashlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import isnan, nan
from pathlib import Path

import numpy as np

from harness import binaries, debian
from harness.lifetime import die_with_parent, run
from harness.paths import cache, locked

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
SCRAPE = 15
EDGES = ("0.25", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.85", "0.9", "0.95", "1.0", "+Inf")
EQUAL = (0, 0.01, 0.03, 0.05, 0.06, 0.08, 0.12, 0.1, 0.15, 0.2, 0.2, 0)
TIMID = (0, 0.12, 0.16, 0.14, 0.13, 0.12, 0.12, 0.08, 0.06, 0.04, 0.03, 0)
OTHER = ("0.1", "0.5", "1.0", "+Inf")


@dataclass(frozen=True)
class Node:
    """One node from `born` to `died` (seconds from START; None: as long as the recording).

    mix        share of detections in each bucket; `per_frame` of them in each frame
    later      from that second on another mix
    rate       frames per second; scraped `every` seconds
    restarts   seconds at which the container starts again in the same pod: counters go back to zero
    new_pods   seconds at which a new pod takes over: other label `pod`, counters from zero
    scraped    whether the scrape at this second (from START) succeeded
    backend    what runs the model; None: no modelfleet_model_info
    """

    name: str
    group: str
    version: str
    mix: tuple[float, ...] = EQUAL
    later: tuple[float, tuple[float, ...]] | None = None
    per_frame: float = 2.0
    rate: float = 5.0
    every: float = SCRAPE
    born: float = -3600
    died: float | None = None
    restarts: tuple[float, ...] = ()
    new_pods: tuple[float, ...] = ()
    scraped: Callable[[float], bool] = lambda second: True
    backend: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[Mapping[str, str], ...] = ({},)
    broken: float | None = None  # from then on the counters are `value`
    value: float = nan
    dark: float | None = None  # from then on there is nothing on its frames
    light: Callable[[float], float] = lambda second: 1.0  # how much more or less there is to see on them, at a second


def record(rollouts: Mapping[str, Iterable[Node]], length: timedelta, path: Path) -> None:
    """Write the recording of all rollouts, from when their nodes are born to `length` after START."""
    frames: list[str] = []
    empty: list[str] = []
    buckets: list[str] = []
    models: list[str] = []
    for rollout, nodes in rollouts.items():
        for index, node in enumerate(nodes):
            _record(rollout, node, index, length.total_seconds(), (frames, empty, buckets, models))
    with path.open("w", encoding="utf-8") as out:
        out.write("# TYPE modelfleet_frames counter\n")
        out.writelines(frames)
        out.write("# TYPE modelfleet_empty_frames counter\n")
        out.writelines(empty)
        out.write("# TYPE modelfleet_detection_confidence histogram\n")
        out.writelines(buckets)
        out.write("# TYPE modelfleet_model_info gauge\n")
        out.writelines(models)
        out.write("# EOF\n")


def _record(rollout: str, node: Node, index: int, length: float, out: tuple[list[str], ...]) -> None:
    frames, empty, buckets, models = out
    random = np.random.default_rng([index, *rollout.encode()])
    phase = float(random.uniform(0, node.every))
    edges = EDGES if len(node.mix) == len(EDGES) else OTHER
    total, nothing, counts, pod = 0.0, 0.0, np.zeros(len(edges)), 0
    end = length if node.died is None else node.died
    previous = node.born
    for second in np.arange(node.born + phase, end, node.every):
        reset = [at for at in (*node.restarts, *node.new_pods) if previous < at <= second]
        if reset:
            total, nothing, counts = 0.0, 0.0, np.zeros(len(edges))
            pod += any(previous < at <= second for at in node.new_pods)
        spent = second - (reset[-1] if reset else previous)
        new = random.poisson(node.rate * spent)
        total += new
        found = node.per_frame * node.light(float(second)) if node.dark is None or second < node.dark else 0.0
        nothing += float(np.exp(-found)) * new
        if found:
            mix = node.mix if node.later is None or second < node.later[0] else node.later[1]
            counts += random.poisson(np.array(mix) * found * new)
        previous = second
        if not node.scraped(float(second)):
            continue
        bad = _written(node.value) if node.broken is not None and second >= node.broken else None
        at = f"{START.timestamp() + second:.3f}"
        for copy in node.copies:
            labels = {
                "namespace": "factory",
                "rollout": rollout,
                "group": node.group,
                "version": node.version,
                "model": "parts",
                "node": node.name,
                "pod": f"{node.name}-{pod}",
                **node.labels,
                **copy,
            }
            text = ",".join(f'{name}="{value}"' for name, value in labels.items() if value)
            frames.append(f"modelfleet_frames_total{{{text}}} {bad or total} {at}\n")
            empty.append(f"modelfleet_empty_frames_total{{{text}}} {bad or nothing} {at}\n")
            if node.backend is not None:
                models.append(f'modelfleet_model_info{{{text},backend="{node.backend}"}} 1 {at}\n')
            for le, value in zip(edges, np.cumsum(counts), strict=True):
                buckets.append(f'modelfleet_detection_confidence_bucket{{{text},le="{le}"}} {bad or value} {at}\n')


def _written(value: float) -> str:
    """As in an exposition: NaN, +Inf."""
    return "NaN" if isnan(value) else f"{'+' if value > 0 else '-'}Inf"


@dataclass
class Prometheus:
    """A running Prometheus over a recording; it can be stopped and started again in between."""

    program: str
    data: Path
    port: int
    config: str = "global: {}\n"
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        log = (self.data.parent / "prometheus.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent
            )
        deadline = time.monotonic() + 60
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.data.parent / "prometheus.log").read_text()[-2000:])
            time.sleep(0.1)

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def _command(self) -> list[str]:
        config = self.data.parent / "prometheus.yml"
        config.write_text(self.config)
        return [
            self.program,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


class VictoriaMetrics(Prometheus):
    """A running VictoriaMetrics, which serves the same query API."""

    def take(self, recording: Path) -> None:
        """Import the recording. It keeps no samples that are not numbers."""
        request = urllib.request.Request(f"{self.url}/api/v1/import/prometheus", data=_in_milliseconds(recording))
        for call in (request, f"{self.url}/internal/force_flush"):
            with urllib.request.urlopen(call, timeout=300):
                pass

    def _command(self) -> list[str]:
        return [
            self.program,
            f"-storageDataPath={self.data}",
            "-retentionPeriod=100y",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-memory.allowedBytes=256MB",
            "-loggerLevel=WARN",
        ]


def _in_milliseconds(recording: Path) -> bytes:
    """OpenMetrics as Prometheus' text format, whose times are in milliseconds."""
    lines = (line.rsplit(" ", 1) for line in recording.read_text().splitlines() if not line.startswith("#"))
    return "".join(f"{sample} {round(float(at) * 1000)}\n" for sample, at in lines).encode()


@dataclass(frozen=True)
class Recording:
    """Rollouts that are recorded once, and whose data the cache keeps: the same sources make the same data, to the
    last bit, and take a minute for it.

    rollouts, length   as of ``record``
    source             the module that says so
    folder             for the text, where that is needed
    """

    rollouts: Mapping[str, Iterable[Node]]
    length: timedelta
    source: Path
    folder: Path

    @cached_property
    def text(self) -> Path:
        """As OpenMetrics."""
        path = self.folder / "openmetrics.txt"
        record(self.rollouts, self.length, path)
        return path

    def data(self, reader: str, read: Callable[[Path, Path], None], folder: Path) -> Path:
        """A copy below ``folder`` of the data that ``read``, with the program ``reader``, makes of the text."""
        digest = hashlib.sha256(f"{np.__version__} {reader}".encode())
        for source in (Path(__file__), self.source):
            digest.update(source.read_bytes())
        kept = cache() / "recordings" / f"{self.source.stem}-{digest.hexdigest()[:16]}"
        with locked(kept.with_suffix(".lock"), "another process reads the same recording; waiting for it"):
            if not kept.exists():
                partial = kept.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
                read(self.text, partial / "data")
                partial.rename(kept)
        return Path(shutil.copytree(kept / "data", folder / "data"))


@contextmanager
def serve_recording(name: str, recording: Recording, folder: Path) -> Iterator[Prometheus]:
    """The server of this name (of ``programs``, or victoria-metrics) with the recording. Stops it in the end, whatever
    happens."""
    if name == "victoria-metrics":
        program = str(binaries.path(name))
        server: Prometheus = VictoriaMetrics(program, recording.data(program, _import, folder), _free_port())
    else:
        version = run([_debian("promtool"), "--version"])
        server = Prometheus(programs()[name], recording.data(version, _blocks, folder), _free_port())
    with _running(server):
        yield server


@contextmanager
def serve(program: str, recording: Path, folder: Path) -> Iterator[Prometheus]:
    """A real Prometheus that holds what is recorded in a file. Stops it in the end, whatever happens."""
    data = folder / "data"
    _blocks(recording, data)
    prometheus = Prometheus(program, data, _free_port())
    with _running(prometheus):
        yield prometheus


def _import(text: Path, data: Path) -> None:
    server = VictoriaMetrics(str(binaries.path("victoria-metrics")), data, _free_port())
    with _running(server):
        server.take(text)


def _blocks(text: Path, data: Path) -> None:
    # It reads the whole recording again for each block, of which there would be one for two hours.
    of_any_length = "--max-block-duration=8760h"
    run([_debian("promtool"), "tsdb", "create-blocks-from", of_any_length, "openmetrics", text, data])


@contextmanager
def _running(server: Prometheus) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def programs() -> dict[str, str]:
    """The servers to test against: Debian's, an old one, and the one that the test cluster is built with."""
    return {"debian": _debian("prometheus"), "cluster": str(binaries.path("prometheus"))}


def _debian(name: str) -> str:
    if shutil.which(name) is None:
        debian.ensure("prometheus")
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed: apt-get install prometheus")
    return found
