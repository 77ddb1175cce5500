"""`make demo`: the chapters, narrated, with a summary at the end; exits 1 when any of them did not happen."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from rich.console import Console

from e2e import views
from e2e.chapters import CHAPTERS, MODEL, ROLLOUT
from e2e.story import Story, duration
from e2e.world import NAMESPACE, SCRAPED, SYSTEM, World
from harness import Cluster, binaries


def main(arguments: list[str] | None = None) -> int:
    """Run the story. Ctrl-C removes the cluster as well, unless --keep was given."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path("/tmp/modelfleet-demo"), help="folder of the cluster")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up and say how to reach it")
    options = parser.parse_args(arguments)

    console = Console(soft_wrap=False, width=None if sys.stdout.isatty() else 160)
    story = Story(console)
    world = World(Cluster(options.state, nodes=True, detached=options.keep, scrape_interval=SCRAPED))
    happened = False
    try:
        happened = tell(world, story)
        if options.keep and world.cluster.is_up:
            say_how_to_reach(world, console)
    except KeyboardInterrupt:
        console.print("\ninterrupted" + ("" if options.keep else "; removing the cluster"))
        return 130
    finally:
        if not options.keep:
            world.cluster.stop()
    return 0 if happened else 1


def tell(world: World, story: Story) -> bool:
    """Run every chapter until one fails, then print the summary; whether all of them happened."""
    try:
        for number, chapter in enumerate(CHAPTERS, start=1):
            with story.step(f"{number}. {chapter.title}", chapter.expected):
                chapter.run(world, story)
        happened = True
    except Exception:  # noqa: BLE001 - whatever stopped the story is printed with what the cluster says of it
        story.console.print(traceback.format_exc(), markup=False, highlight=False)
        story.console.print(evidence(world), markup=False, highlight=False)
        happened = False
    summarise(world, story)
    missing = len(CHAPTERS) - sum(step.happened for step in story.took)
    verdict = "[green]The whole story happened.[/]" if happened else f"[red]{missing} chapters did not happen.[/]"
    story.console.print(f"{verdict} It took {duration(sum(step.seconds for step in story.took))}.")
    return happened


def summarise(world: World, story: Story) -> None:
    """Print each step's time, and each version's validation metrics beside its production verdict."""
    story.console.print(views.timings(story.took))
    if world.cluster.is_up and world.find("namespace", NAMESPACE) is not None:
        found = [v for v in world.items("modelversions") if v["spec"]["model"] == MODEL]
        story.console.print(views.versions(found, world.find("rollout", ROLLOUT)))


def evidence(world: World) -> str:
    """What a person would look at after a failure: the objects, recent Events, and the end of the operator's log."""
    if not world.cluster.is_up:
        return "the cluster is not up"
    looks = (
        ("-n", NAMESPACE, "get", "trainingjobs,modelversions,rollouts,jobs,daemonsets,pods", "-o", "wide"),
        ("-n", NAMESPACE, "describe", "trainingjobs,rollouts"),
        ("-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp"),
        ("-n", NAMESPACE, "logs", "-l", "modelfleet.dev/training-job", "--tail=40", "--prefix"),
        ("-n", SYSTEM, "get", "pods", "-o", "wide"),
        ("-n", SYSTEM, "logs", "deployment/modelfleet", "--tail=80"),
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
    console.print(f"  kubectl:         {binaries.path('kubectl')} --namespace {NAMESPACE}", highlight=False)
    console.print(f"  Prometheus:      {cluster.prometheus.url}", highlight=False)
    console.print(f"  object store:    {cluster.object_store.endpoint}", highlight=False)
    for pod in world.items("pods", "-l", f"modelfleet.dev/rollout={ROLLOUT}"):
        console.print(
            f"  agent metrics:   http://{pod['status'].get('podIP')}:9090/metrics on {pod['spec'].get('nodeName')}",
            highlight=False,
        )
    operator = world.cluster.kubectl("-n", SYSTEM, "get", "pods", "-o", "jsonpath={.items[0].status.podIP}")
    console.print(f"  operator:        http://{operator}:8080/metrics", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
