"""`agent fetch` with real stores: what a killed download costs, what goes on without them, versions in registries."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_processes import Agent, Stored, wait_until

import artifactstore
from harness.cloud_stores import azure, google, put_into_google
from harness.object_store import gateway
from harness.registry import oras, running

pytestmark = pytest.mark.cluster

Make = Callable[..., Stored]
SIZE = 60_000_000


@pytest.fixture
def buckets(tmp_path: Path) -> Path:
    (tmp_path / "buckets" / "models").mkdir(parents=True)
    return tmp_path / "buckets"


@pytest.fixture
def endpoint(buckets: Path) -> Iterator[str]:
    with gateway(buckets, "test-access-key", "test-secret-key") as url:
        yield url


@pytest.fixture
def uploaded(stored: Make, buckets: Path) -> Callable[[str, str], dict[str, str]]:
    """`uploaded(version, endpoint)`: a version in the store, and the environment of a fetch of it."""

    def make(version: str, endpoint: str) -> dict[str, str]:
        model = stored(os.urandom(SIZE), version)
        (buckets / "models" / version).mkdir()
        (buckets / "models" / version / "best.onnx").write_bytes(model.content)
        return model.env | {
            "MODEL_URI": f"s3://models/{version}/best.onnx",
            "MODEL_FETCH_SPREAD": "0",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test-access-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret-key",
        }

    return make


def right(env: dict[str, str]) -> bool:
    return hashlib.sha256(Path(env["MODEL_PATH"]).read_bytes()).hexdigest() == env["MODEL_SHA256"]


def test_a_killed_download_is_gone_on_with(
    uploaded: Callable[[str, str], dict[str, str]], endpoint: str, agent: Callable[..., Agent]
) -> None:
    gone_on_with(uploaded("v1", endpoint), agent)


@pytest.mark.parametrize(("scheme", "emulator"), [("gs", google), ("az", azure)])
def test_the_same_from_other_clouds(
    scheme: str,
    emulator: Any,
    stored: Make,
    agent: Callable[..., Agent],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = stored(os.urandom(SIZE))
    with emulator(tmp_path / scheme, "models") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if scheme == "gs":
            put_into_google(variables, "models", "v1/best.onnx", model.content)
        else:
            artifactstore.put_bytes(model.content, "az://models/v1/best.onnx")
        told = {"MODEL_URI": f"{scheme}://models/v1/best.onnx", "MODEL_FETCH_SPREAD": "0"}
        gone_on_with(model.env | dict(variables) | told, agent)


def gone_on_with(env: dict[str, str], agent: Callable[..., Agent]) -> None:
    """A fetch is killed in the middle of its download, and the next one goes on with what is there."""
    partial = Path(env["MODEL_PATH"]).parent / ".partial"
    killed = agent("fetch", env)
    wait_until(lambda: partial.exists() and partial.stat().st_size > 0, "it downloads", killed.log)
    killed.process.kill()
    killed.wait()
    left = partial.stat().st_size
    assert 0 < left < SIZE, "it was killed in the middle"
    second = agent("fetch", env)
    assert second.wait() == 0, second.log.read_text()
    assert f"going on with {left} of {SIZE} bytes" in second.log.read_text()
    assert right(env)
    assert not partial.exists()


def test_a_rollback_and_a_reboot_need_no_store(
    uploaded: Callable[[str, str], dict[str, str]], buckets: Path, agent: Callable[..., Agent]
) -> None:
    with gateway(buckets, "test-access-key", "test-secret-key") as endpoint:
        envs = [uploaded(version, endpoint) for version in ("v1", "v2")]
        for env in envs:
            assert agent("fetch", env).wait() == 0
    for env, what in ((envs[1], "reboot on v2"), (envs[0], "rollback to v1")):  # the store is gone
        begun = time.monotonic()
        again = agent("fetch", env)
        assert again.wait() == 0, again.log.read_text()
        print(f"{what}: {time.monotonic() - begun:.2f} s for {SIZE / 1e6:.0f} MB, process start included")
        assert "is in the cache already" in again.log.read_text()
        assert right(env)


def test_a_version_in_a_registry_is_verified_and_fetched(
    stored: Make, agent: Callable[..., Agent], tmp_path: Path
) -> None:
    model = stored(b"weights" * 1000)
    (tmp_path / "registry").mkdir()
    with running(tmp_path / "registry") as host:
        folder = Path(model.uri.removeprefix("file://")).parent
        oras("push", "--plain-http", f"{host}/models/parts:v1", "best.onnx", cwd=folder)
        digest = oras("resolve", "--plain-http", f"{host}/models/parts:v1", cwd=folder)
        uri = f"oci://{host}/models/parts:v1@{digest}"
        file = {"name": "best.onnx", "sha256": model.env["MODEL_SHA256"], "sizeBytes": len(model.content)}
        verified = agent("verify", {"ARTIFACT": json.dumps({"uri": uri, "files": [file]})})
        assert verified.wait() == 0, verified.log.read_text()
        assert verified.message() == {"reason": "Verified", "message": "1 file, 7000 bytes"}
        fetched = agent("fetch", model.env | {"MODEL_URI": f"{uri}/best.onnx", "MODEL_FETCH_SPREAD": "0"})
        assert fetched.wait() == 0, fetched.log.read_text()
    assert right(model.env)
