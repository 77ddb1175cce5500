"""kubectl against one context, and ways from this process to Services of that cluster."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from e2e.borrowed.plan import Refused
from harness.lifetime import DYING_WITH_PARENT, CommandFailed, run
from harness.processes import wait_until


class Kubectl:
    """The kubectl on the PATH, with a kubeconfig that holds the one context alone."""

    def __init__(self, context: str, folder: Path) -> None:
        """Copy the context out of the user's kubeconfig, which is not touched.

        Raises:
            Refused: there is no kubectl, or no such context.
        """
        program = shutil.which("kubectl")
        if program is None:
            raise Refused("kubectl is not on the PATH: install it (kubernetes.io/docs/tasks/tools).")
        self.kubeconfig = folder / "kubeconfig"
        self._command = [program, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={folder}/kubectl-cache"]
        view = [program, "config", "view", "--minify", "--flatten", f"--context={context}"]
        try:
            text = run(view)
        except CommandFailed as error:
            known = run([program, "config", "get-contexts", "--output=name"], check=False).split()
            raise Refused(f"There is no context {context}; there are: {', '.join(known) or 'none'}.") from error
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(text)

    def __call__(self, *arguments: str | Path, input: str | bytes | None = None, check: bool = True) -> str:
        """What it printed. Raises CommandFailed with its words if it fails and ``check`` is set."""
        return run(self.command(*arguments), input=input, check=check)

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line."""
        return [*self._command, *(str(each) for each in arguments)]

    def get(self, *what: str) -> Any:
        """``kubectl get`` as parsed JSON; None where nothing is there."""
        text = self("get", *what, "--output=json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def names(self, *what: str) -> list[str]:
        """``kubectl get`` as kind/name, or namespace/name for ``--all-namespaces``."""
        found = (self.get(*what) or {}).get("items", ())
        return [f"{item['metadata'].get('namespace', item['kind'])}/{item['metadata']['name']}" for item in found]


class Forwards:
    """Ports of this machine, each a way to a Service; they end with the stack, or with this process."""

    def __init__(self, kubectl: Kubectl, namespace: str, folder: Path) -> None:
        self._kubectl = kubectl
        self._namespace = namespace
        self._folder = folder
        self._running: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}

    def address(self, service: str, port: int) -> str:
        """host:port on this machine, the same each time. One that has ended, as with its pod, is started again.

        Raises:
            CommandFailed: it does not come up within 30 s; with kubectl's words.
        """
        local, process = self._running.get(service, (_free_port(), None))
        if process is None or process.poll() is not None:
            self._running[service] = (local, self._start(service, local, port))
        return f"127.0.0.1:{local}"

    def stop(self) -> None:
        """End them all."""
        with ExitStack() as stack:
            for _, process in self._running.values():
                stack.callback(process.wait)
                process.terminate()
        self._running.clear()

    def _start(self, service: str, local: int, port: int) -> subprocess.Popen[bytes]:
        log = self._folder / f"forward-{service}.log"
        command = self._kubectl.command(
            f"--namespace={self._namespace}",
            "port-forward",
            "--address=127.0.0.1",
            f"service/{service}",
            f"{local}:{port}",
        )
        with log.open("wb") as sink:
            # a session of its own: Ctrl-C is for the demo, which stops it
            process = subprocess.Popen(
                [*DYING_WITH_PARENT, *command],
                stdout=sink,
                stderr=sink,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        up = wait_until(lambda: process.poll() is not None or "Forwarding from" in log.read_text(), 30)
        if not up or process.poll() is not None:
            process.kill()
            process.wait()
            raise CommandFailed(f"no way to service {service}: {log.read_text().strip()}")
        return process


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
