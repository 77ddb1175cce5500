"""`live NODE`: the live page of the agent on a node, through kubectl port-forward.

The page listens on the pod's loopback alone; who may see it is who may create pods/portforward in the namespace.
"""

import re
import subprocess
import webbrowser

import click

from kubectl_modelfleet import completing
from kubectl_modelfleet.failures import Failure, NotFound, Refused, near
from kubectl_modelfleet.kubectl import PODS, Json, failure
from kubectl_modelfleet.naming import NAME
from kubectl_modelfleet.output import tell
from kubectl_modelfleet.session import Session, options
from modelfleet.api import names
from modelfleet.workloads.pods import node_of

_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(?P<port>[0-9]+) ->")


@click.command()
@click.argument("node", shell_complete=completing.nodes)
@click.option(
    "--rollout",
    type=NAME,
    help="Which Rollout, where several have a pod on the node.",
    shell_complete=completing.rollouts,
)
@click.option("--port", default=0, help="The port on this machine; default: a free one.")
@click.option("--no-browser", is_flag=True, help="Print the address; open no browser.")
@options
def live(session: Session, node: str, rollout: str | None, port: int, no_browser: bool) -> None:
    """See what the camera of a node sees.

    The agent's live page, with the model's detections, until you press Ctrl-C.
    """
    pod = chosen(session.kubectl.list(PODS, names.ROLLOUT), node, rollout)
    target = live_port(pod)
    forward = ["port-forward", f"--namespace={session.kubectl.namespace}", "--address=127.0.0.1"]
    with session.kubectl.child(*forward, f"pod/{pod['metadata']['name']}", f"{port or ''}:{target}") as child:
        url = f"http://127.0.0.1:{_forwarded(child)}/"
        session.show({"url": url, "pod": pod["metadata"]["name"], "port": target}, lambda: url)
        tell(f"The live page of {node} ({pod['metadata']['name']}); Ctrl-C ends it.")
        if not no_browser and not session.output and not webbrowser.open(url):
            tell("No browser could be opened here: open the address yourself.")
        rest = child.stdout.read() if child.stdout is not None else ""
    last = (rest.strip().splitlines() or ["kubectl port-forward said nothing"])[-1]
    raise Failure(f"the connection to {pod['metadata']['name']} ended ({last}): run it again")


def chosen(found: list[Json], node: str, rollout: str | None) -> Json:
    """The pod on the node. Raises NotFound where there is none, Refused where no --rollout says which of several."""
    here = [pod for pod in found if node_of(pod) == node and "deletionTimestamp" not in pod["metadata"]]
    if not here:
        there = {node_of(pod) for pod in found} - {""}
        raise NotFound(f"no Rollout has a pod on node {node}.{near(node, there)}")
    of_rollout = {pod["metadata"]["labels"][names.ROLLOUT]: pod for pod in here}
    if rollout is None and len(of_rollout) > 1:
        raise Refused(f"{', '.join(sorted(of_rollout))} have a pod on {node}: say which with --rollout.")
    wanted = rollout or next(iter(of_rollout))
    if wanted not in of_rollout:
        raise NotFound(f"Rollout {wanted} has no pod on {node}.{near(wanted, of_rollout)}")
    pod = of_rollout[wanted]
    if (pod.get("status") or {}).get("phase") != "Running":
        raise Refused(f"pod {pod['metadata']['name']} is {pod.get('status', {}).get('phase', 'Pending')}, not Running.")
    return pod


def live_port(pod: Json) -> int:
    """The port of the live page: LIVE_PORT in a container's environment. Raises Refused where there is none."""
    spec = pod["spec"]
    for container in [*spec["containers"], *(spec.get("initContainers") or ())]:
        for variable in container.get("env") or ():
            if variable["name"] == "LIVE_PORT" and str(variable.get("value", "")).isdigit():
                return int(variable["value"])
    raise Refused(
        f"pod {pod['metadata']['name']} has no live page (no LIVE_PORT in its environment): set"
        " spec.delivery.live.enabled: true in the Rollout, if this release has it."
    )


def _forwarded(child: subprocess.Popen[str]) -> int:
    """The port on this machine, once kubectl forwards it."""
    assert child.stdout is not None
    said = ""
    for line in child.stdout:
        said += line
        if (found := _FORWARDING.search(line)) is not None:
            return int(found["port"])
    raise failure(said)
