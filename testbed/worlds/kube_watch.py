"""Follows objects of one kind as they change: ``kubectl get --watch`` in a thread.

Polling would miss what comes and goes in between, and costs a process each time.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from threading import Thread
from types import TracebackType
from typing import Any

from harness import Cluster, ExistingCluster, binaries

Json = dict[str, Any]


OnChange = Callable[[str, Json], None]
"""Called in the watch's thread with one change after the other: ADDED (also for what is there), MODIFIED, DELETED."""


class Watch:
    """A watch on all namespaces, from ``with`` on to its end."""

    def __init__(self, cluster: Cluster | ExistingCluster, kind: str, on_change: OnChange, selector: str = "") -> None:
        """Describe one; nothing is started yet. ``selector`` chooses by labels."""
        self._kind = kind
        self._command = [
            str(binaries.path("kubectl")),
            f"--kubeconfig={cluster.kubeconfig}",
            f"--cache-dir={cluster.kubeconfig.parent}/kubectl-cache",
            "get",
            kind,
            "--all-namespaces",
            f"--selector={selector}",
            "--watch",
            "--output-watch-events",
            "--output=json",
        ]
        self._on_change = on_change
        self._process: subprocess.Popen[str] | None = None
        self._thread: Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Watch:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._thread = Thread(target=self._follow, args=[self._process.stdout], name=f"watch {self._kind}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._thread is not None
        ended = self._process.poll()
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        if error is None:
            self.check()
            assert ended is None, f"the watch on {self._kind} ended on its own, with exit code {ended}"

    def check(self) -> None:
        """Raise what a callback raised, if one did: a watch that goes on half blind must not pass a test."""
        if self._failure is not None:
            raise RuntimeError(f"the watch on {self._kind} failed") from self._failure

    def _follow(self, lines: Iterable[str]) -> None:
        for line in lines:  # an event on each
            event = json.loads(line)
            try:
                self._on_change(event["type"], event["object"])
            except BaseException as failure:
                self._failure = failure
                raise
