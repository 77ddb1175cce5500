"""``python -m harness``: a cluster from the command line, what it is built of, and the trainer's own tests."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import everything, records
from harness.cluster import Cluster, ClusterFailed
from harness.lifetime import CommandFailed
from harness.processes import NotReady, ProcessDied, Supervisor
from harness.progress import say
from harness.trainer_tests import print_argument_table, run_trainer_tests


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a cluster that stays until `down`")
    up.add_argument("--state", type=Path, help="folder of the cluster; default: a new one below /tmp")
    up.add_argument("--nodes", type=int, default=0, help="real nodes to start (needs root)")
    up.add_argument("--kwok-nodes", type=int, default=0, help="simulated nodes to add")
    down = commands.add_parser("down", help="take a cluster down, and whatever crashed ones left")
    down.add_argument("--state", type=Path, help="folder of the cluster; default: all clusters of this user")
    commands.add_parser("status", help="list the clusters of this user")
    commands.add_parser("build", help="build what clusters and their pods need, and the cache does not hold")
    commands.add_parser("test-trainer", help="run the trainer's tests inside the trainer image")
    commands.add_parser("argument-table", help="print the table of training arguments, made inside the trainer image")
    options = parser.parse_args(arguments)
    try:
        match options.command:
            case "up":
                return _up(options.state, options.nodes, options.kwok_nodes)
            case "down":
                return _down(options.state)
            case "status":
                return _status()
            case "build":
                everything.build()
                return 0
            case "argument-table":
                return print_argument_table()
        return run_trainer_tests()
    except (ClusterFailed, CommandFailed, NotReady, ProcessDied) as error:
        say(str(error))
        return 1


def _up(state: Path | None, nodes: int, kwok_nodes: int) -> int:
    cluster = Cluster(state, nodes=nodes > 0, detached=True).start()
    try:
        for number in range(nodes):
            cluster.add_node(f"node-{number}")
        if kwok_nodes:
            cluster.add_kwok_nodes(kwok_nodes, "kwok")
    except BaseException:
        cluster.stop()
        raise
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    print(f"# take it down with: python -m harness down --state {cluster.state}")
    return 0


def _down(state: Path | None) -> int:
    for record in records.all_records():
        if state is None or record.state == state.absolute():
            say(f"taking down cluster {record.id} in {record.state}")
            records.stop(record)
    records.sweep()
    left = [record for record in records.all_records() if state is None or record.state == state.absolute()]
    return 1 if left else 0


def _status() -> int:
    for record in records.all_records():
        kind = "with nodes" if record.isolated else "without nodes"
        if not record.starter.alive():
            print(f"{record.id}  left over, {kind}, {record.state}")
            continue
        print(f"{record.id}  up, {kind}, {record.state}, keeper {record.keeper.pid}")
        for name, status in sorted(Supervisor.attach(record).processes().items()):
            print(f"    {name:32} {'running' if status.exit is None else f'exited {status.exit}'}  {status.log}")
    return 0
