"""`lineage MODELVERSION | --node NODE`: from what runs back to what it was made of."""

from dataclasses import asdict

import click
from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from kubectl_modelfleet import completing
from kubectl_modelfleet.ancestry import Ancestor, ancestry
from kubectl_modelfleet.failures import NotFound, near
from kubectl_modelfleet.kubectl import MODEL_VERSIONS, PODS, TRAINING_JOBS
from kubectl_modelfleet.session import Session, options
from modelfleet.api import names
from modelfleet.workloads.pods import node_of


@click.command()
@click.argument("model_version", required=False, shell_complete=completing.model_versions)
@click.option("--node", help="The versions that run on this node.", shell_complete=completing.nodes)
@options
def lineage(session: Session, model_version: str | None, node: str | None) -> None:
    """Where a version comes from: TrainingJob, data, parents.

    Of a ModelVersion by its name, or of what runs on a node.
    """
    if (model_version is None) == (node is None):
        raise click.UsageError("name a ModelVersion, or a node with --node")
    wanted = [model_version] if model_version is not None else _running(session, str(node))
    versions = {each["metadata"]["name"]: each for each in session.kubectl.list(MODEL_VERSIONS)}
    training_jobs = {each["metadata"]["name"]: each for each in session.kubectl.list(TRAINING_JOBS)}
    if model_version is not None and model_version not in versions:
        where = f"in namespace {session.kubectl.namespace}"
        raise NotFound(f"no ModelVersion {model_version} {where}.{near(model_version, versions)}")
    found = [ancestry(name, versions, training_jobs) for name in wanted]
    document = [[asdict(each) for each in line] for line in found]
    session.show(document, lambda: Group(*(told(line, node) for line in found)))


def _running(session: Session, node: str) -> list[str]:
    """The ModelVersions that pods of Rollouts run on a node of the namespace."""
    of_operator = {names.MODEL, names.VERSION}  # labels that somebody's copy of a pod may lack
    labelled = session.kubectl.list(PODS, names.ROLLOUT)
    every = [pod for pod in labelled if of_operator <= pod["metadata"]["labels"].keys()]
    here = [pod["metadata"]["labels"] for pod in every if node_of(pod) == node]
    if not here:
        there = {node_of(pod) for pod in every} - {""}
        where = f"namespace {session.kubectl.namespace}"
        raise NotFound(f"no Rollout of {where} has a pod on node {node}.{near(node, there)}")
    return sorted({f"{labels[names.MODEL]}-{labels[names.VERSION]}" for labels in here})


def told(line: list[Ancestor], node: str | None = None) -> Tree:
    """As a tree: the version, beneath it what it was made of, and last its parent."""
    head = f"node {node}: {line[0].name}" if node is not None else line[0].name
    root = Tree(_head(line[0], head), guide_style="dim")
    branch = root
    for number, each in enumerate(line):
        if number:
            branch = branch.add(_head(each, f"parent {each.name}"))
        _facts(branch, each)
    return root


def _head(each: Ancestor, said: str) -> Text:
    gone = "" if each.known else "  (its ModelVersion is gone: nothing more is known)"
    mode = f"  {each.mode}" if each.mode else ""
    figures = "  ".join(f"{name} {value}" for name, value in (each.metrics or {}).items() if name.startswith("map"))
    return Text.assemble((said, "bold"), mode, (f"  {figures}" if figures else "", "dim"), (gone, "yellow"))


def _facts(branch: Tree, each: Ancestor) -> None:
    if each.training_job:
        gone = "" if each.training_job_known else " (gone)"
        branch.add(Text(f"TrainingJob {each.training_job}{gone}"))
    if each.retrained_for:
        branch.add(Text(f"retrained for {each.retrained_for}"))
    if each.checkpoint:
        branch.add(Text(f"checkpoint {each.checkpoint}"))
    if each.data:
        data = branch.add(Text(f"data {each.data}"))
        for source in each.sources if len(each.sources) > 1 else ():
            amount = f", {source.images:,} images" if source.images is not None else ""
            data.add(Text(f"{source.name} sha256 {source.sha256[:12]}{amount}"))
    if each.measured_on:
        branch.add(Text(f"measured on {each.measured_on}"))
    if each.known and not (each.training_job or each.data or each.checkpoint):
        branch.add(Text("no lineage recorded: it was not created by a TrainingJob", style="dim"))
