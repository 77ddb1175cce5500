"""Programs that come from the distribution: found on the PATH, or installed with apt-get.

Where a program is there already nothing is touched, whatever the distribution. Otherwise Debian or Ubuntu and root are
needed. Services that a package brings (containerd) are kept from starting: the cluster runs its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.lifetime import CommandFailed, run
from harness.paths import cache, locked
from harness.progress import step

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on every user's PATH
_POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class Package:
    """A Debian package and the paths or programs by which its presence is seen."""

    name: str
    proof: str


PACKAGES = {
    package.name: package
    for package in (
        Package("buildah", "buildah"),
        Package("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
        Package("chromium-headless-shell", "chromium-headless-shell"),
        Package("conntrack", "conntrack"),
        Package("containerd", "containerd"),
        Package("containernetworking-plugins", "/usr/lib/cni/bridge"),
        Package("debootstrap", "debootstrap"),
        Package("fonts-dejavu-core", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
        Package("iproute2", "ip"),
        Package("ipset", "ipset"),
        Package("iptables", "iptables"),
        Package("openssl", "openssl"),
        Package("prometheus", "promtool"),
        Package("redis-server", "redis-server"),
        Package("runc", "runc"),
        Package("tmux", "tmux"),
        Package("util-linux", "nsenter"),
    )
}
NODE = ("containerd", "containernetworking-plugins", "runc", "iptables", "iproute2", "conntrack", "util-linux")
BROWSER = ("chromium-headless-shell", "fonts-dejavu-core")
IMAGES = ("buildah", "runc", "debootstrap", "ca-certificates", "util-linux")


class PackageMissing(Exception):
    """A program is missing and could not be installed; the message says what to do."""


def ensure(*names: str) -> None:
    """Install the named packages that are missing.

    Raises:
        PackageMissing: not root, no apt-get, or the installation failed.
    """
    if not _missing(names):
        return
    with locked(cache() / "apt.lock", "another process installs packages; waiting for it"):
        missing = _missing(names)
        if missing:
            _install(missing)


def program(name: str) -> str | None:
    """The full path of a program, looked for in the system folders too."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SYSTEM_FOLDERS))


def _missing(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if not _present(PACKAGES[name])]


def _present(package: Package) -> bool:
    if package.proof.startswith("/"):
        return Path(package.proof).exists()
    return program(package.proof) is not None


def _install(missing: list[str]) -> None:
    command = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if program("apt-get") is None:
        raise PackageMissing(
            f"{', '.join(missing)}: missing, and there is no apt-get here; install them by other means"
        )
    if os.geteuid() != 0:
        raise PackageMissing(f"{', '.join(missing)}: missing, and this is not root; run as root: {command}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
    with step(f"installing {', '.join(missing)}", "1 min"), _services_kept_down():
        try:
            run(install, env=environment)
        except CommandFailed:  # no package lists, or stale ones
            run(["apt-get", "update", "--quiet"], env=environment)
            try:
                run(install, env=environment)
            except CommandFailed as error:
                raise PackageMissing(f"{command} failed: {error}") from error
    still = _missing(tuple(missing))
    if still:
        raise PackageMissing(f"{command} succeeded, but {', '.join(still)} can't be found")


@contextmanager
def _services_kept_down() -> Iterator[None]:
    """Debian asks ``policy-rc.d`` before it starts a service that a package brings; 101 means no."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
