"""Python's garbage collector, tuned to a store that is large and stays. Nearly nothing of ours is in cycles."""

import gc


def calm() -> None:
    """Let the collector look at young objects in large batches, and at the store hardly ever.

    A look at a large fleet makes tens of thousands of values that are gone with it; with the default of 700 the
    collector went through the whole store in the middle of it, for half of the time.
    """
    gc.set_threshold(50_000, 20, 100)


def freeze() -> None:
    """Leave alone what is there now, for good: what was listed at the start stays for long."""
    gc.collect()
    gc.freeze()
