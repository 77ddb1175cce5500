"""One alert all the way: a Rollout that is stuck, the operator's metrics, Prometheus, Alertmanager, and a webhook."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from harness import Cluster, StartOperator
from harness.alertmanager import alertmanager
from harness.paths import REPOSITORY
from harness.processes import wait_until
from harness.prometheus import Prometheus
from modelfleet.observability.generate import RULES

ROLLOUT = """
apiVersion: modelfleet.dev/v1alpha1
kind: Rollout
metadata: {name: line}
spec:
  model: {name: parts-detector, version: v1}
  groups: [{name: fleet, nodeSelector: {matchLabels: {modelfleet.dev/app: none}}}]
  template: {spec: {containers: [{name: agent, image: none}]}}
"""


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its address, and the alerts that came, as they came."""
    alerts: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            alerts.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", alerts
        server.shutdown()
        thread.join()


def impatient(folder: Path) -> Path:
    """The chart's rules, without their patience."""
    document = yaml.safe_load((REPOSITORY / RULES).read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_stuck_rollout_reaches_the_webhook_and_its_end_does_too(
    crds: Cluster, namespace: str, prometheus: Prometheus, start_operator: StartOperator, tmp_path: Path
) -> None:
    operator = start_operator()
    with webhook() as (url, alerts), alertmanager(tmp_path, url) as address:
        prometheus.stop()
        prometheus.alert(impatient(tmp_path), address)
        prometheus.start()
        prometheus.add_target(operator.url.removeprefix("http://"))
        crds.kubectl("apply", f"--namespace={namespace}", "--filename=-", input=ROLLOUT)

        def stuck(status: str) -> list[dict[str, Any]]:
            ours = {"alertname": "ModelfleetRolloutStuck", "namespace": namespace}
            return [a for a in alerts if a["status"] == status and ours.items() <= a["labels"].items()]

        assert wait_until(lambda: bool(stuck("firing")), 90), prometheus.tail()
        [alert, *_] = stuck("firing")
        assert alert["labels"]["severity"] == "warning"
        assert alert["labels"]["reason"] == "ModelVersionNotFound"
        assert alert["annotations"]["summary"] == f"Rollout {namespace}/line is stuck: ModelVersionNotFound"
        assert (REPOSITORY / alert["annotations"]["runbook"]).is_file()

        crds.kubectl("delete", "rollouts.modelfleet.dev", "line", f"--namespace={namespace}")
        assert wait_until(lambda: bool(stuck("resolved")), 90), prometheus.tail()
