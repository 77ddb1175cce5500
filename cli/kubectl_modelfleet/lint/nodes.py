"""The documents of a text as nodes of YAML, which know where they stand; what is no YAML, as a word and a line. Pure.

The rest of a text goes on at its next `---`. JSON is YAML, but that its documents may follow one another without
anything between them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

from kubectl_modelfleet.lint import scalars

_JSON: Final = json.JSONDecoder(parse_int=str, parse_float=str)
_BEFORE_JSON: Final = re.compile(r"(?:\s|^---[ \t]*$)*(?=\{)", re.MULTILINE)
_MARK: Final = re.compile(r"^(---[^\S\n]*\n)\ufeff", re.MULTILINE)
_NEXT: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)


@dataclass(frozen=True)
class Root:
    """A document. `before`: the lines of the text before those that its nodes count."""

    node: yaml.Node
    before: int


@dataclass(frozen=True)
class Unreadable:
    """Where the text is no YAML. `line` counts from 1; 0 where it is not known."""

    message: str
    line: int


class _Loader(yaml.SafeLoader):
    """Reads words and tabs as kubectl's reader does."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool) -> str:
        if kind is yaml.ScalarNode and value is not None and isinstance(implicit, tuple) and implicit[0]:
            return scalars.tag(value)
        if kind is yaml.ScalarNode:
            return f"{scalars.TAG}str"
        return f"{scalars.TAG}{'seq' if kind is yaml.SequenceNode else 'map'}"

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()


def roots(text: str) -> Iterator[Root | Unreadable]:
    """The documents that are not empty, and what can't be read. Each may begin with a byte order mark, as files that
    were put together have it; to YAML it would be a sign of the first key."""
    text = _MARK.sub(r"\1", text)
    at = 0
    while (begins := _BEFORE_JSON.match(text, at)) is not None:
        try:
            _, ends = _JSON.raw_decode(text, begins.end())
        except (ValueError, RecursionError):  # YAML that begins with a brace; or nothing at all, and YAML says so
            break
        yield from _composed(text[begins.end() : ends], text.count("\n", 0, begins.end()))
        at = ends
    yield from _composed(text[at:], text.count("\n", 0, at))


def _composed(text: str, before: int) -> Iterator[Root | Unreadable]:
    while True:
        at: int | None = None
        try:
            loader = _Loader(text)
            at = 0
            while loader.check_node():
                node = loader.get_node()
                if node is not None and not (node.tag == f"{scalars.TAG}null" and node.value == ""):
                    yield Root(node, before)
            return
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            at = mark.index if mark is not None else loader.index
            line = before + mark.line + 1 if mark is not None else 0
            yield Unreadable(f"is not valid YAML: {error.problem or error.context}", line)
        except yaml.reader.ReaderError as error:
            yield Unreadable(f"is not valid YAML: {error.reason} (character {error.position + 1})", 0)
        except RecursionError:
            at = loader.index
            yield Unreadable("is nested too deeply to be read", before + loader.line + 1)
        except (ValueError, OverflowError) as error:  # numbers that are none: of %YAML, of an escaped sign
            at = loader.index if at is not None else None
            yield Unreadable(f"is not valid YAML: {error}", before + loader.line + 1 if at is not None else 0)
        following = _NEXT.search(text, max(at, 1)) if at is not None else None
        if following is None:
            return
        before += text.count("\n", 0, following.start())
        text = text[following.start() :]
