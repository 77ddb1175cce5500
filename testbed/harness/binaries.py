"""The cluster's programs, built from pinned Go modules once per user and kept in the cache.

Each module below ``testbed/tools`` is a ``go.mod`` with ``tool`` directives, or with a program of ours. What is built
lies in a folder whose name is a hash of everything the result depends on, so that a cache never goes stale and never
needs a clean.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache as remembered
from pathlib import Path

from harness.lifetime import CommandFailed, run
from harness.paths import TOOLS, cache, locked
from harness.progress import step

KUBERNETES_VERSION = "v1.35.4"
KUEUE_VERSION = "v0.17.0"
_VERSION_PACKAGE = "k8s.io/component-base/version"
# what a debugger reads is stripped from the program all the same, and is an eighth of the compiler's time
_NO_DEBUGGER = "-dwarf=false"


@dataclass(frozen=True)
class Module:
    """A folder below ``tools/`` and what it builds.

    ``programs`` maps the name of each program to its Go package; ``expected`` is the build time on two cores with an
    empty Go cache, downloads included. ``tags`` are Go build tags. What is ``optional`` is built when it is asked
    for by name. ``as_is`` is compiled without optimisations, in two thirds of the compiler's time: for what does little
    work in few tests.
    """

    name: str
    programs: Mapping[str, str]
    expected: str
    ldflags: str = ""
    tags: str = ""
    optional: bool = False
    as_is: bool = False

    @property
    def gcflags(self) -> str:
        """What the compiler of every package is told."""
        return f"-N -l {_NO_DEBUGGER}" if self.as_is else _NO_DEBUGGER


MODULES = (
    Module(
        "kubernetes",
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-proxy",
                "kube-scheduler",
                "kubectl",
                "kubelet",
            )
        },
        expected="10 min on 2 cores",
        # without these the version reads v0.0.0, and clients that look at it misbehave
        ldflags=" ".join(
            f"-X {_VERSION_PACKAGE}.{name}={value}"
            for name, value in {
                "gitVersion": KUBERNETES_VERSION,
                "gitMajor": KUBERNETES_VERSION.lstrip("v").split(".")[0],
                "gitMinor": KUBERNETES_VERSION.split(".")[1],
            }.items()
        ),
    ),
    Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, expected="1 min"),
    Module("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, expected="2 min"),
    Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}, expected="2 min"),
    # Debian's Prometheus has no discovery of Kubernetes pods; of the other providers we need none
    Module(
        "prometheus",
        {name: f"github.com/prometheus/prometheus/cmd/{name}" for name in ("prometheus", "promtool")},
        expected="3 min",
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
    # the newest whose module has the web interface's files in it: later ones do not build from the proxy
    Module(
        "alertmanager",
        {"alertmanager": "github.com/prometheus/alertmanager/cmd/alertmanager"},
        expected="1 min",
        as_is=True,
    ),
    # the rival of `make bench-scale`: built when that asks for it
    Module(
        "argo-rollouts",
        {"rollouts-controller": "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"},
        expected="5 min",
        optional=True,
    ),
    # Argo CD's controllers and Lua engine behind a main function of ours: its own embeds files that the module lacks
    Module("argocd", {"argocd": "."}, expected="4 min", optional=True, as_is=True),
    # reads manifests by the API server's own schemas, without a server
    Module("kubeconform", {"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}, expected="20 s"),
    # `make package` writes the images' bills of materials with it
    Module("syft", {"syft": "github.com/anchore/syft/cmd/syft"}, expected="1 min", optional=True),
    # both in one module, so that they share what they have in common: most of Kubernetes' client libraries. Long to
    # build and needed by tests/cluster/test_flux.py alone: built behind the other tests, when that asks for it
    Module(
        "flux",
        {name: f"github.com/fluxcd/{name}" for name in ("kustomize-controller", "source-controller")},
        expected="6 min",
        optional=True,
        as_is=True,
    ),
    # another server of the query API: the tests of gate and drift with recorded fleets ask for it
    Module(
        "victoriametrics",
        {"victoria-metrics": "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"},
        expected="1.5 min",
        optional=True,
        as_is=True,
    ),
    # without the flag its log says v0.0.0-main. Needed by two tests named test_kueue.py: built when one asks for it
    Module(
        "kueue",
        {"kueue": "sigs.k8s.io/kueue/cmd/kueue"},
        expected="5 min",
        ldflags=f"-X sigs.k8s.io/kueue/pkg/version.GitVersion={KUEUE_VERSION}",
        optional=True,
        as_is=True,
    ),
    # enforces NetworkPolicies, as the cluster's own network does not: tests/cluster/test_network_policy.py asks for it
    Module(
        "kube-router",
        {"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"},
        expected="4 min",
        optional=True,
        as_is=True,
    ),
    Module("versitygw", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"}, expected="1.5 min"),
    # what answers at gs:// in the tests of that alone; Azurite, at az://, comes by npm (cloud_stores.py)
    Module(
        "fake-gcs",
        {"fake-gcs-server": "github.com/fsouza/fake-gcs-server"},
        expected="3 min on 2 cores",
        optional=True,
        as_is=True,
    ),
    # a real OCI registry, and what users push with; the tests of oci:// addresses alone ask for them
    Module(
        "distribution",
        {"registry": "github.com/distribution/distribution/v3/cmd/registry"},
        expected="2.5 min",
        optional=True,
        as_is=True,
    ),
    Module("oras", {"oras": "oras.land/oras/cmd/oras"}, expected="30 s", optional=True, as_is=True),
)
ASSETS = ("kube-apiserver", "etcd", "kubectl")  # what KUBEBUILDER_ASSETS holds by convention


class BuildFailed(Exception):
    """A program could not be built; the message holds the end of the compiler's output."""


def ensure(names: Iterable[str] | None = None) -> Path:
    """Return a folder with the named programs (all of them by default), building what the cache does not hold yet.

    Programs that ``KUBEBUILDER_ASSETS`` holds (kube-apiserver, etcd, kubectl) are taken from there.

    Raises:
        BuildFailed: Go is missing, or a build failed.
    """
    wanted = sorted(
        set(
            names
            if names is not None
            else (name for module in MODULES if not module.optional for name in module.programs)
        )
    )
    found = {name: path(name) for name in wanted}
    # modules have folders of their own, so that a change to one does not build the others; this folder holds links
    digest = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:16]
    folder = cache() / "bin" / f"programs-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in found.items():
        with contextlib.suppress(FileExistsError):
            (folder / name).symlink_to(target)
    return folder


def path(name: str) -> Path:
    """Return the path of one program, building its module if the cache does not hold it. Raises BuildFailed."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and name in ASSETS and (Path(assets) / name).is_file():
        return Path(assets) / name
    for module in MODULES:
        if name in module.programs:
            return _ensure_module(module) / name
    raise BuildFailed(f"no module below {TOOLS} builds {name}")


def folder_of(module: Module) -> Path:
    """Where the cache keeps what ``module`` builds, whether or not it is there."""
    source = TOOLS / module.name
    digest = hashlib.sha256()
    for part in (
        (source / "go.mod").read_bytes(),
        (source / "go.sum").read_bytes(),
        _go_version(source).encode(),
        f"{module.ldflags} {module.tags} {module.gcflags}".encode(),
        *(path.read_bytes() for path in sorted(source.glob("*.go"))),
    ):
        digest.update(hashlib.sha256(part).digest())
    return cache() / "bin" / f"{module.name}-{digest.hexdigest()[:16]}"


def module_source(module: str, package: str) -> Path:
    """Return the folder of a Go module that ``module`` builds from: its manifests lie there. It is read-only.

    Raises:
        BuildFailed: it can't be downloaded.
    """
    try:
        run(["go", "mod", "download", package], cwd=TOOLS / module)
        return Path(run(["go", "list", "-m", "-f={{.Dir}}", package], cwd=TOOLS / module).strip())
    except CommandFailed as error:
        raise BuildFailed(str(error)) from error


def _ensure_module(module: Module) -> Path:
    folder = folder_of(module)
    if folder.is_dir():
        return folder
    with locked(cache() / "bin" / f"{module.name}.lock", f"another process builds {module.name}; waiting for it"):
        if not folder.is_dir():
            with step(f"building {module.name}", module.expected):
                _build(module, folder)
    return folder


def _build(module: Module, folder: Path) -> None:
    """Build into a folder beside the final one and rename, so that a half-built folder is never taken for a whole."""
    for abandoned in folder.parent.glob(f".{module.name}-*"):  # by a build that was killed; the lock is ours now
        shutil.rmtree(abandoned, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{module.name}-", dir=folder.parent))
    try:
        if len(module.programs) > 1:
            output, package = f"{staging}/", "tool"  # every tool of the module, sharing one build
        else:
            [(name, package)] = module.programs.items()
            output = str(staging / name)
        go_build(TOOLS / module.name, package, output, ldflags=module.ldflags, tags=module.tags, gcflags=module.gcflags)
        staging.chmod(0o755)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def go_build(source: Path, package: str, output: str, *, ldflags: str = "", tags: str = "", gcflags: str = "") -> None:
    """Build static, stripped, reproducible Go programs with the proxy and toolchain settings of the environment.

    Raises:
        BuildFailed: with the end of the compiler's output.
    """
    flags = " ".join(part for part in (os.environ.get("GOFLAGS", ""), "-mod=readonly", "-buildvcs=false") if part)
    command = [
        "go",
        "build",
        "-trimpath",
        f"-tags={tags}",
        f"-gcflags=all={gcflags}",
        "-ldflags",
        f"-s -w {ldflags}".strip(),
        "-o",
        output,
        package,
    ]
    try:
        # GOGC: a compiler is done before it would need the memory back
        run(command, cwd=source, env={"GOGC": "400"} | os.environ | {"CGO_ENABLED": "0", "GOFLAGS": flags})
    except CommandFailed as error:
        raise BuildFailed(f"{error}\n(in {source})") from error


@remembered
def _go_version(source: Path) -> str:
    """The toolchain that would build ``source``: GOTOOLCHAIN may pick a newer one than the installed."""
    if shutil.which("go") is None:
        raise BuildFailed("Go is missing: install Go 1.25 or later (go.dev/dl) and put it on the PATH")
    return run(["go", "env", "GOVERSION", "GOOS", "GOARCH"], cwd=source)
