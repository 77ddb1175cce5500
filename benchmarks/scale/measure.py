"""What a controller costs with N objects: from the moment they are applied until it rests, at rest, and at a start."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import Cluster, definitions
from harness.paths import REPOSITORY
from harness.processes import Process
from scale.driver import Api, Arrivals, apply_all
from scale.sides import Side

NAMESPACE = "benchmark"
QUIET = 5.0  # seconds without a write or work that count as rest
IDLE = 30.0
PATIENCE = 1_500.0
_TICK = os.sysconf("SC_CLK_TCK")
_READS = ("get", "list", "watch")


@dataclass(frozen=True)
class Cost:
    """All figures of one controller with `objects` objects.

    processor_seconds  user and system time of its process, from the first apply until it rested
    delay_p50, _p99    seconds from an object's apply, answered, to its first child
    applied_seconds    how long the driver took to apply all of them
    rested_seconds     from the first apply until the last thing that the controller did
    writes             requests that change something, by what they are about: children, status, events, ...
    reads              get, list and watch requests
    peak_bytes         the most memory (RSS) until it rested; idle_bytes: at rest; started_bytes: at rest after a start
    idle_*             over `IDLE` seconds at rest
    start_seconds      from the start of a process until it is in sync with all objects there
    """

    side: str
    objects: int
    processor_seconds: float
    delay_p50: float
    delay_p99: float
    applied_seconds: float
    rested_seconds: float
    writes: dict[str, int]
    reads: int
    peak_bytes: int
    idle_bytes: int
    idle_processor_seconds: float
    idle_writes: dict[str, int]
    idle_reads: dict[str, int]
    start_seconds: float
    start_processor_seconds: float
    started_bytes: int

    @property
    def writes_each(self) -> float:
        """Writes for each object."""
        return sum(self.writes.values()) / self.objects

    def to_dict(self) -> dict[str, object]:
        """JSON values."""
        return asdict(self)


class Audit:
    """The requests of the controller, as the API server's audit log has them."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = log.stat().st_size if log.exists() else 0

    def taken(self) -> tuple[dict[str, int], dict[str, int]]:
        """(writes by what they are about, reads by verb and what they are about) since the last call."""
        writes: Counter[str] = Counter()
        reads: Counter[str] = Counter()
        with self._log.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                event = json.loads(line)
                about = event["objectRef"]
                if event["verb"] in _READS:
                    reads[f"{event['verb']} {about['resource']}"] += 1
                else:
                    writes[f"{about['resource']}{'/status' if about.get('subresource') == 'status' else ''}"] += 1
        return dict(writes), dict(reads)

    @property
    def size(self) -> int:
        """Bytes so far: grows with each request."""
        return self._log.stat().st_size


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int, field: str = "VmRSS") -> int:
    """Memory of a process in bytes: VmRSS now, VmHWM the most so far."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def cost(side: Side, objects: int, idle: float = IDLE) -> Cost:
    """Measure on a cluster of its own. Raises TimeoutError when it does not come to rest."""
    with Cluster() as cluster:
        definitions.install(cluster.kubectl, REPOSITORY / "crds")
        cluster.kubectl("create", "namespace", NAMESPACE)
        process, at_rest = side.start(cluster)
        return asyncio.run(_cost(side, objects, idle, cluster, process, at_rest))


async def _cost(
    side: Side, objects: int, idle: float, cluster: Cluster, process: Process, at_rest: Callable[[], bool]
) -> Cost:
    audit = Audit(cluster.control_plane.audit_log)
    async with Api(cluster.kubeconfig) as api:
        for resource, manifest in side.before:
            await api.apply(resource, NAMESPACE, manifest)
        await _rest(audit, at_rest)
        audit.taken()
        used, begun = processor_seconds(process.pid), time.monotonic()
        manifests = [side.manifest(number) for number in range(objects)]
        arrivals = await apply_all(api, NAMESPACE, (side.owner, manifests), side.child, PATIENCE)
        rested = await _rest(audit, at_rest)
        used = processor_seconds(process.pid) - used
    writes, reads = audit.taken()
    peak, resting = memory(process.pid, "VmHWM"), memory(process.pid)
    before = processor_seconds(process.pid)
    await asyncio.sleep(idle)
    idle_writes, idle_reads = audit.taken()
    idle_used = processor_seconds(process.pid) - before
    process.kill9()
    started = time.monotonic()
    process, at_rest = side.start(cluster)
    synced = await _rest(audit, at_rest)
    return _summary(
        arrivals,
        side=side.name,
        objects=objects,
        processor_seconds=used,
        rested_seconds=rested - begun,
        begun=begun,
        writes=writes,
        reads=sum(reads.values()),
        peak_bytes=peak,
        idle_bytes=resting,
        idle_processor_seconds=idle_used,
        idle_writes=idle_writes,
        idle_reads=idle_reads,
        start_seconds=synced - started,
        start_processor_seconds=processor_seconds(process.pid),
        started_bytes=memory(process.pid),
    )


def _summary(arrivals: Arrivals, *, begun: float, **figures: object) -> Cost:
    delays = arrivals.delays()
    return Cost(
        delay_p50=delays[len(delays) // 2],
        delay_p99=delays[min(len(delays) - 1, int(len(delays) * 0.99))],
        applied_seconds=max(arrivals.applied.values()) - begun,
        **figures,  # type: ignore[arg-type]
    )


async def _rest(audit: Audit, at_rest: Callable[[], bool]) -> float:
    """Wait until nothing was asked of the API server for `QUIET` seconds and no work waits; since when that is so."""
    since, size = time.monotonic(), audit.size
    deadline = since + PATIENCE
    while time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        now = audit.size
        if now != size or not await asyncio.to_thread(at_rest):
            since, size = time.monotonic(), now
        elif time.monotonic() - since >= QUIET:
            return since
    raise TimeoutError(f"it did not come to rest within {PATIENCE:.0f} s")
