"""A real Label Studio, of one process over SQLite: where people correct labels in the tests of the label loop.

It is a program of PyPI and not of Go, so that it has a virtual environment of its own in the cache (800 MB), beside the
database as its migrations leave it, which each instance starts from: migrating takes a minute, copying nothing.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.binaries import BuildFailed
from harness.health import answers
from harness.lifetime import CommandFailed, run
from harness.paths import TOOLS, cache, locked
from harness.processes import Process, Supervisor
from harness.progress import step

USER = "reviewer@modelfleet.dev"
_LOCK = TOOLS / "label-studio/requirements.txt"
# compiled once, or each start takes 15 s of processor time more
_INSTALL = ("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--compile-bytecode")
_NOBODY = "http://127.0.0.1:9"  # a port at which nothing answers

# Prefixed, since Label Studio also reads plain names (HOST, PORT, DEBUG) that may be about something else here.
_SETTINGS = {
    "LABEL_STUDIO_SENTRY_DSN": "",
    "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
    "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
    "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
    "LABEL_STUDIO_FEATURE_FLAGS_OFFLINE": "true",
    "LABEL_STUDIO_DEBUG": "false",
    "LABEL_STUDIO_LOG_LEVEL": "WARNING",
    "LABEL_STUDIO_DJANGO_DB": "sqlite",
    "LABEL_STUDIO_HOST": "",
    "PYTHONPATH": "",  # ours has folders that are called as modules of theirs
    "PYTHONNOUSERSITE": "1",
}


def ensure() -> Path:
    """Return the folder with Label Studio's environment (``venv``) and a new database (``template.sqlite3``).

    Raises:
        BuildFailed: it could not be installed, or its migrations failed; with the end of what was said.
    """
    what = hashlib.sha256(_LOCK.read_bytes())
    what.update(f"{sys.version} {_INSTALL}".encode())
    folder = cache() / "label-studio" / what.hexdigest()[:16]
    if folder.is_dir():
        return folder
    with locked(cache() / "label-studio.lock", "another process installs Label Studio; waiting for it"):
        if not folder.is_dir():
            with step("installing Label Studio", "2 min"):
                _install(folder)
    return folder


def _install(folder: Path) -> None:
    """Build beside the final folder and rename, so that a half-made one is never taken for a whole."""
    folder.parent.mkdir(exist_ok=True)
    for other in folder.parent.iterdir():  # abandoned by a build that was killed; the lock is ours now
        if other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        python = staging / "venv/bin/python"
        uv = [sys.executable, "-m", "uv"]
        run([*uv, "venv", "--quiet", "--relocatable", f"--python={sys.executable}", str(staging / "venv")])
        run([*uv, *_INSTALL, f"--python={python}", f"--requirement={_LOCK}"])
        settings = environment(staging, staging / "template.sqlite3", "127.0.0.1")
        run([*_command(staging), "version"], env=os.environ | settings)
        for path in staging.iterdir():  # what a run leaves besides the database, a secret among it
            if path.name not in ("venv", "template.sqlite3"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        staging.chmod(0o755)
        staging.rename(folder)
    except CommandFailed as error:
        raise BuildFailed(f"Label Studio can't be installed: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def environment(data: Path, database: Path, address: str) -> dict[str, str]:
    """The variables of a Label Studio that keeps its data there, and that asks nobody but those at ``address``."""
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NOBODY)
    direct = dict.fromkeys(("NO_PROXY", "no_proxy"), f"127.0.0.1,localhost,{address}")
    places = {"LABEL_STUDIO_BASE_DATA_DIR": str(data), "LABEL_STUDIO_DATABASE_NAME": str(database)}
    return _SETTINGS | places | proxies | direct


def _command(folder: Path) -> list[str]:
    return [str(folder / "venv/bin/python"), "-m", "label_studio.server"]


class LabelStudio:
    """A Label Studio process with one user, who may do everything. Its projects outlive ``stop`` and ``start``."""

    def __init__(
        self,
        supervisor: Supervisor,
        address: str,
        port: int,
        *,
        name: str = "label-studio",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Describe one; nothing is started yet.

        Args:
            supervisor: that of the cluster.
            address: where to listen, and where it is reached.
            port: likewise.
            name: of the process and of its folder.
            settings: environment variables in addition to the test's own, or in their place. Of these, protection
                against requests to private addresses is off: the test's object store has no other.
        """
        self._supervisor = supervisor
        self._address = address
        self._port = port
        self._name = name
        self._settings = {"LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false"} | dict(settings or {})
        self._folder = supervisor.record.state / name
        self._token_file = self._folder / "token"
        self.url = self.here = f"http://{address}:{port}"  # for pods, and for this process: the same

    @property
    def token(self) -> str:
        """The user's legacy token, made up when it first starts."""
        return self._token_file.read_text()

    def start(self) -> LabelStudio:
        """Start it, or start it again with the data it had; returns when it answers, in some 5 seconds.

        Raises:
            BuildFailed: it can't be installed.
            ProcessDied, NotReady: with the end of its log.
        """
        installed = ensure()
        database = self._folder / "label-studio.sqlite3"
        self._folder.mkdir(exist_ok=True)
        if not self._token_file.exists():
            shutil.copyfile(installed / "template.sqlite3", database)
            self._token_file.touch(mode=0o600)
            self._token_file.write_text(secrets.token_hex(20))
        user = {
            "LABEL_STUDIO_USERNAME": USER,
            "LABEL_STUDIO_PASSWORD": self.token,
            "LABEL_STUDIO_USER_TOKEN": self.token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        }
        process = self._supervisor.spawn(
            self._name,
            [
                *_command(installed),
                "start",
                "--no-browser",
                f"--internal-host={self._address}",
                f"--port={self._port}",
            ],
            env=environment(self._folder, database, self._address) | user | self._settings,
        )
        process.wait_ready(lambda: answers(f"{self.url}/health", seconds=5), 120)
        return self

    def stop(self) -> None:
        """Stop it, for the test of an outage."""
        self._process.stop()

    def kill9(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill9()

    @property
    def _process(self) -> Process:
        return self._supervisor.find(self._name)
