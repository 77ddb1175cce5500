"""YAML and JSON files as documents that know at which line each field stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from kubectl_modelfleet.lint import nodes
from kubectl_modelfleet.lint.ours import is_ours
from kubectl_modelfleet.lint.problem import Path, Problem, dotted
from kubectl_modelfleet.lint.reading import Reading

_DEEPEST: Final = 100
"""Lists in lists."""
_TEMPLATED: Final = "; is it a template ({{)? helm template NAME CHART | kubectl modelfleet lint -"


@dataclass(frozen=True)
class Document:
    """One object of a file; of a List: each of its items. `lines`: path -> line.

    Of one that is not ours (`ours`), `content` is `apiVersion` and `kind` alone.
    """

    file: str
    content: Any
    lines: dict[Path, int]
    ours: bool = True

    @property
    def title(self) -> str:
        """`Rollout line`."""
        if not isinstance(self.content, dict):
            return ""
        metadata = self.content.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        words = (self.content.get("kind", ""), name)
        return " ".join(str(word) for word in words if isinstance(word, (str, int)) and word)

    def problem(self, path: Path, message: str) -> Problem:
        """A problem at a field; its line is that of the nearest field that is written."""
        near = path
        while near and near not in self.lines:
            near = near[:-1]
        return Problem(self.file, self.title, dotted(path), message, self.lines.get(near, 0))


def documents(file: str, text: str) -> Iterator[Document | Problem]:
    """The documents of a file, or where it is no YAML. A key that is written twice is a problem of its own.

    Of what is not of modelfleet.dev nothing but that is read: what is odd in there is for others to say.
    """
    for root in nodes.roots(text):
        if isinstance(root, nodes.Unreadable):
            yield Problem(file, "", "", f"{root.message}{_TEMPLATED if '{{' in text else ''}", root.line)
            continue
        for node in _objects(root.node):
            head = _head(node)
            if not is_ours(head):
                yield Document(file, head, {}, ours=False)
                continue
            reading = Reading(root.before)
            content = reading.value(node, ())
            whole = Document(file, content, reading.lines)
            yield from (
                Problem(file, whole.title, dotted(path), message, line) for path, message, line in reading.problems
            )
            if not reading.failed:
                yield whole


def _objects(node: yaml.Node, depth: int = 0) -> Iterator[yaml.Node]:
    """The object; of a List, each of its items, as kubectl has it."""
    if isinstance(node, yaml.MappingNode) and depth < _DEEPEST:
        fields = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
        kind, items = fields.get("kind"), fields.get("items")
        listed = isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List")
        if listed and isinstance(items, yaml.SequenceNode):
            for item in items.value:
                yield from _objects(item, depth + 1)
            return
    yield node


def _head(node: yaml.Node) -> dict[str, str]:
    """`apiVersion` and `kind`, where they are words."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {
        key.value: value.value
        for key, value in node.value
        if isinstance(key, yaml.ScalarNode) and key.value in ("apiVersion", "kind")
        if isinstance(value, yaml.ScalarNode)
    }
