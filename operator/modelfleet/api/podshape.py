"""Whether the parts of a pod template that this program reads are lists and objects where Kubernetes has them. Pure.

The CRDs pass a template on as it is: the API server checks it when pods are made from it. What is read before that (a
container's variables, volumes, the affinity) has to have the form in which it can be read: `env: {LOG: debug}` is taken
by the API server, and is no list of variables. Null is as good as absent, as for Kubernetes; what stands in an entry
beyond its name is not looked at, and `$patch` stands in place of a name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class _Text:
    pass


@dataclass(frozen=True)
class _Object:
    fields: Mapping[str, "_Object | _List | _Text"] = field(default_factory=dict)


@dataclass(frozen=True)
class _List:
    """Of objects. `key`: what each of them must have, a text."""

    key: str = ""
    of: _Object = field(default_factory=_Object)


_TERMS = _Object({"nodeSelectorTerms": _List(of=_Object({"matchExpressions": _List(), "matchFields": _List()}))})
_CONTAINER = _Object(
    {
        "env": _List("name"),
        "envFrom": _List(),
        "ports": _List(),
        "volumeMounts": _List("mountPath", _Object({"name": _Text()})),
        "resources": _Object({"limits": _Object(), "requests": _Object()}),
        "securityContext": _Object({"capabilities": _Object()}),
    }
)
_TEMPLATE = _Object(
    {
        "metadata": _Object({"labels": _Object(), "annotations": _Object()}),
        "spec": _Object(
            {
                "containers": _List("name", _CONTAINER),
                "initContainers": _List("name", _CONTAINER),
                "volumes": _List("name", _Object({"hostPath": _Object({"path": _Text()}), "emptyDir": _Object()})),
                "nodeSelector": _Object(),
                "securityContext": _Object(),
                "tolerations": _List(),
                "imagePullSecrets": _List(),
                "affinity": _Object(
                    {"nodeAffinity": _Object({"requiredDuringSchedulingIgnoredDuringExecution": _TERMS})}
                ),
            }
        ),
    }
)
_PATCH = "$patch"


def checked(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """The template. Raises ValueError, which names the first field of another form and the one that it must have."""
    for problem in _problems(template, _TEMPLATE, ""):
        raise ValueError(problem)
    return template


def _problems(value: Any, shape: _Object | _List | _Text, path: str) -> Iterator[str]:
    if value is None:
        return
    if isinstance(shape, _Text):
        if not isinstance(value, str):
            yield f"{path} must be a text"
        return
    if isinstance(shape, _Object):
        if not isinstance(value, Mapping):
            yield f"{path} must be an object"
            return
        for name, inner in shape.fields.items():
            yield from _problems(value.get(name), inner, f"{path}.{name}" if path else name)
        return
    if not isinstance(value, list | tuple):
        each = f", each with a {shape.key}" if shape.key else ""
        yield f"{path} must be a list of objects{each}"
        return
    for index, entry in enumerate(value):
        here = f"{path}[{index}]"
        if not isinstance(entry, Mapping):
            yield f"{here} must be an object" + (f" with a {shape.key}" if shape.key else "")
        elif shape.key and _PATCH not in entry and not (isinstance(entry.get(shape.key), str) and entry[shape.key]):
            yield f"{here}.{shape.key} must be a text"
        else:
            yield from _problems(entry, shape.of, here)
