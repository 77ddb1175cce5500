"""YAML as a file of settings has it: nothing in it is lost, and whatever is wrong is said with its place. Pure.

Plain data alone: what Kubernetes' own files can hold, too. A time is the text that is written.
"""

from collections.abc import Iterator
from typing import Any

import yaml

_SCALARS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str"))
_SEQUENCE = "tag:yaml.org,2002:seq"
_MAPPING = "tag:yaml.org,2002:map"
_MERGE = "tag:yaml.org,2002:merge"
_TIME = "tag:yaml.org,2002:timestamp"
_MAX_NUMBER = 2**63


class StrictYamlError(ValueError):
    """The text can't be used; it says where and why, in one line."""


def read(text: str) -> Any:
    """The only document of the text; None where it is empty. Raises StrictYamlError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return None if node is None else _value(node, "", ())
    except yaml.MarkedYAMLError as error:
        where = "" if error.problem_mark is None else f" at line {error.problem_mark.line + 1}"
        raise StrictYamlError(f"not valid YAML{where}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise StrictYamlError(f"not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise StrictYamlError("not valid YAML: it is nested too deeply") from error


def _value(node: yaml.Node, path: str, above: tuple[yaml.Node, ...]) -> Any:
    if any(node is each for each in above):
        raise _wrong(node, path, "contains itself")
    above = (*above, node)
    if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
        return _mapping(node, path, above)
    if isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
        return [_value(each, f"{path}[{index}]", above) for index, each in enumerate(node.value)]
    return _scalar(node, path)


def _mapping(node: yaml.MappingNode, path: str, above: tuple[yaml.Node, ...]) -> dict[Any, Any]:
    merged: dict[Any, Any] = {}
    own: dict[Any, Any] = {}
    lines: dict[Any, int] = {}
    for key_node, value_node in node.value:
        if key_node.tag == _MERGE:
            for each in _merged(value_node, path, above):
                merged = {**each, **merged}
            continue
        key = _scalar(key_node, f"{path}: a key")
        here = f"{path}.{key}" if path else str(key)
        line = key_node.start_mark.line + 1
        if key in own:
            raise StrictYamlError(f"{here} is written twice (lines {lines[key]} and {line}): leave one of them out")
        own[key], lines[key] = _value(value_node, here, above), line
    return {**merged, **own}


def _merged(node: yaml.Node, path: str, above: tuple[yaml.Node, ...]) -> Iterator[dict[Any, Any]]:
    """What `<<` takes over: a mapping, or several of which the first has precedence."""
    found = _value(node, f"{path}: <<", above)
    for each in found if isinstance(found, list) else [found]:
        if not isinstance(each, dict):
            raise _wrong(node, f"{path}: <<", "must take over a mapping")
        yield each


def _scalar(node: yaml.Node, path: str) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        plain = node.tag in (_MAPPING, _SEQUENCE)
        raise _wrong(node, path, "must be a single value" if plain else f"has the tag {node.tag}: write plain data")
    if node.tag == _TIME:
        return str(node.value)
    if node.tag not in _SCALARS:
        raise _wrong(node, path, f"has the tag {node.tag}: write plain data")
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except (ValueError, KeyError, yaml.YAMLError) as error:
        raise _wrong(node, path, f"can't be read: {node.value[:40]!r}; put text in quotes") from error
    if isinstance(value, int) and abs(value) >= _MAX_NUMBER:
        raise _wrong(node, path, "is too big a number")
    return value


def _wrong(node: yaml.Node, path: str, says: str) -> StrictYamlError:
    return StrictYamlError(f"{path.removeprefix(': ') or 'the file'} {says} (line {node.start_mark.line + 1})")
