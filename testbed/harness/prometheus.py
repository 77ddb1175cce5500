"""A real Prometheus that finds the agents by Kubernetes service discovery, as the chart's PodMonitor would.

It scrapes every running pod that has the label ``modelfleet.dev/rollout`` or the annotation
``modelfleet.dev/scrape: "true"``, at the port named ``metrics``, with the agent's own labels honoured and ``namespace``
and ``pod`` added. More targets can be added while it runs (``add_target``).
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness import binaries
from harness.processes import Supervisor

_SCRAPE_ANNOTATION = "modelfleet_dev_scrape"
_ROLLOUT_LABEL = "modelfleet_dev_rollout"


class Prometheus:
    """A Prometheus process. What it has collected outlives ``stop`` and ``start``."""

    def __init__(
        self,
        supervisor: Supervisor,
        kubeconfig: Path | None,
        address: str,
        port: int,
        *,
        name: str = "prometheus",
        scrape_interval: timedelta = timedelta(seconds=5),
        namespaces: Sequence[str] = (),
    ) -> None:
        """Describe one; nothing is started yet.

        Args:
            supervisor: that of the cluster.
            kubeconfig: for discovery; None: only targets that are added.
            address: where to listen, and where it is reached.
            port: likewise.
            name: of the process and of its folder.
            scrape_interval: also the timeout of a scrape.
            namespaces: whose pods to scrape; none: all.
        """
        self._supervisor = supervisor
        self._kubeconfig = kubeconfig
        self._namespaces = list(namespaces)
        self._listen = f"{address}:{port}"
        self._name = name
        self._interval = f"{scrape_interval.total_seconds() * 1000:.0f}ms"
        # how soon pods that were discovered are scraped: 5 s by default, which is long where that is a scrape or more
        self._reload = f"{min(scrape_interval, timedelta(seconds=5)).total_seconds() * 1000:.0f}ms"
        self._folder = supervisor.record.state / name
        self._targets: list[dict[str, Any]] = []
        self.url = f"http://{self._listen}"

    def start(self) -> Prometheus:
        """Start it, or start it again with the data it had; returns when it answers queries."""
        self._folder.mkdir(exist_ok=True)
        self._write_targets()
        config = self._folder / "prometheus.json"
        config.write_text(json.dumps(self._configuration(), indent=1))  # JSON is YAML
        process = self._supervisor.spawn(
            self._name,
            [
                binaries.path("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._folder}/data",
                "--storage.tsdb.retention.time=2d",
                f"--scrape.discovery-reload-interval={self._reload}",
                f"--web.listen-address={self._listen}",
                "--log.level=warn",
            ],
        )
        process.wait_ready(self._is_ready, 30)
        return self

    def stop(self) -> None:
        """Stop it, for the test of an outage or at the end."""
        self._supervisor.find(self._name).stop()

    def add_target(self, address: str, labels: Mapping[str, str] | None = None) -> None:
        """Scrape ``host:port`` too, at ``/metrics``; the labels are given to it, where it does not set them itself."""
        self._targets.append({"targets": [address], "labels": dict(labels or {})})
        self._write_targets()

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Evaluate an instant query now; return the labels and value of each series.

        Raises:
            urllib.error.URLError: it is down, or the expression is wrong.
        """
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as response:
            result = json.load(response)["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def tail(self) -> str:
        """The end of its log."""
        return self._supervisor.find(self._name).tail()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def _write_targets(self) -> None:
        partial = self._folder / "targets.partial"
        partial.write_text(json.dumps(self._targets))
        partial.rename(self._folder / "targets.json")

    def _configuration(self) -> dict[str, Any]:
        jobs = [
            {
                "job_name": "added",
                "honor_labels": True,
                "file_sd_configs": [{"files": [f"{self._folder}/targets.json"], "refresh_interval": "1s"}],
            }
        ]
        if self._kubeconfig is not None:
            jobs.append(_pods(self._kubeconfig, self._namespaces))
        timing = {"scrape_interval": self._interval, "scrape_timeout": self._interval}
        return {"global": timing, "scrape_configs": jobs}


def _pods(kubeconfig: Path, namespaces: list[str]) -> dict[str, Any]:
    meta = "__meta_kubernetes_pod_"
    chosen = [f"{meta}labelpresent_{_ROLLOUT_LABEL}", f"{meta}annotation_{_SCRAPE_ANNOTATION}"]
    return {
        "job_name": "pods",
        "honor_labels": True,
        "kubernetes_sd_configs": [
            {"role": "pod", "kubeconfig_file": str(kubeconfig)}
            | ({"namespaces": {"names": namespaces}} if namespaces else {})
        ],
        "relabel_configs": [
            {"action": "keep", "source_labels": chosen, "regex": "true;.*|.*;true"},
            {"action": "keep", "source_labels": [f"{meta}container_port_name"], "regex": "metrics"},
            {"action": "keep", "source_labels": [f"{meta}phase"], "regex": "Running"},
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": [f"{meta}name"], "target_label": "pod"},
        ],
    }
