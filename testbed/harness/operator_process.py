"""The operator as a process beside the cluster, so that a test can kill it at any moment and start it again."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.any_cluster import AnyCluster
from harness.paths import REPOSITORY
from harness.ports import free_port
from harness.processes import Process


class OperatorProcess:
    """``python -m modelfleet``, with a settings file of its own and its log in a file."""

    def __init__(
        self,
        cluster: AnyCluster,
        settings: Mapping[str, Any] | None = None,
        *,
        namespaces: Sequence[str] = (),
        name: str = "operator",
    ) -> None:
        """Describe one; nothing is started yet.

        Args:
            cluster: whose API server it works on.
            settings: for the settings file, in its own camelCase keys; groups are merged into the test's defaults.
            namespaces: those it serves; none: all.
            name: of the process, its settings file and its log; one at a time may run under a name.
        """
        self._supervisor = cluster.supervisor
        self._kubeconfig = cluster.operator_kubeconfig
        self._name = name
        self._port = free_port()
        self._settings = _merged(
            {
                "images": {name: f"localhost/modelfleet/{name}:test" for name in ("trainer", "agent", "labeler")},
                "server": {"address": cluster.address, "port": self._port},
                "namespaces": list(namespaces),
                # nobody runs the verify Job on a simulated node; the tests of verification play it, and switch it on
                "verification": {"enabled": False},
            },
            settings or {},
        )
        self._process: Process | None = None
        self.url = f"http://{cluster.address}:{self._port}"
        self.log = self._supervisor.record.state / f"{name}.log"

    def start(self, *, wait: bool = True) -> OperatorProcess:
        """Start it; return when it is ready, which is when its store has seen the whole cluster.

        Raises:
            ProcessDied, NotReady: with the end of its log.
        """
        settings = self._supervisor.record.state / f"{self._name}.yaml"
        settings.write_text(json.dumps(self._settings, indent=1))  # JSON is YAML
        command = [sys.executable, "-m", "modelfleet", f"--config={settings}", f"--kubeconfig={self._kubeconfig}"]
        environment = {"PYTHONPATH": str(REPOSITORY / "operator"), "PYTHONUNBUFFERED": "1"}
        self._process = self._supervisor.spawn(
            self._name, [*command, "--log-format=text"], env=environment, log=self.log
        )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, patience: float = 60) -> None:
        """Return when it is ready; raises ProcessDied or NotReady with the end of its log."""
        self.process.wait_ready(lambda: self._status("/readyz") == 200, patience)

    def kill9(self) -> None:
        """Kill it as a crash would: no handler runs, nothing is flushed."""
        self.process.kill9()

    def stop(self, patience: float = 30) -> int | None:
        """Ask it to end (SIGTERM), and kill it after ``patience`` seconds; return its exit code."""
        self.process.stop(patience)
        return self.process.exit

    def restart(self) -> None:
        """Kill it if it runs, and start it again with the same settings."""
        if self.process.alive:
            self.kill9()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP), as a node under memory pressure does."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen operator go on."""
        self.process.signal(signal.SIGCONT)

    @property
    def process(self) -> Process:
        """The process that was started last."""
        if self._process is None:
            raise RuntimeError("the operator has not been started")
        return self._process

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.alive

    def tail(self, lines: int = 60) -> str:
        """The end of its log, over all its lives."""
        return self.process.tail(lines)

    def metrics(self) -> str:
        """Its own metrics, in Prometheus' text format."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as response:
            return str(response.read().decode())

    def _status(self, path: str) -> int | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=2) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


class StartOperator(Protocol):
    """Starts an operator with settings of its own; see ``start_operator``."""

    def __call__(
        self, settings: Mapping[str, Any] | None = None, *, namespaces: Sequence[str] | None = None, wait: bool = True
    ) -> OperatorProcess: ...
