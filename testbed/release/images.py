"""`make images`: the four images for a registry, by whichever builder of images this machine has.

Nothing here chooses an architecture: without ``--platform`` the builder builds for its own machine. With several of
them each name becomes a manifest list, of which every node pulls its own.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from harness.images import stage
from harness.paths import REPOSITORY
from release import materials

BUILDERS = ("buildah", "podman", "docker")
CONTAINERFILES = {
    "operator": "operator/Containerfile",
    "agent": "agent-image/Containerfile",
    "labeler": "labeler-image/Containerfile",
    "trainer": "trainer-image/Containerfile",
}
DEMO = {"demo": "testbed/images/demo/Containerfile"}  # what `make demo CONTEXT=...` runs beside them


def version() -> str:
    """The version of this checkout, which is the images' tag and the chart's."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Build them all, then push them all; returns the exit code of the first that fails.

    Raises CalledProcessError where what is in one can't be listed.
    """
    parser = argparse.ArgumentParser(prog="make images")
    parser.add_argument("--registry", required=True, help="registry and path, for example registry.example/vision")
    parser.add_argument("--builder", help=f"one of {', '.join(BUILDERS)}, or a command that takes their options")
    parser.add_argument(
        "--platform", help="for example linux/arm64 or linux/amd64,linux/arm64; by default that of the builder"
    )
    parser.add_argument("--base", help="in place of python:3.12-slim")
    parser.add_argument("--push", action="store_true")
    parser.add_argument(
        "--materials", type=Path, help="a folder for each image's bill of materials, with what its base image has"
    )
    parser.add_argument("--demo", action="store_true", help="the image of the demo's services, too; takes Go")
    parser.add_argument("--only", action="append", choices=[*CONTAINERFILES, *DEMO])
    options = parser.parse_args(arguments)
    if not options.registry.strip("/"):
        parser.error("where are the images to go? make images REGISTRY=registry.example/vision")
    builder = options.builder or next((each for each in BUILDERS if shutil.which(each)), None)
    if builder is None:
        parser.error(f"none of {', '.join(BUILDERS)} is on the PATH: install one of them")
    several = "," in (options.platform or "")
    if several and options.materials:
        parser.error("a bill of materials is of one platform: build them one by one, each with a MATERIALS of its own")
    more = [
        *([f"--platform={options.platform}"] if options.platform else []),
        *([f"--build-arg=BASE={options.base}"] if options.base else []),
    ]
    wanted = CONTAINERFILES | (DEMO if options.demo or "demo" in (options.only or ()) else {})
    names = {each: f"{options.registry.rstrip('/')}/{each}:{version()}" for each in options.only or wanted}
    for each, name in names.items():
        if failed := _build(builder, REPOSITORY / wanted[each], _named(builder, name, several), more):
            return failed
    for each, name in names.items() if options.materials else ():
        options.materials.mkdir(parents=True, exist_ok=True)
        bill = options.materials / f"{each}-image-{version()}.cdx.json"
        print(f"listing what is in {name}: {bill}", flush=True)
        materials.of_image(builder, name, each, bill)
    for name in names.values() if options.push else ():
        print(f"pushing {name}", flush=True)
        if failed := subprocess.run([builder, *_push(builder, name, several)], check=False).returncode:
            return failed
    print("\n".join(("built" + " and pushed" * options.push + ":", *names.values())))
    return 0


def _is_docker(builder: str) -> bool:
    return Path(builder).name == "docker"


def _named(builder: str, name: str, several: bool) -> str:
    """What the result is called. docker makes a list of several platforms on its own; the others are asked for one."""
    return f"--manifest={name}" if several and not _is_docker(builder) else f"--tag={name}"


def _push(builder: str, name: str, several: bool) -> list[str]:
    """A list goes with all that it lists."""
    if several and not _is_docker(builder):
        return ["manifest", "push", "--all", name, f"docker://{name}"]
    return ["push", name]


def _build(builder: str, containerfile: Path, named: str, more: Sequence[str]) -> int:
    print(f"building {named.partition('=')[2]} by {builder}", flush=True)
    with tempfile.TemporaryDirectory(prefix="modelfleet-context-") as folder:
        context = Path(folder)
        stage(containerfile, context)
        command = [builder, "build", f"--file={context / containerfile.relative_to(REPOSITORY)}", named]
        return subprocess.run([*command, *more, folder], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
