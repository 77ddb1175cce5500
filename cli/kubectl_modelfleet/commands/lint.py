"""`lint FILE...`: manifests checked without a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from kubectl_modelfleet.failures import Exit, Failure
from kubectl_modelfleet.session import Session, options
from kubectl_modelfleet.wording import counted

if TYPE_CHECKING:
    from kubectl_modelfleet.lint.files import Document
    from kubectl_modelfleet.lint.folders import LeftOut
    from kubectl_modelfleet.lint.problem import Problem

_NOTHING = "{} is empty: did the command that writes it fail? (In a pipeline set -o pipefail says so.)"
"""Of a pipe: all would be good with what was never looked at. A file of a folder may be empty."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True))
@options
def lint(session: Session, files: tuple[str, ...]) -> int:
    """Check manifests without a cluster.

    By the schemas and rules of this release's CRDs. Folders are searched; - is standard input.

    Exit code 0: all good; 1: something is to be put right. Documents of other kinds are counted, and not checked.
    """
    from kubectl_modelfleet.lint import manifest  # CEL takes long to load, and no other command needs it
    from kubectl_modelfleet.lint.folders import LeftOut
    from kubectl_modelfleet.lint.problem import Problem

    problems: list[Problem] = []
    checked = skipped = 0
    left_out: list[LeftOut] = []
    for document in _documents(files):
        if isinstance(document, LeftOut):
            left_out.append(document)
        elif isinstance(document, Problem):
            problems.append(document)
        elif document.ours:
            checked += 1
            problems += manifest.check(document)
        else:
            skipped += 1
    summary = f"{counted(checked, 'document')} checked, {counted(len(problems), 'problem')}"
    if skipped:
        summary += f"; {counted(skipped, 'document')} not of modelfleet.dev, not checked"
    found = {
        "checked": checked,
        "skipped": skipped,
        "leftOut": [asdict(each) for each in left_out],
        "problems": [asdict(problem) for problem in problems],
    }
    session.show(found, lambda: Text("\n".join([*map(str, problems), *map(str, left_out), summary])))
    return Exit.BAD if problems else Exit.DONE


def _documents(paths: tuple[str, ...]) -> Iterator[Document | Problem | LeftOut]:
    """All there are. A file that can't be read is a problem, and the others go on."""
    from kubectl_modelfleet.lint import files, folders
    from kubectl_modelfleet.lint.problem import Problem

    for path in paths:
        if path != "-" and not Path(path).exists():
            raise Failure(f"{path} can't be read: there is no such file")
    for file in folders.found(paths):
        if not isinstance(file, str):
            yield file
            continue
        try:
            text = _text(file)
        except OSError as error:
            yield Problem(file, "", "", f"can't be read: {error.strerror or error}")
        except UnicodeDecodeError as error:
            yield Problem(file, "", "", f"can't be read: it is no text in UTF-8 (byte {error.start + 1})")
        else:
            if not text.strip() and not Path(file).is_file():
                raise Failure(_NOTHING.format("standard input" if file == "-" else file))
            yield from files.documents(file, text)


def _text(file: str) -> str:
    """Raises OSError and UnicodeDecodeError; Failure where there is no standard input."""
    if file != "-":
        return Path(file).read_text(encoding="utf-8-sig")
    if sys.stdin is None:
        raise Failure("there is no standard input to read: it is closed")
    content: bytes = sys.stdin.buffer.read()
    return content.decode("utf-8-sig")
