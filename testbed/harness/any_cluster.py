"""What programs that run beside a cluster need of it: the test cluster, or somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from harness.objects import Objects
from harness.processes import Supervisor


class AnyCluster(Protocol):
    """A cluster, and the supervisor of what runs beside it."""

    @property
    def supervisor(self) -> Supervisor:
        """Keeps the processes."""
        ...

    @property
    def address(self) -> str:
        """Where what the supervisor starts can listen, and the API server and this process reach it."""
        ...

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator."""
        ...

    @property
    def operator_kubeconfig(self) -> Path:
        """As whom the operator speaks to the API server."""
        ...

    @property
    def objects(self) -> Objects:
        """Its objects, without a kubectl."""
        ...

    def kubectl(self, *arguments: str | Path, input: str | None = None, check: bool = True) -> str:
        """Run kubectl."""
        ...
