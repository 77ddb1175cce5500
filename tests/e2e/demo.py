"""`make demo`: the chapters, narrated, with a summary at the end; exits 1 when any of them did not happen."""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from e2e import views
from e2e.borrowed.cluster import BorrowedCluster, give_back
from e2e.borrowed.plan import NAMESPACE as BORROWED_NAMESPACE
from e2e.borrowed.plan import Refused
from e2e.borrowed.services import PORTS
from e2e.chapters import BORROWED, CHAPTERS, MODEL, ROLLOUT, Chapter
from e2e.story import Story, duration
from e2e.world import SCRAPED, World
from harness import Cluster, binaries
from release.images import CONTAINERFILES, DEMO, version


def main(arguments: list[str] | None = None) -> int:
    """Run the story. Ctrl-C removes the cluster, or what was put into it, as well, unless --keep was given."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path("/tmp/modelfleet-demo"), help="folder of the cluster")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up and say how to reach it")
    parser.add_argument("--context", help="a cluster that is there, by the name of its kubeconfig context")
    parser.add_argument("--registry", default="localhost/modelfleet", help="what the images are called, with --context")
    parser.add_argument(
        "--image", action="append", default=[], metavar="NAME=IMAGE", help="one that is called otherwise"
    )
    parser.add_argument("--down", action="store_true", help="with --context: only remove what a demo has left there")
    options = parser.parse_args(arguments)

    console = Console(soft_wrap=False, width=None if sys.stdout.isatty() else 160)
    if options.context:
        named = dict(each.partition("=")[::2] for each in options.image)
        return on_borrowed(options.context, images_of(options.registry) | named, console, options.keep, options.down)
    world = World(Cluster(options.state, nodes=True, detached=options.keep, scrape_interval=SCRAPED))
    happened = False
    try:
        happened = tell(world, Story(console), CHAPTERS)
        if options.keep and world.cluster.is_up:
            say_how_to_reach(world, console)
    except KeyboardInterrupt:
        console.print("\ninterrupted" + ("" if options.keep else "; removing the cluster"))
        return 130
    finally:
        if not options.keep:
            world.cluster.stop()
    return 0 if happened else 1


def images_of(registry: str) -> dict[str, str]:
    """What `make images REGISTRY=... DEMO=1` calls them."""
    return {name: f"{registry.rstrip('/')}/{name}:{version()}" for name in (*CONTAINERFILES, *DEMO)}


def on_borrowed(context: str, images: dict[str, str], console: Console, keep: bool, down: bool) -> int:
    """The story on a cluster that is there; whatever ends it, what it put there is removed, unless `keep`."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        cluster = BorrowedCluster(context, scrape_interval=SCRAPED)
        try:
            if down:
                return 0 if removed(cluster, console) else 1
            world = World(cluster, images, namespace=BORROWED_NAMESPACE, system=BORROWED_NAMESPACE)
            say_what_is_taken(cluster, console)
            return _tell_on(cluster, world, console, keep)
        finally:
            cluster.stop()
    except KeyboardInterrupt:  # while nothing was there yet, or all of it again as it was
        return 130
    except Refused as refused:
        console.print(f"Nothing was changed in context {context}:\n{refused}", markup=False, highlight=False)
        return 2


def _tell_on(cluster: BorrowedCluster, world: World, console: Console, keep: bool) -> int:
    code = 1
    try:
        code = 0 if tell(world, Story(console), BORROWED) else 1
        if keep and cluster.is_up:
            say_how_to_reach_borrowed(cluster, console)
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        code = 130
    finally:
        if not keep and cluster.is_up and not removed(cluster, console):
            code = code or 1
    return code


def say_what_is_taken(cluster: BorrowedCluster, console: Console) -> None:
    """What the demo is going to do to the cluster. Raises Refused."""
    taken = cluster.look()
    canary, *fleet = taken.nodes
    crds = "comes with its CRDs" if taken.brings_crds else "uses the CRDs that are there"
    console.print(
        f"Context {cluster.context}: canary {canary}, fleet {', '.join(fleet)}, training on {taken.training}. The demo "
        f"makes namespace {BORROWED_NAMESPACE}, labels these nodes, {crds}, and writes into /var/lib/modelfleet of the "
        "edge nodes.\nAll of it is removed at the end, and at Ctrl-C; after a kill -9 by: "
        f"make demo-down CONTEXT={cluster.context}",
        markup=False, highlight=False,
    )  # fmt: skip


def removed(cluster: BorrowedCluster, console: Console) -> bool:
    """Give the cluster back; Ctrl-C does not end this. Says what was not possible."""
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    console.print("Removing what the demo put into the cluster, within 2 min.", highlight=False)
    try:
        problems = give_back(cluster.kubectl)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for problem in problems:
        console.print(f"- {problem}", markup=False, highlight=False)
    if problems:
        console.print(f"The rest is still there. Try again: make demo-down CONTEXT={cluster.context}", highlight=False)
    else:
        console.print("The cluster is as it was.", highlight=False)
    return not problems


def say_how_to_reach_borrowed(cluster: BorrowedCluster, console: Console) -> None:
    """Where things are, for `KEEP=1` with a context."""
    console.print(f"It stays. Remove it with: make demo-down CONTEXT={cluster.context}", highlight=False)
    base = f"  kubectl --context={cluster.context} --namespace={BORROWED_NAMESPACE}"
    console.print(f"{base} get rollouts,trainingjobs,modelversions", highlight=False)
    for service, port in PORTS.items():
        console.print(f"{base} port-forward service/{service} {port}", highlight=False)


def tell(world: World, story: Story, chapters: Sequence[Chapter]) -> bool:
    """Run every chapter until one fails, then print the summary; whether all of them happened."""
    try:
        for number, chapter in enumerate(chapters, start=1):
            with story.step(f"{number}. {chapter.title}", chapter.expected):
                chapter.run(world, story)
        happened = True
    except Exception:  # noqa: BLE001 - whatever stopped the story is printed with what the cluster says of it
        story.console.print(traceback.format_exc(), markup=False, highlight=False)
        story.console.print(evidence(world), markup=False, highlight=False)
        happened = False
    summarise(world, story)
    missing = len(chapters) - sum(step.happened for step in story.took)
    verdict = "[green]The whole story happened.[/]" if happened else f"[red]{missing} chapters did not happen.[/]"
    story.console.print(f"{verdict} It took {duration(sum(step.seconds for step in story.took))}.")
    return happened


def summarise(world: World, story: Story) -> None:
    """Print each step's time, and each version's validation metrics beside its production verdict."""
    story.console.print(views.timings(story.took))
    if world.cluster.is_up and world.find("namespace", world.namespace) is not None:
        found = [v for v in world.items("modelversions") if v["spec"]["model"] == MODEL]
        story.console.print(views.versions(found, world.find("rollout", ROLLOUT)))


def evidence(world: World) -> str:
    """What a person would look at after a failure: the objects, recent Events, and the end of the operator's log."""
    if not world.cluster.is_up:
        return "the cluster is not up"
    looks = (
        ("-n", world.namespace, "get", "trainingjobs,modelversions,rollouts,jobs,daemonsets,pods", "-o", "wide"),
        ("-n", world.namespace, "describe", "trainingjobs,rollouts"),
        ("-n", world.namespace, "get", "events", "--sort-by=.lastTimestamp"),
        ("-n", world.namespace, "logs", "-l", "modelfleet.dev/training-job", "--tail=40", "--prefix"),
        ("-n", world.system, "get", "pods", "-o", "wide"),
        ("-n", world.system, "logs", "deployment/modelfleet", "--tail=80"),
    )
    parts = []
    for look in looks:
        command = "kubectl " + " ".join(look)
        parts.append(f"$ {command}\n{world.cluster.kubectl(*look, check=False)}")
    return "\n".join(parts)


def say_how_to_reach(world: World, console: Console) -> None:
    """Where things are, for `KEEP=1`."""
    cluster = world.cluster
    console.print("The cluster stays up. Remove it with: make demo-down", highlight=False)
    console.print(f"  export KUBECONFIG={cluster.kubeconfig}", highlight=False)
    console.print(f"  kubectl:         {binaries.path('kubectl')} --namespace {world.namespace}", highlight=False)
    console.print(f"  Prometheus:      {cluster.prometheus.url}", highlight=False)
    console.print(f"  object store:    {cluster.object_store.endpoint}", highlight=False)
    for pod in world.items("pods", f"modelfleet.dev/rollout={ROLLOUT}"):
        console.print(
            f"  agent metrics:   http://{pod['status'].get('podIP')}:9090/metrics on {pod['spec'].get('nodeName')}",
            highlight=False,
        )
    operator = world.cluster.kubectl("-n", world.system, "get", "pods", "-o", "jsonpath={.items[0].status.podIP}")
    console.print(f"  operator:        http://{operator}:8080/metrics", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
