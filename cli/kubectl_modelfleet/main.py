"""The commands put together; exit codes; completion as kubectl asks for it."""

import io
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click
from click.shell_completion import CompletionItem, ShellComplete

from kubectl_modelfleet import __version__, session
from kubectl_modelfleet.commands import (
    check,
    completion,
    diff,
    get,
    history,
    lineage,
    lint,
    live,
    pausing,
    status,
    steering,
    sync,
    undo,
)
from kubectl_modelfleet.failures import Exit, Failure
from kubectl_modelfleet.output import discard, open_closed, put, tell

NAME = "kubectl modelfleet"


class Grouped(click.Group):
    """Lists its commands in the order in which they were added, and names what is near where one is mistyped."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In order of use, not of the alphabet."""
        return list(self.commands)


@click.group(cls=Grouped, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@session.where
@click.version_option(__version__, prog_name=NAME)
def cli(**where: str) -> None:
    """Watch and steer Rollouts of object-detection models.

    What a command writes is the annotation, or the field, that you could write yourself; as field manager
    modelfleet-cli, which Flux and Argo CD leave alone. Exit codes: 0 done, 1 bad or refused, 2 not decided yet
    (status), 3 could not be found out.
    """


for _command in (
    get.get,
    status.status,
    history.history,
    steering.approve,
    steering.promote,
    steering.abort,
    steering.retry,
    pausing.pause,
    pausing.resume,
    undo.undo,
    steering.retrain,
    sync.sync,
    diff.diff,
    lint.lint,
    lineage.lineage,
    live.live,
    check.check,
    completion.completion,
):
    cli.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. What went wrong is said on standard error."""
    try:
        given = None if arguments is None else list(arguments)
        code = cli.main(given, prog_name=NAME, complete_var=completion.VARIABLE, standalone_mode=False)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        tell(said.getvalue().removesuffix("\n"))
        return Exit.UNKNOWN
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Failure as failure:
        tell(f"{NAME}: {failure}")
        return failure.exit
    except OSError as error:  # where click itself prints: --help, --version
        discard(sys.stdout)
        tell(f"{NAME}: {error}")
        return Exit.UNKNOWN
    return code if isinstance(code, int) else Exit.DONE


def main() -> NoReturn:
    """The console script `kubectl-modelfleet`."""
    open_closed()
    signal.signal(signal.SIGTERM, _ended)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that can't show a sign still gets the line
    raise SystemExit(run())


def _ended(number: int, frame: FrameType | None) -> NoReturn:
    """Whoever ends this process (`kill`, a CI job) ends its children with it, and has the cursor back."""
    raise SystemExit(128 + number)


def complete(words: Sequence[str]) -> list[CompletionItem]:
    """What may stand in place of the last word."""
    *before, begun = words or [""]
    return ShellComplete(cli, {}, NAME, "").get_completions(list(before), begun)


def complete_for_kubectl() -> NoReturn:
    """The console script `kubectl_complete-modelfleet`, which kubectl's own completion calls (1.26 and newer).

    One candidate a line; `:4` in the end says that files are none of them, `:0` that the shell may complete them.
    """
    open_closed()
    found = complete(sys.argv[1:])
    for item in found:
        if item.type == "plain":
            put(f"{item.value}\t{item.help}" if item.help else item.value)
    put(":4" if all(item.type == "plain" for item in found) else ":0")
    raise SystemExit(0)
