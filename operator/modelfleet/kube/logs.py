"""The last lines of the logs of running pods: how a training job's progress gets here without a poll.

Concurrency: one task per followed pod reads a stream and keeps the last JSON lines; `lines` reads what is there. A
stream that breaks (a network hiccup, a log rotation, a restarted API server) is opened again from the last timestamp,
with backoff; lines that come twice are recognised by their timestamp (nanoseconds). A task ends when the container
has ended and its log was read to the end, or the pod is gone; what it collected stays until `forget`.

Nothing depends on this for correctness: after a restart of the operator the same lines are read again, and the result
of a run comes in the pod's termination message.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import aclosing

from modelfleet.kube.client import Client
from modelfleet.kube.errors import ApiError, NotFound

log = logging.getLogger(__name__)

KEPT = 200
"""JSON lines kept for each pod."""

_FIRST_READ = 5_000  # lines of what a container wrote before we came; epochs are one line each, the rest is chatter
_BACKOFF = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds between attempts; the last one repeats

Ended = Callable[[str, str, str, str], bool]
"""Whether a container will write no more: (namespace, pod, uid of the pod, container)."""


class LogTails:
    """Follows the logs of pods. `ended` tells (from the store) that a container has terminated or its pod is gone."""

    def __init__(self, client: Client, ended: Ended, *, backoff: tuple[float, ...] = _BACKOFF) -> None:
        self._client = client
        self._ended = ended
        self._backoff = backoff
        self._lines: dict[str, deque[str]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def follow(
        self, pod_namespace: str, pod_name: str, pod_uid: str, container: str, on_line: Callable[[], None]
    ) -> None:
        """Begin to follow a container's log; nothing happens when it is followed already, or was to its end.

        `on_line` is called after each new line that starts with "{", and once when the log has ended.
        """
        if pod_uid in self._tasks:
            return
        self._lines[pod_uid] = deque(maxlen=KEPT)
        self._tasks[pod_uid] = asyncio.create_task(
            self._follow(pod_namespace, pod_name, pod_uid, container, on_line), name=f"log {pod_namespace}/{pod_name}"
        )

    def lines(self, pod_uid: str) -> tuple[str, ...]:
        """The last lines that start with "{", oldest first; empty for a pod that is not followed."""
        return tuple(self._lines.get(pod_uid, ()))

    def forget(self, pod_uid: str) -> None:
        """Stop following and drop what was read."""
        self._lines.pop(pod_uid, None)
        task = self._tasks.pop(pod_uid, None)
        if task is not None:
            task.cancel()

    def followed(self) -> tuple[str, ...]:
        """The uids of all pods that are, or were, followed and not forgotten."""
        return tuple(self._tasks)

    async def close(self) -> None:
        """Stop following everything."""
        tasks = tuple(self._tasks.values())
        for uid in self.followed():
            self.forget(uid)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, namespace: str, pod: str, uid: str, container: str, on_line: Callable[[], None]) -> None:
        since: str | None = None
        attempt = 0
        while True:
            ended = self._ended(namespace, pod, uid, container)  # before reading: then an end of the log is the end
            try:
                tail = _FIRST_READ if since is None else None
                async with aclosing(
                    self._client.follow_log(namespace, pod, container, since=since, tail_lines=tail)
                ) as stream:
                    async for timestamp, text in stream:
                        if since is not None and timestamp <= since:
                            continue
                        since, attempt = timestamp, 0
                        if text.startswith("{"):
                            self._lines[uid].append(text)
                            on_line()
                if ended:
                    break
            except NotFound:
                break
            except ApiError as error:
                if ended:  # it never started, or its log can't be had any more
                    log.info("log of pod %s/%s could not be read to its end: %s", namespace, pod, error.message)
                    if attempt >= len(self._backoff) - 1:
                        break
            await asyncio.sleep(self._backoff[min(attempt, len(self._backoff) - 1)])
            attempt += 1
        on_line()
