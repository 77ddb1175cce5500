"""Certificates, the service-account key and kubeconfigs of one cluster, made by the openssl program.

Everything is signed by one authority of the cluster's own and is valid for a month.
"""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.lifetime import run

_DAYS = "30"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
ADMIN_GROUP = "system:masters"


class OpensslMissing(Exception):
    """The openssl program is not installed."""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder: made on first use, found again by whoever attaches to the cluster."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            raise OpensslMissing("the openssl program is missing: apt-get install openssl")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self.certificate = folder / "ca.crt"
        self._key = folder / "ca.key"
        if not self.certificate.exists():
            request: list[str | Path] = [
                "openssl",
                "req",
                "-x509",
                *_KEY,
                "-days",
                _DAYS,
                "-subj",
                "/CN=modelfleet-test-ca",
            ]
            run([*request, "-keyout", self._key, "-out", self.certificate])

    def issue(
        self, name: str, common_name: str, groups: tuple[str, ...] = (), hosts: tuple[str, ...] = ()
    ) -> Certificate:
        """A certificate for a user (name and groups as Kubernetes reads them) or a server (``hosts``).

        Args:
            name: of the files.
            common_name: the user's name.
            groups: the user's groups.
            hosts: subject alternative names, as openssl writes them: ``DNS:localhost``, ``IP:127.0.0.1``.
        """
        pair = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        if pair.certificate.exists():
            return pair
        # the multi-value form "/O=a/O=b/CN=c" would read a "/" in a name as a separator
        subject = "".join(f"/{kind}={value}" for kind, value in [*(("O", g) for g in groups), ("CN", common_name)])
        extensions = ["basicConstraints=CA:FALSE", "extendedKeyUsage=clientAuth,serverAuth"]
        if hosts:
            extensions.append(f"subjectAltName={','.join(hosts)}")
        request = run(["openssl", "req", *_KEY, "-keyout", pair.key, "-subj", subject])
        extension_file = self._folder / f"{name}.ext"
        extension_file.write_text("\n".join(extensions))
        serial: list[str | Path] = ["-CAserial", self._folder / "ca.srl", "-CAcreateserial"]
        sign = ["openssl", "x509", "-req", "-CA", self.certificate, "-CAkey", self._key, *serial, "-days", _DAYS]
        partial = pair.certificate.with_suffix(".partial")
        run([*sign, "-extfile", extension_file, "-out", partial], input=request)
        partial.rename(pair.certificate)
        return pair

    def service_account_key(self) -> tuple[Path, Path]:
        """The key pair that signs service-account tokens: (private, public)."""
        private, public = self._folder / "sa.key", self._folder / "sa.pub"
        if not public.exists():
            run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private])
            run(["openssl", "pkey", "-in", private, "-pubout", "-out", public])
        return private, public

    def kubeconfig(self, path: Path, server: str, user: str, groups: tuple[str, ...] = ()) -> Path:
        """Write a kubeconfig for a user of this authority, with everything inside so that the file can be moved."""
        pair = self.issue(path.stem, user, groups)
        cluster = {"server": server, "certificate-authority-data": _inline(self.certificate)}
        credentials = {"client-certificate-data": _inline(pair.certificate), "client-key-data": _inline(pair.key)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "modelfleet", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "modelfleet", "context": {"cluster": "modelfleet", "user": user}}],
            "current-context": "modelfleet",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(document, indent=1))  # JSON is YAML
        return path


def _inline(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
