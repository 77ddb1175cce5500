"""Objects as the API server has them, without a kubectl for each look.

A kubectl takes some 70 ms of a processor and a new TLS connection, and a test that waits looks three times a second:
that was a quarter of all that the cluster tests used. What a user would do stays kubectl's; this is for looking, and
for what the harness does on its own behalf. Names of kinds are those that kubectl takes, and objects come as it prints
them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config
from urllib3.exceptions import HTTPError

Json = dict[str, Any]

MERGE, STRATEGIC, JSON_PATCH = (
    f"application/{name}+json" for name in ("merge-patch", "strategic-merge-patch", "json-patch")
)
_APPLY = "application/apply-patch+yaml"
_BACKGROUND = {"propagationPolicy": "Background"}  # as kubectl deletes
_MANAGER = "modelfleet-harness"
# all groups in their order of preference, with their kinds, in one answer (Kubernetes 1.30 and later)
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class ApiRefused(Exception):
    """The API server did not do what it was asked for; the message holds its words."""


class NotThere(ApiRefused):
    """The object that was named is not there."""


@dataclass(frozen=True)
class _Kind:
    """Where the objects of a kind are."""

    version: str  # group and version, as in apiVersion
    kind: str
    resource: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        within = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{root}{within}/{self.resource}" + (f"/{name}" if name else "")


class Objects:
    """The objects of a cluster, over connections that are kept, as the user of a kubeconfig. Threads may share it."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._kinds: dict[str, _Kind] = {}

    def get(self, kind: str, name: str, namespace: str = "") -> Json | None:
        """The object of that name; None where there is none. Raises ApiRefused."""
        try:
            return _shown(self._ask("GET", self._kind(kind).path(namespace, name)))
        except NotThere:
            return None

    def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> list[Json]:
        """The objects of a kind that the selectors choose, of all namespaces where none is given. Raises ApiRefused."""
        known = self._kind(kind)
        asked = {name: value for name, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        found = self._ask("GET", known.path(namespace), asked)
        own = {"apiVersion": known.version, "kind": known.kind}  # which the objects of a list may lack
        return [_shown(own | each) for each in found["items"]]

    def create(self, *manifests: Json) -> None:
        """Create objects, each in the namespace that it names. Raises ApiRefused."""
        for manifest in manifests:
            self._ask("POST", self._kind_of(manifest).path(_namespace(manifest)), body=manifest)

    def apply(self, *manifests: Json) -> None:
        """Apply objects on the server's side, and take from others the fields that these name. Raises ApiRefused."""
        asked = {"fieldManager": _MANAGER, "force": "true"}
        for manifest in manifests:
            path = self._kind_of(manifest).path(_namespace(manifest), manifest["metadata"]["name"])
            self._ask("PATCH", path, asked, body=manifest, content=_APPLY)

    def patch(
        self,
        kind: str,
        name: str,
        patch: Json | Sequence[Json],
        namespace: str = "",
        *,
        subresource: str = "",
        type: str = MERGE,
    ) -> None:
        """Patch an object. Raises ApiRefused, and NotThere where there is none."""
        path = self._kind(kind).path(namespace, name) + (f"/{subresource}" if subresource else "")
        self._ask("PATCH", path, body=patch, content=type)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object, without a wait for its end; nothing happens where there is none. Raises ApiRefused."""
        with contextlib.suppress(NotThere):
            self._ask("DELETE", self._kind(kind).path(namespace, name), _BACKGROUND)

    def delete_all(self, kind: str, namespace: str = "", *, labels: str) -> None:
        """Delete the objects that a selector chooses, in one request. Raises ApiRefused."""
        self._ask("DELETE", self._kind(kind).path(namespace), {"labelSelector": labels, **_BACKGROUND})

    def ready(self) -> bool:
        """Whether the API server answers, and says that it is ready."""
        try:
            return self._send("GET", "/readyz", {"Accept": "*/*"}, [])[0] == HTTPStatus.OK
        except HTTPError:
            return False

    # --- inside -------------------------------------------------------------------------------------------------------

    @cached_property
    def _api(self) -> ApiClient:
        return new_client_from_config(str(self._kubeconfig))  # type: ignore[no-untyped-call]

    def _kind(self, name: str) -> _Kind:
        """The kind that kubectl would take by this name: plural, singular or short, with or without a group."""
        if name not in self._kinds:  # it may have come since
            self._kinds = dict(reversed([*self._discover()]))  # the first of a name counts, as for kubectl
        if name not in self._kinds:
            raise ApiRefused(f"the API server has no kind {name}")
        return self._kinds[name]

    def _kind_of(self, manifest: Json) -> _Kind:
        return self._kind(f"{manifest['apiVersion']} {manifest['kind']}")

    def _discover(self) -> Iterator[tuple[str, _Kind]]:
        for root in ("/api", "/apis"):
            for group in self._ask("GET", root, accept=_DISCOVERY)["items"]:
                group_name = group["metadata"].get("name", "")
                for version in group["versions"]:  # in their order of preference, too
                    where = f"{group_name}/{version['version']}" if group_name else version["version"]
                    for each in version["resources"]:
                        kind = _Kind(where, each["responseKind"]["kind"], each["resource"], each["scope"] != "Cluster")
                        names = [each["resource"], each["singularResource"], *each.get("shortNames", ())]
                        yield from ((name, kind) for name in names)
                        yield from ((f"{name}.{group_name}", kind) for name in names)
                        yield f"{where} {kind.kind}", kind

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: object = None,
        accept: str = "application/json",
        content: str = "application/json",
    ) -> Json:
        """The object that the API server answers with.

        Raises:
            NotThere: the object that was named is not there.
            ApiRefused: it answers with another error.
        """
        headers = {"Accept": accept, "Content-Type": content}
        status, text = self._send(method, path, headers, [*(query or {}).items()], body)
        if status >= HTTPStatus.BAD_REQUEST:
            absent = status == HTTPStatus.NOT_FOUND and _names_an_object(text)
            refused = NotThere if absent else ApiRefused
            raise refused(f"{method} {path}: {status}: {text.decode(errors='replace')[:4000]}")
        answer: Json = json.loads(text)
        return answer

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], query: Sequence[tuple[str, str]], body: object = None
    ) -> tuple[int, bytes]:
        asked = self._api.param_serialize(
            method,
            path,
            query_params=query,
            header_params=dict(headers),
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self._api.call_api(*asked)
        return answer.status, answer.read()  # type: ignore[no-untyped-call]


def _names_an_object(text: bytes) -> bool:
    """Whether it is an object that is missing, and not all of its kind: that is said in plain text."""
    return text.startswith(b"{") and "name" in json.loads(text).get("details", {})


def condition(found: Json, type: str) -> Json:
    """A condition of an object; empty where nobody has said so yet."""
    return next((each for each in (found.get("status") or {}).get("conditions") or () if each["type"] == type), {})


def _shown(found: Json) -> Json:
    """Without what kubectl leaves out, too."""
    found["metadata"].pop("managedFields", None)
    return found


def _namespace(manifest: Json) -> str:
    return str(manifest["metadata"].get("namespace", ""))
