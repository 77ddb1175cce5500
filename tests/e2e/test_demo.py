"""The demo's chapters as a test: one test a chapter, in order, on one cluster. A chapter after a failed one fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from e2e.chapters import CHAPTERS, Chapter
from e2e.demo import summarise
from e2e.story import Story
from e2e.telling import happens
from e2e.world import SCRAPED, World
from harness import Cluster
from worlds import secrecy

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(Console(width=160))


@pytest.fixture(scope="module")
def world(story: Story) -> Iterator[World]:
    world = World(Cluster(nodes=True, scrape_interval=SCRAPED))
    try:
        yield world
        summarise(world, story)
    finally:
        world.cluster.stop()


@pytest.fixture(scope="module")
def overheard() -> set[str]:
    """Planted secrets that were in a log after some chapter: the logs of pods that end are gone at the end."""
    return set()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.run.__name__)
def test_chapter(chapter: Chapter, world: World, story: Story, overheard: set[str]) -> None:
    happens(chapter, world, story)
    if world.planted:
        overheard.update(secrecy.leaks(world.planted, secrecy.logs(world.cluster)))


def test_no_secret_was_said(world: World, overheard: set[str]) -> None:
    """In no log, no object but Secrets, no Event, no metric, and no tool's answer."""
    assert len(world.planted) >= 6
    said = (*secrecy.objects(world.cluster), *secrecy.metrics(world.cluster.prometheus))
    assert not overheard | set(secrecy.leaks(world.planted, said))
    kept = world.cluster.kubectl("get", "secrets", "--all-namespaces", "--output=yaml")
    assert secrecy.leaks(world.planted, [("Secrets", kept)]), "it would not have been found"
