"""A real Prometheus that finds its targets by Kubernetes service discovery, as the chart's PodMonitors would.

It scrapes every running pod of a Rollout, a TrainingJob or the operator (by their labels), or with the annotation
``modelfleet.dev/scrape: "true"``, at the ports named ``metrics`` and ``metrics-capture``, with the target's own labels
honoured and ``namespace`` and ``pod`` added. More targets can be added while it runs (``add_target``).
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
from harness.any_cluster import AnyCluster
from harness.health import answers
from harness.ports import free_port
from harness.processes import Supervisor

_SCRAPE_ANNOTATION = "modelfleet_dev_scrape"
_OWNER_LABELS = ("modelfleet_dev_rollout", "modelfleet_dev_training_job")
_NAME_LABEL, _OPERATOR = "app_kubernetes_io_name", "modelfleet"


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
        scrape_timeout: timedelta | None = None,
        namespaces: Sequence[str] = (),
    ) -> None:
        """Describe one; nothing is started yet.

        Args:
            supervisor: that of the cluster.
            kubeconfig: for discovery; None: only targets that are added.
            address: where to listen, and where it is reached.
            port: likewise.
            name: of the process and of its folder.
            scrape_interval: how often.
            scrape_timeout: what takes longer is lost, and the series stale; by default the interval.
            namespaces: whose pods to scrape; none: all.
        """
        self._supervisor = supervisor
        self._kubeconfig = kubeconfig
        self._namespaces = list(namespaces)
        self._listen = f"{address}:{port}"
        self._name = name
        self._timing = timing(scrape_interval, scrape_timeout or scrape_interval)
        # how soon pods that were discovered are scraped: 5 s by default, which is long where that is a scrape or more
        self._reload = _milliseconds(min(scrape_interval, timedelta(seconds=5)))
        self._folder = supervisor.record.state / name
        self._targets: list[dict[str, Any]] = []
        self._alerting: dict[str, Any] = {}
        self.url = self.here = f"http://{self._listen}"  # for pods, and for this process: the same

    @classmethod
    def beside(
        cls,
        cluster: AnyCluster,
        name: str = "prometheus",
        *,
        scrape_interval: timedelta = timedelta(seconds=5),
        scrape_timeout: timedelta | None = None,
        namespaces: Sequence[str] = (),
    ) -> Prometheus:
        """One on a free port beside ``cluster``, whose pods it discovers; not started yet."""
        return cls(
            cluster.supervisor,
            cluster.kubeconfig,
            cluster.address,
            free_port(),
            name=name,
            scrape_interval=scrape_interval,
            scrape_timeout=scrape_timeout,
            namespaces=namespaces,
        )

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
        process.wait_ready(lambda: answers(f"{self.url}/-/ready"), 30)
        return self

    def stop(self) -> None:
        """Stop it, for the test of an outage or at the end."""
        self._supervisor.find(self._name).stop()

    def add_target(self, address: str, labels: Mapping[str, str] | None = None) -> None:
        """Scrape ``host:port`` too, at ``/metrics``; the labels are given to it, where it does not set them itself."""
        self._targets.append({"targets": [address], "labels": dict(labels or {})})
        self._write_targets()

    def alert(self, rules: Path, alertmanager: str) -> None:
        """From the next start on, evaluate a file of rules and tell the Alertmanager at ``host:port``."""
        managers = [{"static_configs": [{"targets": [alertmanager]}]}]
        self._alerting = {"rule_files": [str(rules)], "alerting": {"alertmanagers": managers}}

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Evaluate an instant query now; return the labels and value of each series.

        Raises:
            urllib.error.URLError: it is down, or the expression is wrong.
        """
        return query(self.url, expression)

    def tail(self) -> str:
        """The end of its log."""
        return self._supervisor.find(self._name).tail()

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
            jobs.append(pods(self._kubeconfig, self._namespaces))
        return {"global": self._timing, "scrape_configs": jobs, **self._alerting}


def query(url: str, expression: str) -> list[tuple[dict[str, str], float]]:
    """Ask the Prometheus at ``url`` now; what ``Prometheus.query`` returns and raises."""
    asked = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(asked, timeout=10) as response:
        result = json.load(response)["data"]["result"]
    return [(series["metric"], float(series["value"][1])) for series in result]


def timing(interval: timedelta, timeout: timedelta) -> dict[str, str]:
    """The part ``global`` of a configuration: how often is scraped, and how long a scrape may take."""
    every, at_most = _milliseconds(interval), _milliseconds(timeout)
    return {"scrape_interval": every, "scrape_timeout": at_most, "evaluation_interval": every}


def _milliseconds(duration: timedelta) -> str:
    return f"{duration.total_seconds() * 1000:.0f}ms"


def pods(kubeconfig: Path | None, namespaces: Sequence[str]) -> dict[str, Any]:
    """The scrape job that finds the pods of these namespaces, or of all; without a kubeconfig as the pod it runs in."""
    meta = "__meta_kubernetes_pod_"
    owned = [f"{meta}labelpresent_{label}" for label in _OWNER_LABELS]
    chosen = [*owned, f"{meta}annotation_{_SCRAPE_ANNOTATION}", f"{meta}label_{_NAME_LABEL}"]
    return {
        "job_name": "pods",
        "honor_labels": True,
        "kubernetes_sd_configs": [
            {"role": "pod"}
            | ({"kubeconfig_file": str(kubeconfig)} if kubeconfig is not None else {})
            | ({"namespaces": {"names": list(namespaces)}} if namespaces else {})
        ],
        "relabel_configs": [
            {"action": "keep", "source_labels": chosen, "regex": f"(.*;)?true;.*|.*;{_OPERATOR}"},
            {"action": "keep", "source_labels": [f"{meta}container_port_name"], "regex": "metrics(-capture)?"},
            {"action": "keep", "source_labels": [f"{meta}phase"], "regex": "Running"},
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": [f"{meta}name"], "target_label": "pod"},
        ],
    }
