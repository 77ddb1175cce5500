"""Objects as consoles, browsers and people's scripts leave them, against versitygw, a real S3 server.

Its buckets are folders, so it takes // and /./ out of keys itself; what is said of such a key is tested by the words of
the library.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import obstore
import pytest
from obstore.exceptions import InvalidPathError
from obstore.store import MemoryStore

import artifactstore
from artifactstore import ArtifactError, _s3_listing
from artifactstore._errors import translated
from artifactstore._s3_listing import is_odd
from harness.object_store import gateway

_REGION, _KEY, _SECRET = "us-east-1", "test-access-key", "test-secret-key"


class Bucket:
    """Puts objects with any key: the library under test would refuse or change some of them."""

    def __init__(self, endpoint: str) -> None:
        self._host = endpoint.removeprefix("http://")

    def put(self, key: str, content: bytes = b"") -> None:
        """Signed as AWS documents it (Signature Version 4)."""
        now = datetime.now(UTC)
        path, time, day = f"/data/{quote(key)}", f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
        digest = hashlib.sha256(content).hexdigest()
        headers = {"host": self._host, "x-amz-content-sha256": digest, "x-amz-date": time}
        signed = ";".join(headers)
        request = "\n".join(["PUT", path, "", *(f"{k}:{v}" for k, v in headers.items()), "", signed, digest])
        scope = f"{day}/{_REGION}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(request.encode()).hexdigest()])
        secret = f"AWS4{_SECRET}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        signature = hmac.new(secret, text.encode(), "sha256").hexdigest()
        credential = f"Credential={_KEY}/{scope}, SignedHeaders={signed}, Signature={signature}"
        connection = http.client.HTTPConnection(self._host)
        connection.request("PUT", path, content, headers | {"Authorization": f"AWS4-HMAC-SHA256 {credential}"})
        with connection.getresponse() as answer:
            assert answer.status == 200, answer.read()
        connection.close()


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    (tmp_path / "buckets" / "data").mkdir(parents=True)
    with gateway(tmp_path / "buckets", _KEY, _SECRET) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_REGION", _REGION)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", _KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
        yield Bucket(url)


def fetched(uri: str, folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in artifactstore.fetch_tree(uri, folder)]


@pytest.mark.cluster
def test_markers_of_folders_are_passed_over(bucket: Bucket, tmp_path: Path) -> None:
    for key in ("parts/", "parts/train/", "parts/empty/"):
        bucket.put(key)
    bucket.put("parts/train/a.jpg", b"picture")
    bucket.put("parts/train/a.txt")  # empty as a marker is, and a file
    for uri in ("s3://data/parts/", "s3://data/parts"):
        assert fetched(uri, tmp_path / "got") == ["train/a.jpg", "train/a.txt"]
        assert (
            {"train/a.jpg", "train/a.txt"} <= set(artifactstore.names(uri)) <= {"train/a.jpg", "train/a.txt", "empty"}
        )
        scanned = [entry.name for entry in artifactstore.scan(uri)]
        assert scanned[0] == "train/a.jpg", "what is empty comes last: it may be a folder's"
        assert sorted(scanned) == artifactstore.names(uri)
    bucket.put("alone/")
    assert artifactstore.names("s3://data/alone/") == []
    bucket.put("hollow/train/")
    with pytest.raises(ArtifactError, match=r"s3://data/hollow/ holds nothing but empty folders") as caught:
        fetched("s3://data/hollow/", tmp_path / "hollow")
    assert caught.value.reason == "NotFound"


@pytest.mark.cluster
def test_names_with_spaces_and_signs(bucket: Bucket, tmp_path: Path) -> None:
    names = ["a b.jpg", "back\\slash.jpg", "hash#q?.jpg", "per%20cent.jpg", "ü.jpg", "😀" * 60 + ".jpg"]
    for name in names:
        bucket.put(f"parts/{name}", name.encode())
    assert fetched("s3://data/parts/", tmp_path / "got") == sorted(names)
    assert artifactstore.names("s3://data/parts") == sorted(names)
    for name in names:
        assert artifactstore.read_bytes(artifactstore.join("s3://data/parts/", name)) == name.encode()
    artifactstore.remove_tree("s3://data/parts")
    assert artifactstore.names("s3://data/parts") == []


@pytest.mark.cluster
def test_percent_encoding_reaches_what_an_address_cannot_hold(bucket: Bucket) -> None:
    bucket.put("my parts.tar", b"1")
    bucket.put("50%20.tar", b"2")
    assert artifactstore.read_bytes("s3://data/my%20parts.tar") == b"1"
    assert artifactstore.exists("s3://data/my%20parts.tar")
    assert artifactstore.read_bytes("s3://data/50%2520.tar") == b"2"
    with pytest.raises(ArtifactError, match=r"in it %XX stands for a character, and %25 for a % itself"):
        artifactstore.read_bytes("s3://data/50%20.tar")
    with pytest.raises(ArtifactError, match=r"holds %XX that is not UTF-8"):
        artifactstore.read_bytes("s3://data/%ff")


@pytest.mark.cluster
def test_odd_keys_are_passed_over_where_their_names_are_taken(bucket: Bucket, tmp_path: Path) -> None:
    names = [f"n{number:04d}.jpg" for number in range(1200)]  # on both sides of a page's end
    for name in (*names, "n0000\nlines.jpg", "zz\x07.jpg", "ü %20.jpg"):
        bucket.put(f"parts/{name}", b"picture")
    odd: list[str] = []
    listed = artifactstore.names("s3://data/parts/", odd=odd.append)
    assert listed == sorted([*names, "zz\ufffd.jpg", "ü %20.jpg"])
    assert odd == ["parts/n0000\\x0alines.jpg"]
    got = [path.name for path in artifactstore.fetch_tree("s3://data/parts/", tmp_path / "got", odd=odd.append)]
    assert got == sorted([*names, "ü %20.jpg"])
    assert odd[1:] == ["parts/n0000\\x0alines.jpg", "parts/zz\ufffd.jpg"]


@pytest.mark.cluster
def test_without_keys_in_the_environment_the_odd_one_is_said(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("parts/two\nlines.jpg", b"picture")
    odd: list[str] = []
    assert artifactstore.names("s3://data/parts", odd=odd.append) == []
    assert odd == ["parts/two\\x0alines.jpg"]
    monkeypatch.setattr(_s3_listing.Keys, "of", lambda environment: None)  # a web identity, say
    with pytest.raises(ArtifactError, match=r"holds the key 'parts/two\\x0alines.jpg', which no address can mean"):
        artifactstore.names("s3://data/parts", odd=odd.append)
    with pytest.raises(ArtifactError, match="which no address can mean") as caught:
        artifactstore.folders("s3://data/parts")
    assert caught.value.reason == "Unsupported"


@pytest.mark.parametrize(
    ("key", "odd"),
    [
        ("a/b.jpg", False),
        ("a/", False),
        ("a b/ü\u2028.jpg", False),
        ("a//b.jpg", True),
        ("a//", True),
        ("a/./b.jpg", True),
        ("a/../b.jpg", True),
        ("a/b\x1f.jpg", True),
        ("a/b\x7f", True),
    ],
)
def test_which_keys_are_odd(key: str, odd: bool) -> None:
    """Those of which obstore makes no path."""
    assert is_odd(key) is odd
    with pytest.raises(ValueError, match="Could not parse path") if odd else nullcontext():
        obstore.put(MemoryStore(), key, b"")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two\nlines.jpg", r"s3://data/parts/ holds the key 'parts/two\x0alines.jpg', which no address can mean"),
        ("bell\x07.jpg", "s3://data/parts/bell\ufffd.jpg is listed and can't be asked for"),
    ],
)
def test_a_key_that_cannot_be_asked_for_is_named(name: str, message: str, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("parts/a.jpg", b"picture")
    bucket.put(f"parts/{name}", b"picture")
    with pytest.raises(ArtifactError) as caught:
        fetched("s3://data/parts/", tmp_path / "got")
    assert caught.value.reason == "Unsupported"
    assert message in caught.value.message


def test_a_key_with_an_empty_folder_name_is_named() -> None:
    text = 'Encountered object with invalid path: Path "set//a.jpg" contained empty path segment'
    with pytest.raises(ArtifactError) as caught, translated("s3://data/set/"):
        raise InvalidPathError(text)
    assert caught.value.reason == "Unsupported"
    assert "holds the key 'set//a.jpg'" in caught.value.message
