"""The source storage by which Label Studio shows images that lie in an object store.

Without one, a task's `s3://...` stays a broken picture. A storage that is attached already is used and left as it is;
else, for S3, one is attached with the credentials of our own environment. Nothing is ever synced from it (its filter
matches no object), and never is a target storage attached: one that can't be reached makes every submit fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from labeler.label_studio.http import REFUSED, Http, LabelStudioError

_NOTHING = "(?!)"  # a regular expression that matches no key
_KINDS = {"gs": "Google Cloud Storage", "az": "Azure", "azure-blob": "Azure"}


def buckets(uris: list[str]) -> list[tuple[str, str]]:
    """The (scheme, bucket) of images that a browser can't fetch by itself, each once."""
    parts = (urlsplit(uri) for uri in uris)
    return sorted({(part.scheme, part.netloc) for part in parts if part.scheme not in ("http", "https")})


def attach(http: Http, project: int, scheme: str, bucket: str, environment: Mapping[str, str]) -> bool:
    """See to it that the project has a storage for the bucket. Returns whether one was attached now.

    Raises LabelStudioError: there is none and none can be made, with what to do.
    """
    there = http.get("/api/storages/", {"project": project})
    if any(bucket in (each.get("bucket"), each.get("container")) for each in there):
        return False
    by_hand = (
        f"attach a source storage for bucket {bucket} to the project (Settings > Cloud Storage > Add Source Storage, "
        "with keys that may read it; no sync is needed)"
    )
    if scheme != "s3":
        kind = _KINDS.get(scheme, "a kind that Label Studio knows")
        raise LabelStudioError(
            REFUSED, f"Label Studio can't show images of {scheme}://{bucket}: {by_hand}; it must be of {kind}"
        )
    given = _credentials(environment)
    if not given:
        raise LabelStudioError(
            REFUSED,
            f"Label Studio can't show images of s3://{bucket}: put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into "
            f"the labeler's environment (spec.template, envFrom), or {by_hand}",
        )
    wanted = {
        "project": project,
        "title": f"Captures in {bucket} (modelfleet)",
        "description": "Shows the images of modelfleet's tasks. Its filter matches nothing, so that syncing adds none.",
        "bucket": bucket,
        "prefix": "",  # one without objects would be refused with a 500
        "regex_filter": _NOTHING,
        "use_blob_urls": True,
        "presign": False,  # through Label Studio: the reviewers' browsers need not reach the object store
        **given,
    }
    try:
        http.post("/api/storages/s3", wanted)
    except LabelStudioError as error:
        raise LabelStudioError(REFUSED, _refused(error.message, bucket, given, by_hand)) from None
    return True


def warnings(http: Http, project: int) -> list[str]:
    """What is attached and does harm."""
    targets = http.get("/api/storages/export", {"project": project})
    return [
        f"Target storage {each.get('title') or each.get('id')} is attached to project {project}: while it can't be "
        "reached, nobody can submit. It is not needed: remove it."
        for each in targets
    ]


def _credentials(environment: Mapping[str, str]) -> dict[str, Any]:
    """S3 credentials for Label Studio: its own (LABEL_STUDIO_AWS_...) before those that we use."""

    def value(name: str) -> str | None:
        return environment.get(f"LABEL_STUDIO_{name}") or environment.get(name)

    names = {
        "aws_access_key_id": value("AWS_ACCESS_KEY_ID"),
        "aws_secret_access_key": value("AWS_SECRET_ACCESS_KEY"),
        "aws_session_token": value("AWS_SESSION_TOKEN"),
        "region_name": value("AWS_REGION") or value("AWS_DEFAULT_REGION"),
        "s3_endpoint": value("AWS_ENDPOINT_URL_S3") or value("AWS_ENDPOINT_URL"),
    }
    if not names["aws_access_key_id"] or not names["aws_secret_access_key"]:
        return {}
    return {name: each for name, each in names.items() if each}


def _refused(said: str, bucket: str, given: Mapping[str, Any], by_hand: str) -> str:
    endpoint = given.get("s3_endpoint")
    text = f"Label Studio did not take a source storage for bucket {bucket}: {said}"
    if endpoint and ("reserved" in said or "local or private" in said or "SSRF" in said):
        return (
            f"{text}. It refuses private addresses, as {endpoint} is: start Label Studio with "
            f"LABEL_STUDIO_S3_ENDPOINT={endpoint} and {by_hand}, endpoint left empty; or start it with "
            "SSRF_PROTECTION_ENABLED=false"
        )
    where = endpoint or "AWS"
    return (
        f"{text}. From Label Studio's pod, is {where} reachable, does the bucket exist, and may the key "
        f"{given['aws_access_key_id']} list it? Or {by_hand}"
    )
