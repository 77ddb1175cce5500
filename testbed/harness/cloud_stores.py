"""The stores behind gs:// and az://, as emulators without a cluster: fake-gcs-server and Azurite, each over a folder.

Neither is Google's or Microsoft's: what holds against them holds for the interface as they understand it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

from harness import binaries
from harness.lifetime import run
from harness.paths import TOOLS, cache, locked
from harness.ports import free_port, listens
from harness.processes import wait_until
from harness.progress import step

_ACCOUNT = "devstoreaccount1"
_KEY = base64.b64encode(b"the key of an account that is only here").decode()
_AZURITE = "azurite"


@contextmanager
def google(folder: Path, bucket: str) -> Iterator[dict[str, str]]:
    """A fake-gcs-server with a bucket, for the block alone; the variables by which clients find it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(binaries.path("fake-gcs-server")), "-scheme=http", "-host=127.0.0.1", f"-port={port}",
        f"-public-host=127.0.0.1:{port}", "-backend=filesystem", f"-filesystem-root={folder}", "-log-level=warn",
    ]  # fmt: skip
    with _served(command, port, folder.with_name(f"{folder.name}.log")):
        made = json.dumps({"name": bucket}).encode()
        _send("POST", f"{url}/storage/v1/b?project=test", {"Content-Type": "application/json"}, made)
        # it asks for no credentials, and a client must have some
        account = {
            "gcs_base_url": url,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        yield {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account), "GOOGLE_ALLOW_HTTP": "true"}


@contextmanager
def azure(folder: Path, container: str) -> Iterator[dict[str, str]]:
    """An Azurite with a container, for the block alone; the variables by which clients find it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(_azurite()), "--blobHost=127.0.0.1", f"--blobPort={port}", f"--location={folder}", "--silent",
        "--disableTelemetry", "--skipApiVersionCheck",
    ]  # fmt: skip
    accounts = os.environ | {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_KEY}"}
    with _served(command, port, folder.with_name(f"{folder.name}.log"), accounts):
        _make_container(url, container)
        yield {
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": url,
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
            "AZURE_ALLOW_HTTP": "true",
        }


def put_into_google(variables: Mapping[str, str], bucket: str, key: str, content: bytes) -> None:
    """Write an object by the interface that fake-gcs-server takes: not that (PUT of an object) which obstore has."""
    url = json.loads(variables["GOOGLE_SERVICE_ACCOUNT_KEY"])["gcs_base_url"]
    name = quote(key, safe="")
    kind = {"Content-Type": "application/octet-stream"}
    _send("POST", f"{url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}", kind, content)


def _azurite() -> Path:
    """The program, installed by npm from its lock on first use."""
    source = TOOLS / _AZURITE
    lock = (source / "package-lock.json").read_bytes()
    folder = cache() / f"{_AZURITE}-{hashlib.sha256(lock).hexdigest()[:16]}"
    program = folder / "node_modules/.bin/azurite-blob"
    with locked(cache() / f"{_AZURITE}.lock", "another process installs Azurite; waiting for it"):
        if not (folder / "whole").exists():
            with step("installing Azurite", "1 min"):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                for name in ("package.json", "package-lock.json"):
                    shutil.copy2(source / name, folder / name)
                run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional"], cwd=folder)
                (folder / "whole").touch()
    return program


def _make_container(url: str, container: str) -> None:
    """Signed as Azure's shared keys are: the request's line, its x-ms headers, and what it is about."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    signed = "\n".join(
        ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in sorted(headers.items())),
         f"/{_ACCOUNT}/{_ACCOUNT}/{container}", "restype:container"]
    )  # fmt: skip
    made = hmac.new(base64.b64decode(_KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(made).decode()}"
    _send("PUT", f"{url}/{_ACCOUNT}/{container}?restype=container", headers)


def _send(method: str, url: str, headers: dict[str, str], data: bytes | None = None) -> None:
    request = urllib.request.Request(url, data, headers, method=method)
    urllib.request.urlopen(request, timeout=10).close()


@contextmanager
def _served(command: Sequence[str], port: int, log: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    """A program that listens on a port, for the block alone."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=env) as process,
    ):
        try:
            assert wait_until(lambda: process.poll() is not None or listens("127.0.0.1", port), 180), (
                f"does not listen: {log.read_text()}"
            )
            assert process.poll() is None, f"ended: {log.read_text()}"
            yield
        finally:
            process.terminate()
            process.wait(10)
