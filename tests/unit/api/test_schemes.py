"""Kinds of address: what the API accepts is what the images can read and write."""

import re

import artifactstore
from modelfleet.api import schemes


def test_the_api_accepts_what_the_images_can_read_and_write():
    assert schemes.READABLE == artifactstore.READABLE
    assert schemes.WRITABLE == artifactstore.WRITABLE
    assert schemes.ARTIFACT == artifactstore.ARTIFACT


def test_a_manifest_is_pinned_by_its_whole_digest():
    pinned = re.compile(schemes.PINNED)
    digest = "sha256:" + "a" * 64
    assert pinned.fullmatch(f"oci://registry/parts@{digest}")
    assert pinned.fullmatch(f"oci://registry:5000/parts:v3@{digest}/")
    for address in (
        "oci://registry/parts:v3",
        f"oci://registry/parts@{digest[:-1]}",
        f"oci://registry/parts@{digest}/x",
    ):
        assert not pinned.fullmatch(address), address


def test_a_pattern_takes_its_kinds_alone():
    accepted = re.compile(schemes.pattern(schemes.WRITABLE))
    assert accepted.fullmatch("s3://models/v1")
    for address in ("https://host/v1", "s3://", "S3://models", "s3://a b", "models/v1"):
        assert not accepted.fullmatch(address), address


def test_kinds_as_a_message_names_them():
    assert schemes.listed(schemes.WRITABLE) == "s3://, gs://, az:// or file://"
