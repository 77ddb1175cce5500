"""The demo's chapters as a test: one test a chapter, in order, on one cluster. A chapter after a failed one fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from e2e.chapters import CHAPTERS, Chapter
from e2e.demo import evidence, summarise
from e2e.story import Story
from e2e.world import SCRAPED, World
from harness import Cluster

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


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.run.__name__)
def test_chapter(chapter: Chapter, world: World, story: Story) -> None:
    if not all(step.happened for step in story.took):
        pytest.fail("an earlier chapter did not happen")
    with story.step(chapter.title, chapter.expected):
        try:
            chapter.run(world, story)
        except Exception:
            story.console.print(evidence(world), markup=False, highlight=False)
            raise
