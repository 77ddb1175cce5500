"""Secrets planted in all that the operator is given are in nothing that it says, while all goes well and while nothing
does."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from harness import StartOperator
from harness.processes import wait_until
from harness.prometheus import Prometheus
from worlds import secrecy
from worlds.rollout import ONLY_V2_IS_BAD, Fleet, check, model_version
from worlds.training import training_job
from worlds.webhook import receiving

NAMES = (
    "password of Prometheus",
    "password in Prometheus' address",
    "signing key",
    "broken signing key",
    "password in a receiver's address",
    "path of a receiver's address",
    "token of a receiver",
    "object store's key",
    "Label Studio's token",
    "tracker's password",
)


@pytest.mark.parametrize("form", ["{}", "https://me:{}@host/", '"{}"'])
def test_what_is_said_is_found(form: str) -> None:
    value = secrecy.plant()
    planted = {"key": value}
    assert secrecy.leaks(planted, [("a log", f"x {form.format(value)} y")])
    for user in ("a", "ab", "abc"):
        assert secrecy.leaks(planted, [("a header", base64.b64encode(f"{user}:{value}".encode()).decode())])
    assert not secrecy.leaks(planted, [("a log", value[:-1])])


def test_no_secret_is_in_a_log_a_status_an_event_or_a_metric(
    fleet: Fleet, prometheus: Prometheus, start_operator: StartOperator, tmp_path: Path
) -> None:
    planted = {name: secrecy.plant() for name in NAMES}

    def file(name: str, content: str) -> str:
        path = tmp_path / name.replace(" ", "-").replace("'", "")
        path.write_text(content)
        return str(path)

    def secret(name: str, **content: str) -> None:
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}
        fleet.apply(manifest)

    secret("object-store", AWS_SECRET_ACCESS_KEY=planted["object store's key"])
    secret("label-studio", token=planted["Label Studio's token"])
    secret("tracker", MLFLOW_TRACKING_PASSWORD=planted["tracker's password"])
    with receiving() as receiver:
        host = f"127.0.0.1:{receiver.port}"
        key = "whsec_" + base64.b64encode(planted["signing key"].encode()).decode()
        password, path = planted["password in a receiver's address"], planted["path of a receiver's address"]
        endpoints = {
            "bus": {
                "urlFile": file("address", f"http://me:{password}@{host}/{path}"),
                "signingKey": file("key", key),
                "timeout": "1s",
            },
            "token": {
                "url": f"http://{host}/token",
                "credentials": {"bearerToken": file("token", planted["token of a receiver"])},
                "timeout": "1s",
            },
            "broken": {"url": f"http://{host}/broken", "signingKey": file("broken", planted["broken signing key"])},
            "nobody": {"urlFile": file("nobody", f"http://me:{password}@127.0.0.1:1/{path}"), "timeout": "1s"},
            "nonsense": {"urlFile": file("nonsense", f"nonsense://{password}@:x/{path}")},
        }
        own = planted["password in Prometheus' address"]
        address = prometheus.url.replace("http://", f"http://reader:{own}@")
        credentials = {
            "username": file("name", "reader"),
            "password": file("password", planted["password of Prometheus"]),
        }
        operator = start_operator(
            {
                "prometheus": {
                    "url": prometheus.url,
                    "timeout": "2s",
                    "credentials": credentials,
                    "providers": {"other": {"url": address, "timeout": "2s"}},
                },
                "notifications": {"namespace": fleet.namespace, "endpoints": endpoints},
            }
        )
        receiver.answers += [500, 401, 0, 302]
        fleet.apply(model_version("v1"), model_version("v2"), model_version("v3"))
        fleet.rollout("v1")
        fleet.wait(lambda: fleet.is_at("v1"), "v1")
        fleet.rollout("v2", query=ONLY_V2_IS_BAD)
        fleet.wait(fleet.rolled_back, "the rollback of v2")
        tracked = {"mlflow": {"uri": "https://mlflow.example", "secretRef": {"name": "tracker"}}}
        fleet.apply(training_job("parts-v9", version="v9", activeDeadline="1s", tracking=tracked))
        fleet.wait(lambda: "TrainingJob" in _failed(fleet), "a training that fails")
        prometheus.stop()
        gate = {"soak": "3s", "interval": "1s", "timeout": "5m", "provider": "other", "checks": [check("vector(0)")]}
        fleet.rollout("v3", gate=gate)
        fleet.wait(lambda: fleet.condition("Reconciling").get("reason") == "ProviderDown", "a provider that is down")
        assert wait_until(lambda: receiver.taken, 30), "no notification came"
    assert wait_until(lambda: "127.0.0.1" in operator.log.read_text(), 30), "nothing was said of a receiver"

    def said() -> list[secrecy.Said]:
        return [
            ("the operator's log", operator.log.read_text()),
            ("the operator's metrics", operator.metrics()),
            *secrecy.objects(fleet.cluster),
        ]

    assert not secrecy.leaks(planted, said())
    # it would have been found: here it is where it may be
    kept = fleet.cluster.kubectl("get", "secrets", f"--namespace={fleet.namespace}", "--output=yaml")
    assert len(secrecy.leaks(planted, [("Secrets", kept)])) == 3


def _failed(fleet: Fleet) -> set[str]:
    return {
        each["kind"]
        for each in fleet.list("trainingjobs")
        if any(c["type"] == "Failed" and c["status"] == "True" for c in each.get("status", {}).get("conditions", ()))
    }
