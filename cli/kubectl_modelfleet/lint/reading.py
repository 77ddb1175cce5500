"""Nodes of YAML as Python values, with the line of each field; what can't be read, as a problem. Pure."""

from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from kubectl_modelfleet.lint import scalars
from kubectl_modelfleet.lint.problem import Path

_DEEPEST: Final = 100
_MOST: Final = 500_000
"""Nodes of a document, aliases written out: etcd would not hold half of it."""


@dataclass
class Reading:
    """Nodes as Python values, as kubectl reads them: keys are texts, and times stay as they are written."""

    before: int
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[tuple[Path, str, int]] = field(default_factory=list)
    failed: bool = False
    """Whether something could not be read, so that the value is not whole."""
    _nodes: int = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        """A node, with all in it. What can't be read is a problem, and None."""
        line = self._line(node)
        self.lines.setdefault(path, line)
        self._nodes += 1
        if self._nodes > _MOST:
            if self._nodes == _MOST + 1:
                self._fail(path, f"has more than {_MOST:,} values, aliases (*) written out", line)
            return None
        if len(path) > _DEEPEST:
            self._fail(path[:1], f"is nested more than {_DEEPEST} levels deep, or contains itself", line)
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            return scalars.value(node.tag, node.value)
        except ValueError as error:
            self._fail(path, str(error), line)
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        content: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = self._line(key_node)
            if key_node.tag == f"{scalars.TAG}merge":
                merged = {**self._merged(value_node, path), **merged}
                continue
            try:
                key = _key(key_node)
            except ValueError as error:
                self._fail(path, str(error), line)
                continue
            here = (*path, key)
            if key in content:
                self.problems.append((here, "is written twice: the first is lost", line))
            self.lines[here] = line
            content[key] = self.value(value_node, here)
        return {**merged, **content}

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What `<<` brings; it has no lines of its own here, for it is written elsewhere."""
        content: dict[str, Any] = {}
        for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(each, yaml.MappingNode):
                here, self.lines = self.lines, {}
                content = {**(self.value(each, (*path, "<<")) or {}), **content}
                self.lines = here
            else:
                self._fail((*path, "<<"), "must be an object, or a list of objects, to be merged", self._line(each))
        return content

    def _fail(self, path: Path, message: str, line: int) -> None:
        self.failed = True
        self.problems.append((path, message, line))

    def _line(self, node: yaml.Node) -> int:
        return int(self.before + node.start_mark.line + 1)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("has a key that is no text")
    return scalars.key(node.tag, node.value)
