"""Objects as they are now, kept up to date by watches: one child of kubectl and one thread for each kind."""

import json
import threading
import time
from collections.abc import Mapping
from subprocess import Popen
from types import TracebackType
from typing import Self

from kubectl_modelfleet.failures import FAULTY, Failure, Forbidden, ServerFault, Unreachable
from kubectl_modelfleet.kubectl import Json, Kubectl, end
from kubectl_modelfleet.kubectl import failure as failed

_PAUSE = 2.0  # seconds before a stream that broke is begun again
_SERVED = 10.0  # seconds after which a watch that breaks was none that the API server refused


class Streams:
    """`asked`: kind -> path and query of its list. A stream that ends is begun again from a new list.

    A Failure at the first list of a kind ends the use: it is raised by `wait`. Later ones are told (`trouble`): an API
    server that does not answer is waited out, for a picture that stands still says more than a command that ended. One
    that answers with an error for a minute without a break ends it: that need not ever be over.
    """

    def __init__(self, kubectl: Kubectl, asked: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        self._kubectl = kubectl
        self._asked = asked
        self._objects: dict[str, dict[str, Json]] = {}
        self._changed = threading.Condition()
        self._news = 0
        self._taken = 0
        self._failure: Failure | None = None
        self._trouble: dict[str, str] = {}
        self._children: list[Popen[str]] = []
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._follow, args=(kind,), daemon=True) for kind in asked]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        with self._changed:
            for child in self._children:
                child.terminate()  # its thread sees the end of its lines
        for thread in self._threads:
            thread.join(5)

    def objects(self, kind: str) -> list[Json]:
        """The objects of a kind, by name."""
        with self._changed:
            return [found for _, found in sorted(self._objects.get(kind, {}).items())]

    def seen(self, kind: str) -> bool:
        """Whether this kind was listed already."""
        with self._changed:
            return kind in self._objects

    @property
    def trouble(self) -> str:
        """Why what is shown is no longer kept up to date; "" where it is."""
        with self._changed:
            return " ".join(dict.fromkeys(self._trouble.values()))

    def wait(self, most: float) -> None:
        """Return when something changed, at the latest after so many seconds. Raises the Failure of a first list."""
        with self._changed:
            self._changed.wait_for(lambda: self._news != self._taken or self._failure is not None, most)
            self._taken = self._news
            if self._failure is not None:
                raise self._failure

    def _follow(self, kind: str) -> None:
        since: float | None = None  # it answers with an error
        while not self._closed.is_set():
            try:
                self._once(kind)
                since = None
            except Failure as failure:
                now = time.monotonic()
                if isinstance(failure, Unreachable) and not isinstance(failure, ServerFault):
                    since = None
                elif since is None:
                    since = now
                ends = not self.seen(kind) or isinstance(failure, Forbidden)
                if ends or (since is not None and now - since > FAULTY):
                    with self._changed:
                        self._failure = failure
                        self._changed.notify_all()
                    return
                self._tell(kind, str(failure))
            self._closed.wait(_PAUSE)

    def _tell(self, kind: str, trouble: str) -> None:
        with self._changed:
            if self._trouble.get(kind, "") != trouble:
                self._trouble[kind] = trouble
                self._news += 1
                self._changed.notify_all()

    def _once(self, kind: str) -> None:
        """List, and watch until the stream ends."""
        path, query = self._asked[kind]
        listed = self._kubectl.raw(path, **query)
        self._put(kind, {item["metadata"]["name"]: item for item in listed["items"]})
        child = self._kubectl.watch(path, **query, resourceVersion=listed["metadata"]["resourceVersion"])
        with self._changed:
            self._children.append(child)
        try:
            if not self._closed.is_set():
                self._read(kind, child)
        finally:
            with self._changed:
                self._children.remove(child)
            end(child)

    def _read(self, kind: str, child: Popen[str]) -> None:
        """Take what a watch says until it ends. Raises Failure where it was refused; one that breaks later (a load
        balancer cuts it, the API server stops) is over as any other: the next list says whether something is wrong."""
        begun = time.monotonic()
        assert child.stdout is not None
        assert child.stderr is not None
        for line in child.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # the connection broke in the middle of a line: a new list
                return
            if event["type"] == "ERROR":  # too old: a new list
                return
            if event["type"] != "BOOKMARK":
                self._take(kind, event["type"], event["object"])
        said = child.stderr.read()
        if said and not self._closed.is_set() and time.monotonic() - begun < _SERVED:
            raise failed(said)

    def _take(self, kind: str, type: str, found: Json) -> None:
        with self._changed:
            if type == "DELETED":
                self._objects[kind].pop(found["metadata"]["name"], None)
            else:
                self._objects[kind][found["metadata"]["name"]] = found
            self._news += 1
            self._changed.notify_all()

    def _put(self, kind: str, found: dict[str, Json]) -> None:
        with self._changed:
            self._objects[kind] = found
            self._trouble.pop(kind, None)
            self._news += 1
            self._changed.notify_all()
