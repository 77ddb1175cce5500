"""For all tests: what earlier ones left behind is not collected in the middle of the next."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_garbage_of_others() -> Iterator[None]:
    """Tests that nest text until Python gives up (`"[" * 100_000`) make so many lists that garbage is collected at the
    bottom of it, where no finalizer has any stack left: the test then fails by what others left behind. To freeze
    costs nothing; what is garbage is collected after the test."""
    gc.freeze()
    yield
    gc.unfreeze()
