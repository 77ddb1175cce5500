"""Many small objects moved side by side: a store takes milliseconds to answer each, and one by one they add up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AHEAD = 2  # items under way or waiting for each worker, so that memory is bounded whatever the number of items

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 16) -> Iterator[Result]:
    """The results of `function` in the order of `items`, which are taken only a little ahead of the caller.

    The first error of `function` is raised where its result would come; what was not begun by then is not done.
    """
    pool = ThreadPoolExecutor(workers)
    under_way: deque[Future[Result]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) >= _AHEAD * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
