"""A chapter of the demo as a test: what both the demo's tests do with each."""

from __future__ import annotations

import pytest

from e2e.chapters import Chapter
from e2e.demo import evidence
from e2e.story import Story
from e2e.world import World


def happens(chapter: Chapter, world: World, story: Story) -> None:
    """Tell it, with what the cluster says of it where it does not happen. Fails at once after one that did not."""
    if not all(step.happened for step in story.took):
        pytest.fail("an earlier chapter did not happen")
    with story.step(chapter.title, chapter.expected):
        try:
            chapter.run(world, story)
        except Exception:
            story.console.print(evidence(world), markup=False, highlight=False)
            raise
