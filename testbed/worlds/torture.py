"""An operator for all namespaces behind a proxy with a meddler, and stories that go on in the namespaces meanwhile."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Cluster, OperatorProcess
from harness.processes import wait_until
from worlds import chaos_stories as stories
from worlds.api_faults import PATIENCE as REQUEST_TIMEOUT
from worlds.api_faults import Guard, Scissors
from worlds.chaos_invariants import Serving
from worlds.chaos_stories import Places, Seen, Story
from worlds.kube_watch import Watch
from worlds.operator_proxy import ApiProxy, Behind
from worlds.rollout import LABEL

PATIENCE = 600.0 if "MODELFLEET_CHAOS" in os.environ else 240.0
"""Seconds; with every n there is three times as much to do at once."""


@dataclass
class Torture:
    """An operator for all namespaces, behind a proxy with a meddler; and what goes on in the namespaces."""

    cluster: Cluster
    proxy: ApiProxy
    guard: Guard
    operator: OperatorProcess
    places: Places
    serving: Serving

    @property
    def audit(self) -> Path:
        return self.cluster.control_plane.audit_log

    def until(
        self, holds: Callable[[dict[str, Seen]], Iterable[str]], what: str, patience: float = PATIENCE
    ) -> dict[str, Seen]:
        """Let time pass until no namespace is left of those that `holds` gives; what there is then."""
        last: list[dict[str, Seen]] = []
        left: list[str] = []

        def over() -> bool:
            last[:] = [self.places.look()]
            left[:] = holds(last[0])
            return not left

        came = wait_until(over, patience, interval=1)
        assert came, (
            f"{what} did not come: {left[:5]}; {[seen.end() for space, seen in last[0].items() if space in left][:2]}"
        )
        return last[0]

    def until_all(self, namespaces: Iterable[str], until: Callable[[Seen], bool], what: str) -> None:
        self.until(lambda seen: [each for each in namespaces if not until(seen[each])], what)

    def until_quiet(self) -> dict[str, Seen]:
        """Until nothing was written for three seconds."""
        before, since = sum(self.guard.writes.values()), time.monotonic()

        def quiet() -> bool:
            nonlocal before, since
            if (now := sum(self.guard.writes.values())) != before:
                before, since = now, time.monotonic()
            return time.monotonic() - since > 3

        assert wait_until(quiet, PATIENCE), "it goes on writing"
        return self.places.look()

    def begin(self, *told: Story) -> list[str]:
        """A namespace for each, in which the story can begin."""
        made = self.places.add(len(told))
        for story, its in _by_story(told, made):
            self.places.apply(story.begin, its)
        for story, its in _by_story(told, made):
            self.until_all(its, story.begun, "the beginning")
            story.prepare(self.places, its)
        self.until_quiet()
        return made

    def calm(self, *told: Story) -> list[Undisturbed]:
        """How each of the stories goes without faults."""
        spaces = self.begin(*told)
        start, before = self.audit.stat().st_size, dict(self.guard.writes)
        self.go_on(told, spaces)
        seen = self.end(told, spaces)
        made = stories.made_and_removed(self.audit, start, spaces)
        return [
            Undisturbed(self.guard.writes[space] - before.get(space, 0), seen[space].end(), made[space])
            for space in spaces
        ]

    def go_on(self, told: Sequence[Story], spaces: Sequence[str]) -> None:
        """What happens in each story after its beginning."""
        for story, its in _by_story(told, spaces):
            self.places.apply(story.act, its)

    def killed_after(
        self,
        scissors: Scissors,
        story: Story,
        moments: Mapping[str, int],
        meanwhile: Callable[[dict[str, Seen]], None] = lambda seen: None,
    ) -> set[str]:
        """The story goes on, and the operator is cut off from each of these namespaces after so many writes there; once
        it is from all that have not ended before, it is killed, and started again when `meanwhile` is over. Those that
        it was cut off from."""
        scissors.arm(moments)
        self.go_on([story] * len(moments), list(moments))
        seen = self.until(
            lambda seen: [each for each in moments if each not in scissors.cut and not story.ended(seen[each])],
            "the cuts",
        )
        cut = set(scissors.cut)
        self.operator.kill9()
        scissors.mend()
        meanwhile(seen)
        self.operator.start()
        return cut

    def end(self, told: Sequence[Story], spaces: Sequence[str]) -> dict[str, Seen]:
        """Until each story has ended, and nothing is written any more."""
        for story, its in _by_story(told, spaces):
            self.until_all(its, story.ended, "the end")
        return self.until_quiet()

    def must_end_as(
        self, calm: Sequence[Undisturbed], told: Sequence[Story], spaces: Sequence[str], start: int
    ) -> None:
        """Each story ends like its undisturbed run, creates and deletes as much since the audit log had this size, and
        at no write is anything as it must not be."""
        self.end(told, spaces)

        def unlike(seen: dict[str, Seen]) -> list[str]:
            ends = zip(spaces, calm, strict=True)
            return [said for space, wanted in ends for said in _differences(space, wanted.end, seen[space].end())]

        self.until(unlike, "the same end", patience=60)
        made = stories.made_and_removed(self.audit, start, spaces)
        for space, wanted in zip(spaces, calm, strict=True):
            assert made[space] == wanted.made, f"in {space}: {made[space]}, and undisturbed {wanted.made}"
        assert self.guard.broken == []
        self.serving.check()


@dataclass(frozen=True)
class Undisturbed:
    """How many writes there were, what the end was, and what was created and deleted how often."""

    writes: int
    end: stories.Json
    made: Counter[str]


def _differences(where: str, wanted: stories.Json, found: stories.Json) -> Iterator[str]:
    for key in wanted:
        if wanted[key] == found[key]:
            continue
        if isinstance(wanted[key], dict) and wanted[key].keys() == found[key].keys():
            yield from _differences(f"{where}, {key}", wanted[key], found[key])
        else:
            yield f"{where}, {key}: {found[key]}, and undisturbed {wanted[key]}"


def _by_story(told: Sequence[Story], spaces: Sequence[str]) -> list[tuple[Story, list[str]]]:
    return [
        (story, [space for each, space in zip(told, spaces, strict=True) if each is story])
        for story in dict.fromkeys(told)
    ]


@contextmanager
def torture(
    cluster: Cluster,
    name: str,
    guard: Guard,
    folder: Path,
    prometheus: str,
    settings: Mapping[str, Any] | None = None,
    *,
    watched: bool = True,
) -> Iterator[Torture]:
    """The nodes of all stories, the proxy, and the operator with these settings; taken down at the end.

    The operator serves all namespaces: with a watch for each of some dozen, the watches would be most of the work.
    `watched`: the pods are watched for nodes without one; that can't outlive the API server.
    """
    nodes = [
        *cluster.kwok.add_nodes(stories.NODES["canary"], f"canary-{name}", {LABEL: "chaos", "group": "canary"}),
        *cluster.kwok.add_nodes(stories.NODES["fleet"], f"edge-{name}", {LABEL: "chaos"}),
    ]
    proxy = ApiProxy(cluster.operator_kubeconfig, folder, guard).start()
    usual = {
        "prometheus": {"url": prometheus},
        "workers": 64,  # a request that is never answered keeps one
        "backoff": {"base": "200ms", "limit": "2s"},
        "api": {"requestTimeout": REQUEST_TIMEOUT},
    }
    behind = Behind(cluster.supervisor, proxy.kubeconfig)
    operator = OperatorProcess(behind, {**usual, **(settings or {})}, name=f"operator-{name}")
    places = Places(cluster, f"chaos-{name}")
    serving = Serving(stories.NODES, stories.ALLOWED, places.prefix)
    try:
        operator.start()
        watch = Watch(cluster, "pods", serving.on_change, "modelfleet.dev/rollout=line")
        with watch if watched else nullcontext():
            yield Torture(cluster, proxy, guard, operator, places, serving)
    finally:
        if operator.alive:
            operator.kill9()
        places.remove()
        proxy.stop()
        cluster.kwok.remove_nodes(nodes)
