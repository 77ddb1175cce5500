"""`completion bash|zsh|fish`: the script that teaches a shell to complete."""

import click
from click.shell_completion import get_completion_class

from kubectl_modelfleet.output import put

_PROGRAM = "kubectl-modelfleet"
VARIABLE = "_KUBECTL_MODELFLEET_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    It is for `kubectl-modelfleet`.

    For `kubectl modelfleet` nothing is needed: the completion of kubectl itself (1.26 and newer) calls
    kubectl_complete-modelfleet, which is installed beside this.

    \b
      bash   source <(kubectl-modelfleet completion bash)
      zsh    source <(kubectl-modelfleet completion zsh)
      fish   kubectl-modelfleet completion fish | source
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    root = click.get_current_context().find_root().command
    put(found(root, {}, _PROGRAM, VARIABLE).source())
