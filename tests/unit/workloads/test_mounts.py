"""Addresses of the API, whatever stands behind their `://`: the operator reads their kind, and the path of a file."""

from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest

from modelfleet.api import Rollout
from modelfleet.rollout import capture_pods
from modelfleet.versions.verification import look
from modelfleet.workloads import mounts
from unit.rollout import builders
from unit.training.builders import START
from unit.versions.verifying import VERIFIER, version

ODD = ("s3://[models]/parts/", "s3://[models/parts/", "s3://models]/parts/", "gs://a\u2100b/parts/")
"""The standard library refuses each of them. The first is how many a page writes where one's own bucket belongs."""


@pytest.mark.parametrize("uri", ODD)
def test_what_is_odd_in_an_address_is_for_its_reader_to_say(uri: str):
    with pytest.raises(ValueError):  # noqa: PT011 - so that the test is about what it says
        urlsplit(uri)
    assert mounts.unmounted([uri], ["/data"]) == []
    seen = version()
    artifact = seen.spec.artifact.replace(uri=uri)
    finding = look(seen.replace(spec=seen.spec.replace(artifact=artifact)), VERIFIER, None, START)
    assert finding.actions, "a Job looks, and its words are the version's"
    capture = {"destination": uri}
    rollout = Rollout.model_validate(builders.rollout("v1", delivery={"capture": capture}))
    assert capture_pods.unmounted(rollout) == ""
    assert capture_pods._mount_path(uri, rollout.spec.template) is None


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///data/parts", "/data/parts"),
        ("file:///data/a%20b", "/data/a b"),
        ("file:///data#1/parts?x", "/data#1/parts?x"),
        ("file:///[data]/parts", "/[data]/parts"),
        ("s3://data/parts", None),
        ("files://data", None),
    ],
)
def test_the_path_of_a_file_is_that_which_is_read(uri: str, path: str | None):
    assert mounts.path_of(uri) == (None if path is None else PurePosixPath(path))


def test_files_below_no_volume_are_named():
    uris = ["file:///data#1/parts", "file:///data/parts", "s3://[x]/parts"]
    assert mounts.unmounted(uris, ["/data#1"]) == ["file:///data/parts"]
