"""What the demo runs in a borrowed cluster besides modelfleet: object store, Prometheus, Label Studio, and on each edge
node a pod that stands in for the camera.

Each is a pod with a Service, and what it keeps is gone with it. Pods find the Services by address and not by name: the
cluster may have any DNS.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import label_studio, prometheus
from harness.object_store import REGION

if TYPE_CHECKING:
    from obstore.store import S3Store

Manifest = dict[str, Any]

PORTS: Mapping[str, int] = {"object-store": 7070, "prometheus": 9090, "label-studio": 8080}
STORE_USER = "modelfleet"
CAMERA = "camera"
NODE = "/node"  # where a camera sees its node's /var/lib
_SECRET = "demo-services"
_APP = "modelfleet.dev/demo-service"
_DATA = "/data"
_USER = 65532


class InClusterStore:
    """The object store: for pods at ``endpoint``, for this process through ``reach``."""

    access_key = STORE_USER

    def __init__(
        self, endpoint: str, secret_key: str, reach: Callable[[], str], make_folder: Callable[[str], None]
    ) -> None:
        self.endpoint = endpoint
        self.secret_key = secret_key
        self._reach = reach
        self._make_folder = make_folder

    def create_bucket(self, name: str) -> None:
        """Create a bucket, a folder of versitygw's; it is not an error if it is there."""
        self._make_folder(f"{_DATA}/buckets/{name}")

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write one object."""
        self._bucket(bucket).put(key, data)

    def get(self, bucket: str, key: str) -> bytes:
        """Read one object; raises FileNotFoundError."""
        return bytes(self._bucket(bucket).get(key).bytes())

    def _bucket(self, name: str) -> S3Store:
        from obstore.store import S3Store

        return S3Store(
            name,
            endpoint=f"http://{self._reach()}",
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            region=REGION,
            client_options={"allow_http": True},
        )


class InClusterPrometheus:
    """Prometheus: for pods at ``url``."""

    def __init__(self, url: str, reach: Callable[[], str]) -> None:
        self.url = url
        self._reach = reach

    @property
    def here(self) -> str:
        """Where this process reaches it."""
        return f"http://{self._reach()}"

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """As ``harness.prometheus.Prometheus.query``."""
        return prometheus.query(self.here, expression)


class InClusterLabelStudio:
    """Label Studio: for pods at ``url``. It makes its database for a minute or more, while the demo goes on."""

    def __init__(self, url: str, token: str, reach: Callable[[], str], wait: Callable[[], None]) -> None:
        self.url = url
        self.token = token
        self._reach = reach
        self._wait = wait

    @property
    def here(self) -> str:
        """Where this process reaches it, once it answers."""
        self._wait()
        return f"http://{self._reach()}"


def url(address: str, service: str) -> str:
    """Of a Service at its cluster address."""
    host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    return f"http://{host}:{PORTS[service]}"


def services() -> list[Manifest]:
    """The Services, first: what they are called by is known only when they are there."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {_APP: name}, "ports": [{"name": "http", "port": port}]},
        }
        for name, port in PORTS.items()
    ]


def pods(
    image: str, namespace: str, secrets: Mapping[str, str], store_address: str, every: timedelta
) -> list[Manifest]:
    """The three pods and what they need.

    Args:
        image: of all three.
        namespace: whose pods Prometheus scrapes.
        secrets: the keys ``store`` and ``studio``: the store user's secret key, and the token and password of Label
            Studio's user.
        store_address: of the object store, which Label Studio may ask.
        every: how often Prometheus scrapes.
    """
    configuration = {"global": prometheus.timing(every, every), "scrape_configs": [prometheus.pods(None, [namespace])]}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET}, "stringData": dict(secrets)},
        _pod(
            "object-store",
            image,
            f"mkdir -p {_DATA}/buckets {_DATA}/metadata {_DATA}/iam && exec versitygw --port=:{PORTS['object-store']} "
            f"--region={REGION} --iam-dir={_DATA}/iam posix --sidecar={_DATA}/metadata {_DATA}/buckets",
            [{"name": "ROOT_ACCESS_KEY", "value": STORE_USER}, _from_secret("ROOT_SECRET_KEY", "store")],
            {"tcpSocket": {"port": PORTS["object-store"]}},
        ),
        *_may_find_pods(namespace),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "prometheus"},
            "data": {"prometheus.json": json.dumps(configuration)},
        },
        _pod(
            "prometheus",
            image,
            f"exec prometheus --config.file=/configuration/prometheus.json --storage.tsdb.path={_DATA} "
            f"--scrape.discovery-reload-interval={every.total_seconds():.0f}s "
            f"--web.listen-address=:{PORTS['prometheus']} --log.level=warn",
            [],
            {"httpGet": {"path": "/-/ready", "port": PORTS["prometheus"]}},
            account="prometheus",
            configuration="prometheus",
        ),
        _pod(
            "label-studio",
            image,
            "exec /opt/label-studio/bin/python -m label_studio.server start --no-browser --internal-host=0.0.0.0 "
            f"--port={PORTS['label-studio']}",
            [*_label_studio(store_address), *_label_studio_user()],
            {"httpGet": {"path": "/health", "port": PORTS["label-studio"]}},
        ),
    ]


def camera(image: str) -> Manifest:
    """On each edge node a pod that can write below its /var/lib, where a camera's recorder would put frames."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": CAMERA},
        "spec": {
            "selector": {"matchLabels": {_APP: CAMERA}},
            "template": {
                "metadata": {"labels": {_APP: CAMERA}},
                "spec": {
                    "nodeSelector": {"modelfleet.dev/app": "line"},
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        {
                            "name": CAMERA,
                            "image": image,
                            "command": ["sleep", "infinity"],
                            "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
                            "volumeMounts": [{"name": "node", "mountPath": NODE}],
                        }
                    ],
                    "volumes": [{"name": "node", "hostPath": {"path": "/var/lib", "type": "Directory"}}],
                },
            },
        },
    }


def selector(service: str) -> str:
    """Of the pods of one of these."""
    return f"{_APP}={service}"


def waiting(pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which pods have no image, in words: pod, node, image, and what the kubelet says."""
    found = []
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses", ()):
            state = status.get("state", {}).get("waiting") or {}
            if "Image" in state.get("reason", ""):
                node = pod["spec"].get("nodeName")
                found.append(f"{status['image']} on {node}: {state.get('message') or state['reason']}")
    return sorted(set(found))


def _pod(
    name: str,
    image: str,
    command: str,
    env: list[Manifest],
    ready: Manifest,
    *,
    account: str | None = None,
    configuration: str | None = None,
) -> Manifest:
    volumes: list[Manifest] = [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    mounts = [{"name": "data", "mountPath": _DATA}, {"name": "tmp", "mountPath": "/tmp"}]
    if configuration is not None:
        volumes.append({"name": "configuration", "configMap": {"name": configuration}})
        mounts.append({"name": "configuration", "mountPath": "/configuration"})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {_APP: name}},
        "spec": {
            "automountServiceAccountToken": account is not None,
            "serviceAccountName": account or "default",
            "enableServiceLinks": False,  # variables called PROMETHEUS_PORT and the like
            "terminationGracePeriodSeconds": 2,
            "securityContext": {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER, "runAsNonRoot": True},
            "containers": [
                {
                    "name": name,
                    "image": image,
                    "command": ["sh", "-c", command],
                    "env": env,
                    "readinessProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 5},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": mounts,
                }
            ],
            "volumes": volumes,
        },
    }


def _from_secret(variable: str, key: str) -> Manifest:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": _SECRET, "key": key}}}


def _label_studio(store_address: str) -> list[Manifest]:
    data = Path(_DATA)
    settings = label_studio.environment(data, data / "label-studio.sqlite3", store_address)
    settings |= {"LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false", "HOME": _DATA}
    return [{"name": name, "value": value} for name, value in settings.items()]


def _label_studio_user() -> list[Manifest]:
    return [
        {"name": "LABEL_STUDIO_USERNAME", "value": label_studio.USER},
        {"name": "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN", "value": "true"},
        _from_secret("LABEL_STUDIO_PASSWORD", "studio"),
        _from_secret("LABEL_STUDIO_USER_TOKEN", "studio"),
    ]


def _may_find_pods(namespace: str) -> list[Manifest]:
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "prometheus"}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": {"name": "prometheus"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "prometheus"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "prometheus"},
            "subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": namespace}],
        },
    ]
