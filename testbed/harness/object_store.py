"""A real S3 object store: versitygw over a folder."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness import binaries
from harness.ports import free_port, listens
from harness.processes import Supervisor, wait_until

if TYPE_CHECKING:
    from obstore.store import S3Store

REGION = "us-east-1"


@contextmanager
def gateway(buckets: Path, access_key: str, secret_key: str, *, access_log: Path | None = None) -> Iterator[str]:
    """A versitygw without a cluster, for the block alone; its endpoint. The folders in ``buckets`` are its buckets.

    ``access_log`` gets a line for each request, in their order, as :func:`written` reads it.
    """
    program = binaries.ensure(["versitygw"]) / "versitygw"
    port = free_port()
    address = f"127.0.0.1:{port}"
    keys = {"ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key}
    options = ["--port", address, f"--region={REGION}", "--quiet"]
    if access_log is not None:
        options.append(f"--access-log={access_log}")
    command = [str(program), *options, "posix", str(buckets)]
    with subprocess.Popen(
        command, env=os.environ | keys, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert wait_until(lambda: process.poll() is not None or listens("127.0.0.1", port), 20), (
                "versitygw does not listen"
            )
            assert process.poll() is None, "versitygw ended"
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(10)


def written(access_log: Path) -> list[str]:
    """The keys of the objects that were written, in order; a key that was written twice is there twice.

    The files' own times can't say that: two that were written within a tick of the kernel's clock have the same.
    """
    put = re.compile(r" s3_PutObject (\S+) \S+ 200 ")  # keys without spaces, which would end them
    return [found[1] for line in access_log.read_text().splitlines() if (found := put.search(line))]


class ObjectStore:
    """A versitygw process with one user, who may do everything."""

    def __init__(self, supervisor: Supervisor, address: str, port: int) -> None:
        """Describe one; nothing is started yet."""
        self._supervisor = supervisor
        self._folder = supervisor.record.state / "object-store"
        self._listen = f"{address}:{port}"
        self.endpoint = f"http://{self._listen}"
        self._secret_file = self._folder / "secret"
        self.access_key = "modelfleet"

    @property
    def secret_key(self) -> str:
        """Made up when the store first starts."""
        return self._secret_file.read_text()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which obstore and AWS clients find the store."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
        }

    @property
    def buckets(self) -> Path:
        """The folder with one folder per bucket; objects are its files. A look behind the scenes, for tests."""
        return self._folder / "buckets"

    def start(self) -> ObjectStore:
        """Start it, or start it again with the objects it had; returns when it answers."""
        self.buckets.mkdir(parents=True, exist_ok=True)
        if not self._secret_file.exists():
            self._secret_file.touch(mode=0o600)
            self._secret_file.write_text(secrets.token_hex(16))
        for folder in ("metadata", "iam"):
            (self._folder / folder).mkdir(exist_ok=True)
        process = self._supervisor.spawn(
            "object-store",
            [
                binaries.path("versitygw"),
                f"--port={self._listen}",
                f"--region={REGION}",
                f"--iam-dir={self._folder}/iam",
                "posix",
                f"--sidecar={self._folder}/metadata",  # works on file systems without extended attributes too
                str(self.buckets),
            ],
            env={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
        )
        process.wait_ready(self._answers, 30)
        return self

    def stop(self) -> None:
        """Stop it, for the test of an outage."""
        self._supervisor.find("object-store").stop()

    def create_bucket(self, name: str) -> None:
        """Create a bucket; it is not an error if it is there."""
        (self.buckets / name).mkdir(exist_ok=True)

    def bucket(self, name: str) -> S3Store:
        """A client for one bucket, with the credentials of the store's user: ``put(path, data)``, ``get(path)``, ..."""
        from obstore.store import S3Store

        return S3Store(
            name,
            endpoint=self.endpoint,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            region=REGION,
            client_options={"allow_http": True},
        )

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write one object."""
        self.bucket(bucket).put(key, data)

    def get(self, bucket: str, key: str) -> bytes:
        """Read one object; raises FileNotFoundError."""
        return bytes(self.bucket(bucket).get(key).bytes())

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of all objects below a prefix, sorted."""
        return sorted(each["path"] for page in self.bucket(bucket).list(prefix) for each in page)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
            return True  # it refused, and so it is there
        except OSError:
            return False
        return True
