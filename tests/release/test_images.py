"""`make images`: which builder is taken, what it is asked, and one real build with buildah."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from harness import buildah
from harness.lifetime import run
from release import images
from release.images import CONTAINERFILES, main, version


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs called podman and docker that only write down how they were called, alone on the PATH."""
    log = tmp_path / "calls"
    log.touch()
    for name in ("podman", "docker"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >> {log}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return log


def test_all_images_are_built_before_any_is_pushed(recorded: Path) -> None:
    assert main(["--registry=registry.example/vision/", "--push", "--platform=linux/arm64", "--base=python:3.13"]) == 0
    calls = [line.split() for line in recorded.read_text().splitlines()]
    names = [f"registry.example/vision/{each}:{version()}" for each in CONTAINERFILES]
    assert [call[:2] for call in calls] == [["podman", "build"]] * 4 + [["podman", "push"]] * 4
    assert [next(word for word in call if "--tag" in word) for call in calls[:4]] == [f"--tag={n}" for n in names]
    assert all({"--platform=linux/arm64", "--build-arg=BASE=python:3.13"} <= set(call) for call in calls[:4])
    assert [call[2] for call in calls[4:]] == names


@pytest.mark.parametrize(
    ("builder", "named", "pushed"),
    [
        ("podman", "--manifest=r/agent:{}", "manifest push --all r/agent:{} docker://r/agent:{}"),
        ("docker", "--tag=r/agent:{}", "push r/agent:{}"),
    ],
)
def test_for_several_platforms_a_manifest_list_is_made_and_pushed_with_all_it_lists(
    recorded: Path, builder: str, named: str, pushed: str
) -> None:
    called = ["--registry=r", f"--builder={builder}", "--only=agent", "--push", "--platform=linux/amd64,linux/arm64"]
    assert main(called) == 0
    build, push = recorded.read_text().splitlines()
    assert named.format(version()) in build.split()
    assert "--platform=linux/amd64,linux/arm64" in build.split()
    assert push == f"{builder} {pushed.replace('{}', version())}"


def test_the_demos_image_comes_when_it_is_asked_for(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.images.stage", lambda containerfile, context: None)  # which would build its programs
    assert main(["--registry=r", "--demo"]) == 0
    assert f"--tag=r/demo:{version()}" in recorded.read_text().splitlines()[-1]
    assert recorded.read_text().count("podman build") == 5


def test_unasked_no_platform_is_chosen_and_nothing_pushed(recorded: Path) -> None:
    assert main(["--registry=r", "--builder=docker"]) == 0
    assert recorded.read_text().count("docker build") == 4
    assert "platform" not in recorded.read_text()
    assert "push" not in recorded.read_text()


def test_the_first_failure_ends_it(tmp_path: Path) -> None:
    program = tmp_path / "fails"
    program.write_text(f"#!/bin/sh\necho called >> {tmp_path}/calls\nexit 3\n")
    program.chmod(0o755)
    assert main(["--registry=r", f"--builder={program}", "--push"]) == 3
    assert (tmp_path / "calls").read_text() == "called\n"


def test_a_bill_of_materials_is_of_one_platform(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--registry=r", "--materials=bills", "--platform=linux/amd64,linux/arm64"])
    assert "of one platform" in capsys.readouterr().err
    assert recorded.read_text() == ""


@pytest.mark.parametrize("missing", ["registry", "builder"])
def test_what_is_missing_is_said(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit):
        main(["--registry=" + ("" if missing == "registry" else "r")])
    said = capsys.readouterr().err
    assert ("make images REGISTRY=" if missing == "registry" else "install one of them") in said


@pytest.mark.skipif(os.geteuid() != 0, reason="buildah needs root here")
def test_buildah_makes_a_list_of_both_architectures(tmp_path: Path) -> None:
    """Of an image in which nothing is run: a program of the other architecture can't be, on this machine.

    Without --layers, as `make images` builds: with it buildah 1.28 takes a cached step of the other architecture.
    """
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY Containerfile /\n")
    name, options = "localhost/release-test/list:1", ["--isolation=chroot", "--platform=linux/amd64,linux/arm64"]
    named = images._named("buildah", name, several=True)
    try:
        run([*buildah.command_line(), "build", *options, named, tmp_path])
        listed = json.loads(run([*buildah.command_line(), "manifest", "inspect", name]))["manifests"]
        assert {each["platform"]["architecture"] for each in listed} == {"amd64", "arm64"}
    finally:
        run([*buildah.command_line(), "manifest", "rm", name], check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="buildah needs root here")
def test_buildah_builds_the_operators_image_from_what_is_staged(tmp_path: Path) -> None:
    """In the storage of the tests' images and on their base, since there is no registry to get another from."""
    storage = shlex.join(buildah.command_line())
    options = " ".join(buildah.BUILD_OPTIONS)
    wrapper = tmp_path / "buildah"
    wrapper.write_text(
        f'#!/bin/sh\nif [ "$1" = build ]; then shift; set -- build {options} "$@"; fi\nexec {storage} "$@"\n'
    )
    wrapper.chmod(0o755)
    name = f"localhost/release-test/operator:{version()}"
    try:
        base = buildah.base()
        called = ["--registry=localhost/release-test", f"--builder={wrapper}", f"--base={base}", "--only=operator"]
        assert main([*called, f"--materials={tmp_path}/bills"]) == 0
        assert buildah.find(name) is not None
        [bill] = (tmp_path / "bills").iterdir()
        assert bill.name == f"operator-image-{version()}.cdx.json"
        listed = {each.get("purl", "").partition("@")[0] for each in json.loads(bill.read_text())["components"]}
        assert {"pkg:deb/debian/libc6", "pkg:deb/debian/openssl", "pkg:pypi/kopf"} <= listed
    finally:
        buildah.remove(name)
