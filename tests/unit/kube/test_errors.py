"""What the API server's refusals become."""

import json

import pytest

from modelfleet.kube import errors


def status(code, reason, message="because"):
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": message})


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Unavailable),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Expired", errors.Expired),
        (413, "RequestEntityTooLarge", errors.Invalid),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.Unavailable),
        (500, "InternalError", errors.Unavailable),
        (504, "Timeout", errors.Unavailable),
    ],
)
def test_each_code_is_its_type_with_the_servers_own_words(code, reason, kind):
    error = errors.from_response(code, "whatever", status(code, reason))
    assert type(error) is kind
    assert (error.message, error.code, error.reason) == ("because", code, reason)


@pytest.mark.parametrize("body", ["", "[]", "{}"])
def test_body_without_a_message_still_says_something(body):
    assert "502 Bad Gateway" in errors.from_response(502, "Bad Gateway", body).message


def test_text_of_a_proxy_is_kept_and_cut():
    assert errors.from_response(503, "x", "upstream gone\n").message == "upstream gone"
    assert len(errors.from_response(503, "x", "a" * 9999).message) == 1024


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (None, None),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-5", 0.0),
        ("1785000000000000", 300.0),
        ("inf", 300.0),
        ("nan", None),
    ],
)
def test_retry_after(header, seconds):
    assert errors.from_response(429, "x", "", header).retry_after == seconds


def test_missing_type_is_told_from_missing_object():
    assert errors.from_response(404, "x", "404 page not found").is_missing_type
    assert not errors.from_response(404, "x", status(404, "NotFound", 'pods "x" not found')).is_missing_type


def test_a_field_that_no_schema_declares_is_the_users_to_mend():
    message = (
        "failed to create typed patch object (a/b; apps/v1, Kind=DaemonSet): .spec.x: field not declared in schema"
    )
    assert isinstance(errors.from_response(500, "x", status(500, "", message)), errors.Invalid)
    assert isinstance(errors.from_response(500, "x", status(500, "", "etcd is gone")), errors.Unavailable)


def test_terminating_namespace_is_told_from_missing_permission():
    message = "unable to create new content in namespace a because it is being terminated"
    assert errors.from_response(403, "x", status(403, "Forbidden", message)).is_terminating
    assert not errors.from_response(403, "x", status(403, "Forbidden", "exceeded quota")).is_terminating
