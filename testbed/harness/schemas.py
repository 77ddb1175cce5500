"""JSON schemas of every kind that an API server knows, cut from its own OpenAPI documents, for kubeconform.

They are stricter than the server in one thing: a field that no schema has is refused, where the server would drop it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

# kubeconform's template of a file's path below the folder
LOCATION = "{{.Group}}-{{.ResourceAPIVersion}}-{{.ResourceKind}}.json"


def write(folder: Path, raw: Callable[[str], str]) -> int:
    """Write one file a kind into ``folder``, and return how many kinds there are.

    Args:
        folder: exists.
        raw: what the API server answers at a path, as ``kubectl get --raw`` says it.
    """
    written = 0
    for path in json.loads(raw("/openapi/v3"))["paths"]:
        if not (path == "api/v1" or (path.startswith("apis/") and path.count("/") == 2)):
            continue
        schemas = json.loads(raw(f"/openapi/v3/{path}"))["components"]["schemas"]
        for schema in schemas.values():
            _closed(schema)
        for name, schema in schemas.items():
            for kind in schema.get("x-kubernetes-group-version-kind", ()):
                if f"apis/{kind['group']}/{kind['version']}" != path and (kind["group"] or path != "api/v1"):
                    continue  # DeleteOptions and the like are in every group
                document = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
                group = kind["group"] or kind["version"]  # as kubeconform calls the group that has no name
                file = folder / f"{group}-{kind['version']}-{kind['kind'].lower()}.json"
                file.write_text(json.dumps(document))
                written += 1
    return written


def _closed(schema: Any) -> None:
    """Let each object have no other fields than those that its schema names, where it names any."""
    if isinstance(schema, list):
        for each in schema:
            _closed(each)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for key, each in schema.items():
        if key == "properties" and isinstance(each, dict):  # a field may be called `properties`, too
            for field in each.values():
                _closed(field)
        else:
            _closed(each)
