"""A whole run against versitygw, a real S3 server; credentials by the environment, as in a pod."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from labeling_world import NOW, TasksInMemory, World

from detectiondata.assemble import assemble
from detectiondata.fetch import Source, fetch
from detectiondata.source import check_source
from harness.object_store import gateway
from labeler import run as runs
from labeler.failure import Failure
from labeler.listing import ODD

pytestmark = pytest.mark.cluster


def test_from_captures_to_a_training_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "buckets")
    made = world.fleet()  # a bucket is a folder of the gateway
    world.store.mkdir()
    tool = TasksInMemory()
    settings = replace(world.settings(), captures="s3://captures/", store="s3://store/parts/")
    with gateway(world.root, "test-access-key", "test-secret-key") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-access-key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key")
        (world.root / "captures" / "line" / "two\nlines.jpg").write_bytes(b"whose key no address can mean")
        outcome = runs.run(settings, tool, NOW)
        assert [problem.file for problem in outcome.problems if problem.kind == ODD] == ["line/two\\x0alines.jpg"]
        assert len(tool.tasks) == len(made)
        tool.answer_all()
        first = runs.run(settings, tool, NOW)
        again = runs.run(settings, tool, NOW)
        assert [each.sha256 for each in again.history] == [first.history[0].sha256]
        uri = "s3://store/parts/versions/00001/version.json"
        fetched = fetch(Source(uri, first.history[0].sha256), tmp_path / "work")
        dataset = assemble([check_source(fetched, "Auto", None)], Decimal("0.2"), 0, tmp_path / "set")
        assert dataset.images == first.history[0].version.images

        with pytest.raises(Failure, match="the bucket does not exist") as missing:
            runs.run(replace(settings, captures="s3://other/"), tool, NOW)
        assert (missing.value.reason, missing.value.exit_code) == ("NotFound", 64)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-key")
        with pytest.raises(Failure, match="check the credentials") as refused:
            runs.run(settings, tool, NOW)
        assert (refused.value.reason, refused.value.exit_code) == ("AccessDenied", 64)
