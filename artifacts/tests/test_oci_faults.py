"""Registries that refuse, break off, send elsewhere or lie; and addresses and manifests that are none.

Against a fake registry, since no real one can be made to do this; see test_oci_registry.py for the real one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from oci_fake import DATA, IDENTITY, REPOSITORY, Handler, described, index, manifest, served, sha256

import artifactstore
from artifactstore import ArtifactError, _oci, _oci_credentials, _oci_reference

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Handler], str]]:
    for name in ("DOCKER_CONFIG", "DOCKER_AUTH_CONFIG", "OCI_PLAIN_HTTP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_oci, "_FIRST_WAIT", 0.001)
    with served() as running:
        yield running


@pytest.fixture
def uri(registry: tuple[type[Handler], str]) -> str:
    """The address of a file that the registry holds, whose content is DATA."""
    handler, host = registry
    handler.put(DATA)
    digest = handler.put(manifest(described(DATA, "best.onnx"), described(b"other", "other.txt")))
    return f"oci://{host}/{REPOSITORY}@{digest}/best.onnx"


def fetched(uri: str, folder: Path) -> bytes:
    artifactstore.fetch_file(uri, folder / "got", sha256=sha256(DATA), size=len(DATA))
    return (folder / "got").read_bytes()


def refused(uri: str, folder: Path) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        artifactstore.fetch_file(uri, folder / "got", sha256=sha256(DATA), size=len(DATA))
    assert list(folder.iterdir()) == []
    return caught.value


def ranges(handler: type[Handler]) -> list[str]:
    return [headers.get("range", "") for path, headers in handler.seen if "/blobs/" in path]


def broken(handler: Handler) -> None:
    handler.good(only=1_000_000)


def failing(handler: Handler) -> None:
    handler.reply(503, b"")


def not_partial(handler: Handler) -> None:
    handler.reply(416, b"")


def whole_again(handler: Handler) -> None:
    del handler.headers["Range"]
    handler.good()


def another_part(handler: Handler) -> None:
    handler.reply(206, DATA[2_000_000:], {"Content-Range": f"bytes 2000000-{len(DATA) - 1}/{len(DATA)}"})


def redirecting(where: str) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(307, b"", {"Location": where.replace("HOST", handler.host)})


# --- a line that breaks -----------------------------------------------------------------------------------------------


def test_a_download_goes_on_where_it_broke(registry: tuple[type[Handler], str], uri: str, tmp_path: Path) -> None:
    handler, _ = registry
    handler.faults["blobs"] = [broken, failing, broken]
    assert fetched(uri, tmp_path) == DATA
    assert ranges(handler) == ["", "bytes=1000000-", "bytes=1000000-", "bytes=2000000-"]


@pytest.mark.parametrize("second", [not_partial, whole_again, another_part])
def test_a_registry_that_gives_no_part_of_a_file(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, second: Callable[[Handler], None]
) -> None:
    handler, _ = registry
    handler.faults["blobs"] = [broken, second]
    assert fetched(uri, tmp_path) == DATA


def test_progress_is_patience_anew(registry: tuple[type[Handler], str], uri: str, tmp_path: Path) -> None:
    handler, _ = registry
    handler.faults["blobs"] = [broken, *[failing] * 5, broken, *[failing] * 5]
    assert fetched(uri, tmp_path) == DATA


def test_a_registry_that_only_fails_is_given_up(registry: tuple[type[Handler], str], uri: str, tmp_path: Path) -> None:
    handler, _ = registry
    handler.faults["blobs"] = [failing] * 20
    caught = refused(uri, tmp_path)
    assert (caught.reason, caught.retryable, caught.status) == ("Unreachable", True, 503)
    assert len(ranges(handler)) == 7


def test_a_registry_that_is_not_there(registry: tuple[type[Handler], str], tmp_path: Path) -> None:
    caught = refused(f"oci://127.0.0.1:9/{REPOSITORY}@{DIGEST}/best.onnx", tmp_path)
    assert caught.reason == "Unreachable"
    assert "check the endpoint and the network" in caught.message


@pytest.mark.parametrize("fault", [failing, Handler.unauthorized])
def test_a_later_call_goes_on_with_what_an_earlier_one_left(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, fault: Callable[[Handler], None]
) -> None:
    handler, _ = registry
    handler.faults["blobs"] = [broken, *[fault] * 20]
    pins = {"sha256": sha256(DATA), "size": len(DATA), "partial": tmp_path / ".partial"}
    with pytest.raises(ArtifactError, match=r"Unreachable|AccessDenied"):
        artifactstore.fetch_file(uri, tmp_path / "got", **pins)
    assert (tmp_path / ".partial").stat().st_size == 1_000_000
    handler.faults.clear()
    handler.seen.clear()
    artifactstore.fetch_file(uri, tmp_path / "got", **pins)
    assert (tmp_path / "got").read_bytes() == DATA
    assert ranges(handler) == ["bytes=1000000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["got"]


# --- what is not what was pinned --------------------------------------------------------------------------------------


def test_another_manifest_than_the_pinned_one_is_refused(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path
) -> None:
    handler, _ = registry
    handler.faults["manifests"] = [lambda one: one.reply(200, manifest(described(b"evil", "best.onnx")))]
    caught = refused(uri, tmp_path)
    assert caught.reason == "DigestMismatch"
    assert "the registry's manifest for" in caught.message
    assert ranges(handler) == []


def test_another_blob_than_the_manifest_names_is_refused(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path
) -> None:
    handler, _ = registry
    handler.faults["blobs"] = [lambda one: one.reply(200, b"x" + DATA[1:])]
    assert refused(uri, tmp_path).reason == "DigestMismatch"


def test_no_more_is_taken_than_the_manifest_names(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path
) -> None:
    handler, _ = registry
    handler.faults["blobs"] = [lambda one: one.reply(200, DATA + bytes(50_000_000))]
    caught = refused(uri, tmp_path)
    assert caught.reason == "DigestMismatch"
    assert "found at least" in caught.message


def test_another_file_than_the_version_declares_is_known_from_the_manifest(
    registry: tuple[type[Handler], str], tmp_path: Path
) -> None:
    handler, host = registry
    digest = handler.put(manifest(described(b"packed", "best.onnx", "application/vnd.cncf.model.weight.v1.tar+gzip")))
    caught = refused(f"oci://{host}/{REPOSITORY}@{digest}/best.onnx", tmp_path)
    assert caught.reason == "DigestMismatch"
    assert "it is packed there" in caught.message
    assert ranges(handler) == []


def test_a_manifest_without_end_is_not_read_to_its_end(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path
) -> None:
    handler, _ = registry
    handler.faults["manifests"] = [lambda one: one.reply(200, bytes(5 << 20))]
    caught = refused(uri, tmp_path)
    assert caught.reason == "Unsupported"
    assert "larger than" in caught.message


# --- credentials ------------------------------------------------------------------------------------------------------


def config(host: str, auth: str = "dXNlcjpwYXNzd29yZA==") -> str:
    return json.dumps({"auths": {host: {"auth": auth}}})


def test_a_token_is_fetched_and_one_that_ended_is_replaced(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, host = registry
    handler.token = "token-1"
    handler.faults["blobs"] = [broken, lambda one: setattr(handler, "token", "token-2") or one.unauthorized()]
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", config(host))
    assert fetched(uri, tmp_path) == DATA
    asked = [(path, headers.get("authorization")) for path, headers in handler.seen if path.startswith("/token")]
    assert asked == [("/token?service=fake&scope=repository%3Amodels%2Fparts%3Apull", "Basic dXNlcjpwYXNzd29yZA==")] * 2


def test_credentials_that_are_refused_twice_are_told_without_them(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, host = registry
    handler.token = "token-1"
    handler.faults["manifests"] = [Handler.unauthorized] * 2
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", config(host))
    caught = refused(uri, tmp_path)
    assert (caught.reason, caught.retryable) == ("AccessDenied", False)
    assert "DOCKER_AUTH_CONFIG" in caught.message
    assert "401 UNAUTHORIZED" in caught.message
    assert "dXNlcjpwYXNzd29yZA" not in caught.message
    assert "token-1" not in caught.message


def test_credentials_of_one_registry_are_sent_to_no_other(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, _ = registry
    handler.faults["manifests"] = [lambda one: one.reply(401, b"", {"WWW-Authenticate": 'Basic realm="fake"'})]
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", config("registry.example"))
    assert refused(uri, tmp_path).reason == "AccessDenied"
    assert all("authorization" not in headers for _, headers in handler.seen)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("reg.example:5000", True),
        ("https://Reg.example:5000/v2/", True),
        ("reg.example:5000/models", True),
        ("reg.example:5000/models/parts", True),
        ("reg.example:5000/mod", False),
        ("reg.example", False),
        ("g.example:5000", False),
        ("https://reg.example:5000/v1/models", True),
        ("reg.example:5000/v1models", False),
        ("*.example:5000", True),
        ("reg.*:5000", True),
        ("*.*:5000", True),
        ("r*g.example:5000/models", True),
        ("r?g.example:5000", True),
        ("r[a-f]*.example:5000", True),
        ("r[^a-f]*.example:5000", False),
        ("*.example:5000/mod", False),
        ("*.example", False),  # a port is compared
        ("*.example:*", False),  # and has no wildcards
        ("*:5000", False),  # one label is no more than one
        ("*.*.example:5000", False),
        ("*", False),
        ("[*", False),
    ],
)
def test_whose_credentials_are_ours(monkeypatch: pytest.MonkeyPatch, name: str, fits: bool) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", config(name))
    assert bool(_oci_credentials.fitting("oci://x", "reg.example:5000", "models/parts")) is fits


@pytest.mark.parametrize(
    ("address", "repository"),
    [
        ("docker.io/acme/parts", "acme/parts"),
        ("docker.io/parts", "library/parts"),
        ("index.docker.io/acme/parts", "acme/parts"),
        ("registry-1.docker.io/acme/parts", "acme/parts"),
    ],
)
def test_docker_hub_has_three_names(
    monkeypatch: pytest.MonkeyPatch, address: str, repository: str, tmp_path: Path
) -> None:
    """It answers under one, is addressed by another, and docker login files its credentials under a third."""
    asked: list[tuple[str, str]] = []
    described_as = manifest(described(DATA, "best.onnx"))
    token = "https://auth.docker.io/token"

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((str(request.url), request.headers.get("authorization", "")))
        if request.url.host == "auth.docker.io":
            return httpx.Response(200, json={"token": "given"})
        if "authorization" not in request.headers:
            challenge = f'Bearer realm="{token}",service="registry.docker.io"'
            return httpx.Response(401, headers={"WWW-Authenticate": challenge})
        content = described_as if "/manifests/" in request.url.path else DATA
        return httpx.Response(200, stream=httpx.ByteStream(content))

    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **how: client(transport=httpx.MockTransport(answer), **how))
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": "AAAA"}}}))
    digest = f"sha256:{sha256(described_as)}"
    assert fetched(f"oci://{address}@{digest}/best.onnx", tmp_path) == DATA
    where = f"https://registry-1.docker.io/v2/{repository}"
    assert [url for url, _ in asked if "auth.docker.io" not in url] == [
        *[f"{where}/manifests/{digest}"] * 2, f"{where}/blobs/sha256:{sha256(DATA)}"
    ]  # fmt: skip
    [(url, sent)] = [each for each in asked if "auth.docker.io" in each[0]]
    assert httpx.URL(url).params["scope"] == f"repository:{repository}:pull"
    assert sent == "Basic AAAA"


def test_the_closest_credentials_win_and_a_name_and_password_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    auths = {
        "*.example/models": {"auth": "BBBB"},
        "reg.example": {"auth": "AAAA"},
        "*.example": {"auth": "CCCC"},
        "reg.example/models": {"username": "user", "password": "password"},
        "reg.example/mod": {"auth": "DDDD"},
    }
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    found = _oci_credentials.fitting("oci://x", "reg.example", "models/parts")
    assert [each.basic for each in found] == ["dXNlcjpwYXNzd29yZA==", "AAAA", "BBBB", "CCCC"]
    assert [each.basic for each in _oci_credentials.fitting("oci://x", "reg.example", "other")] == ["AAAA", "CCCC"]


def test_a_registry_at_an_address_is_no_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", config("[::1]:5000"))
    assert _oci_credentials.fitting("oci://x", "[::1]:5000", "parts")
    assert not _oci_credentials.fitting("oci://x", "[::2]:5000", "parts")


@pytest.mark.parametrize("entry", [None, 7, [], {}, {"auth": "a b"}, {"identitytoken": "a\nb"}, {"registrytoken": 7}])
def test_an_entry_that_says_nothing_is_none(monkeypatch: pytest.MonkeyPatch, entry: object) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"reg.example": entry}}))
    assert _oci_credentials.fitting("oci://x", "reg.example", "parts") == ()


@pytest.mark.parametrize("where", ["token", "registry"])
def test_where_the_closest_credentials_are_refused_the_next_are_tried(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """As the kubelet does: a pull secret of the team that ended, and the one of the whole registry."""
    handler, host = registry
    handler.token = "token-1"
    if where == "token":
        handler.refuse = staticmethod(lambda sent: sent != "Basic AAAA")
    else:  # 401 asks; 403 and 401 refuse the tokens of the first and of the second
        denied = b'{"errors": [{"code": "DENIED"}]}'
        handler.faults["manifests"] = [
            Handler.unauthorized, lambda one: one.reply(403, denied), Handler.unauthorized
        ]  # fmt: skip
    auths = {f"{host}/models/parts": {"auth": "CCCC"}, f"{host}/models": {"auth": "BBBB"}, host: {"auth": "AAAA"}}
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": auths}))
    assert fetched(uri, tmp_path) == DATA
    sent = [headers.get("authorization") for path, headers in handler.seen if path.startswith("/token")]
    assert sent == ["Basic CCCC", "Basic BBBB", "Basic AAAA"]


def test_an_identity_token_is_exchanged_for_a_token(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `az acr login` and `docker login` leave where the registry gives out such: a name, no password."""
    handler, host = registry
    handler.token = "token-1"
    handler.faults["blobs"] = [broken, lambda one: setattr(handler, "token", "token-2") or one.unauthorized()]
    entry = {"auth": "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==", "identitytoken": IDENTITY}
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {host: entry}}))
    assert fetched(uri, tmp_path) == DATA
    form = {
        "grant_type": "refresh_token",
        "refresh_token": IDENTITY,
        "client_id": "modelfleet",
        "service": "fake",
        "scope": f"repository:{REPOSITORY}:pull",
    }
    assert handler.forms == [form] * 2
    assert not [path for path, headers in handler.seen if IDENTITY in f"{path} {headers}"]


def test_an_identity_token_that_ended_is_told_without_it(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, host = registry
    handler.token = "token-1"
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {host: {"identitytoken": "one-that-ended"}}}))
    caught = refused(uri, tmp_path)
    assert (caught.reason, caught.retryable) == ("AccessDenied", False)
    assert f"{host} does not take the identity token" in caught.message
    assert "log in to the registry again" in caught.message
    assert "one-that-ended" not in caught.message


@pytest.mark.parametrize("token", ["identitytoken", "registrytoken"])
def test_a_password_beside_a_token_that_ended_is_tried(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    handler, host = registry
    handler.token = "token-1"
    entry = {"username": "user", "password": "password", token: "one-that-ended"}
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {host: entry}}))
    assert fetched(uri, tmp_path) == DATA
    sent = [headers.get("authorization") for path, headers in handler.seen if path.startswith("/token")]
    assert sent == ["Basic dXNlcjpwYXNzd29yZA=="]


def test_identity_tokens_are_not_sent_over_plain_http(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, host = registry
    told = {"WWW-Authenticate": 'Bearer realm="http://tokens.example/token"'}
    handler.faults["manifests"] = [lambda one: one.reply(401, b"", told)]
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {host: {"identitytoken": IDENTITY}}}))
    assert "its tokens come from http://tokens.example" in refused(uri, tmp_path).message


def test_a_token_of_the_registry_itself_is_sent_as_it_is(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, host = registry
    handler.token = "token-1"
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {host: {"registrytoken": "token-1"}}}))
    assert fetched(uri, tmp_path) == DATA
    assert not [path for path, _ in handler.seen if path.startswith("/token")]


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "[" * 100_000])
def test_a_configuration_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", text)
    with pytest.raises(ArtifactError, match="not a docker configuration"):
        _oci_credentials.fitting("oci://x", "reg.example", "models/parts")


# --- redirects --------------------------------------------------------------------------------------------------------


def test_a_redirect_is_followed_without_the_credentials(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path
) -> None:
    handler, _ = registry
    handler.token = "token-1"
    with served() as (elsewhere, other):
        elsewhere.put(DATA)
        handler.faults["blobs"] = [redirecting(f"http://{other}/elsewhere/sha256:{sha256(DATA)}")]
        assert fetched(uri, tmp_path) == DATA
        assert [headers.get("authorization") for _, headers in elsewhere.seen] == [None]
    assert {headers.get("authorization") for path, headers in handler.seen if "/blobs/" in path} == {"Bearer token-1"}


@pytest.mark.parametrize("entry", [{"auth": "AAAA"}, {"identitytoken": IDENTITY}])
def test_who_a_redirect_leads_to_is_told_no_credentials_whatever_it_asks_for(
    registry: tuple[type[Handler], str],
    uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry: dict[str, str],
) -> None:
    handler, host = registry
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {host: entry}}))
    with served() as (elsewhere, other):
        elsewhere.token = "token-1"  # it asks for one of its own, by an address of its own
        handler.faults["blobs"] = [redirecting(f"http://{other}/elsewhere/sha256:{sha256(DATA)}")] * 3
        assert refused(uri, tmp_path).reason == "AccessDenied"
        assert not [path for path, _ in elsewhere.seen if path.startswith("/token")]
        assert elsewhere.forms == []


def test_a_refusal_behind_a_redirect_is_none_of_the_credentials(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, host = registry
    handler.token = "token-1"
    auths = {f"{host}/models": {"auth": "BBBB"}, host: {"auth": "AAAA"}}
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": auths}))
    with served() as (elsewhere, other):
        elsewhere.faults["blobs"] = [lambda one: one.reply(403, b"")]  # a signed address that is too old
        handler.faults["blobs"] = [Handler.unauthorized, redirecting(f"http://{other}/blobs/x")]
        assert refused(uri, tmp_path).reason == "AccessDenied"
    sent = [headers.get("authorization") for path, headers in handler.seen if path.startswith("/token")]
    assert sent == ["Basic BBBB"] * 2


@pytest.mark.parametrize("where", ["http://registry.example/x", "ftp://HOST/x", "file:///etc/passwd", "http://[/x"])
def test_a_redirect_to_plain_http_is_refused(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, where: str
) -> None:
    handler, _ = registry
    handler.faults["blobs"] = [redirecting(where)]
    assert refused(uri, tmp_path).reason == "Unsupported"


def test_a_registry_by_tls_sends_nobody_to_this_machines_own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCI_PLAIN_HTTP", raising=False)
    with httpx.Client() as client:
        session = _oci._Session(client, _oci_reference.parse(f"oci://reg.example/parts@{DIGEST}/best.onnx"))
        session._allowed("https://blobs.example/x", "it redirects to")
        with pytest.raises(ArtifactError, match=r"it redirects to http://127\.0\.0\.1:9090"):
            session._allowed("http://127.0.0.1:9090/metrics", "it redirects to")


def test_tokens_are_not_asked_for_over_plain_http(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, host = registry
    told = {"WWW-Authenticate": 'Bearer realm="http://tokens.example/token"'}
    handler.faults["manifests"] = [lambda one: one.reply(401, b"", told)]
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", config(host))
    assert "its tokens come from http://tokens.example" in refused(uri, tmp_path).message


def test_a_circle_of_redirects_ends(registry: tuple[type[Handler], str], uri: str, tmp_path: Path) -> None:
    handler, _ = registry
    handler.faults["manifests"] = [redirecting("http://HOST/manifests/x")] * 100
    assert "redirected more than" in refused(uri, tmp_path).message


@pytest.mark.parametrize(
    ("host", "listed", "plain"),
    [
        ("localhost:5000", "", True),
        ("127.0.0.1", "", True),
        ("[::1]:5000", "", True),
        ("registry.example", "", False),
        ("registry.example:5000", "other, registry.example:5000", True),
        ("registry.example", "registry.example:5000", False),
        ("127.0.0.1.example", "", False),
        ("localhost.example", "", False),
    ],
)
def test_who_is_spoken_to_without_tls(monkeypatch: pytest.MonkeyPatch, host: str, listed: str, plain: bool) -> None:
    monkeypatch.setenv("OCI_PLAIN_HTTP", listed)
    assert _oci_reference.plain_http(host) is plain


# --- addresses and manifests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("oci://reg.example/parts:v3/best.onnx", "names no digest, and a tag can be moved"),
        ("oci://reg.example/parts", "names no digest"),
        (f"oci://reg.example/parts@{DIGEST}", "names no file"),
        (f"oci://reg.example/Parts@{DIGEST}/best.onnx", "is not the address of a file in a registry"),
        (f"oci://reg.example/../parts@{DIGEST}/best.onnx", "is not the address of a file in a registry"),
        (f"oci://user:pw@reg.example/parts@{DIGEST}/best.onnx", "is not the address of a file in a registry"),
        ("oci://reg.example/parts@sha256:abc/best.onnx", "is not the address of a file in a registry"),
        ("oci://", "is not the address of a file in a registry"),
    ],
)
def test_an_address_that_pins_nothing_is_refused_unasked(address: str, says: str) -> None:
    with pytest.raises(ArtifactError, match=says) as caught:
        artifactstore.digest(address)
    assert caught.value.reason == "Unsupported"


def test_a_tag_before_the_digest_is_for_people() -> None:
    found = _oci_reference.parse(f"oci://Reg.example:5000/models/parts:v3@{DIGEST}/best%20one.onnx")
    assert (found.registry, found.repository, found.digest) == ("reg.example:5000", "models/parts", DIGEST)
    assert found.file == "best one.onnx"


@pytest.mark.parametrize("key", ["org.cncf.model.filepath", "org.cnai.model.filepath"])
def test_a_model_pack_names_its_files_its_own_way(
    registry: tuple[type[Handler], str], tmp_path: Path, key: str
) -> None:
    handler, host = registry
    handler.put(DATA)
    entry = described(DATA, None, "application/vnd.cncf.model.weight.v1.raw") | {"annotations": {key: "best.onnx"}}
    digest = handler.put(manifest(entry, artifactType="application/vnd.cncf.model.manifest.v1+json"))
    assert fetched(f"oci://{host}/{REPOSITORY}@{digest}/best.onnx", tmp_path) == DATA


def test_an_index_leads_to_the_manifest_with_the_file(registry: tuple[type[Handler], str], tmp_path: Path) -> None:
    handler, host = registry
    handler.put(DATA)
    one, other = manifest(described(b"card", "README.md")), manifest(described(DATA, "best.onnx"))
    for each in (one, other):
        handler.put(each)
    attested = {"digest": DIGEST, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    digest = handler.put(index(one, other, others=[attested]))
    assert fetched(f"oci://{host}/{REPOSITORY}@{digest}/best.onnx", tmp_path) == DATA


def test_two_files_of_one_name_are_told_apart_by_nobody(registry: tuple[type[Handler], str], tmp_path: Path) -> None:
    handler, host = registry
    one, other = manifest(described(b"amd64", "best.engine")), manifest(described(b"arm64", "best.engine"))
    digests = [
        handler.put(each)
        for each in (index(one, other), manifest(*json.loads(one)["layers"], *json.loads(other)["layers"]))
    ]
    for each in (one, other):
        handler.put(each)
    for digest, says in zip(digests, ("several manifests of that index", "2 layers of that name"), strict=True):
        with pytest.raises(ArtifactError, match=says):
            artifactstore.digest(f"oci://{host}/{REPOSITORY}@{digest}/best.engine")


def test_a_file_that_the_manifest_lacks_is_told_with_those_it_has(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path
) -> None:
    caught = refused(uri.replace("best.onnx", "last.onnx"), tmp_path)
    assert caught.reason == "NotFound"
    assert "but best.onnx, other.txt" in caught.message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"schemaVersion": 1, "layers": []}',
        b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:../x"}]}',
        b'{"schemaVersion": 2, "manifests": 7}',
        b'{"schemaVersion": 2, "layers": {"a": 1}}',
        b'{"schemaVersion": 2, "layers": [7, null, {"annotations": []}]}',
        json.dumps({"schemaVersion": 2, "layers": [described(b"", "best.onnx", size=-1)]}).encode(),
        json.dumps({"schemaVersion": 2, "layers": [described(b"", "best.onnx", size=True)]}).encode(),
        json.dumps({"schemaVersion": 2, "layers": [described(b"", "best.onnx", digest="sha512:x")]}).encode(),
        json.dumps({"schemaVersion": 2, "layers": [described(b"", "best.onnx", digest=["x"])]}).encode(),
        index(*[str(number).encode() for number in range(17)]),
    ],
)
def test_what_is_no_manifest_is_refused(registry: tuple[type[Handler], str], tmp_path: Path, content: bytes) -> None:
    handler, host = registry
    digest = handler.put(content)
    assert refused(f"oci://{host}/{REPOSITORY}@{digest}/best.onnx", tmp_path).reason in ("Unsupported", "NotFound")
    assert ranges(handler) == []


@pytest.mark.parametrize(
    "header", ["", "Basic", "Negotiate", 'Bearer service="x"', "Bearer realm=,", "\x00", '"' * 9999]
)
def test_no_challenge_breaks_the_reader(header: str) -> None:
    found = _oci_credentials.challenge(header)
    assert found is None or found.scheme == "basic"


@pytest.mark.parametrize(
    ("header", "scheme", "realm"),
    [
        ('Bearer realm="https://t",service="s",scope="a:b:pull,push"', "bearer", "https://t"),
        ('Bearer realm="https://t",service="s", Basic realm="Registry Realm"', "bearer", "https://t"),
        ('Basic realm="Registry Realm", Bearer realm="https://t",service="s"', "bearer", "https://t"),
        ("Negotiate, Basic realm=x", "basic", ""),
        ('Negotiate abc==, bearer REALM = "https://t" , Service=s', "bearer", "https://t"),
        ('Digest realm="https://t"', "", ""),
        ('realm="https://t"', "", ""),
    ],
)
def test_of_several_challenges_the_one_for_a_token_is_answered(header: str, scheme: str, realm: str) -> None:
    """Headers that come twice are one with a comma between; each challenge has parameters of its own."""
    found = _oci_credentials.challenge(header)
    assert ((found.scheme, found.realm) if found else ("", "")) == (scheme, realm)
    if found is not None and "service" in header.lower():
        assert found.service == "s"
    if "scope" in header:
        assert found is not None
        assert found.scope == "a:b:pull,push"


def many_digits(handler: Handler) -> None:
    handler.reply(206, DATA[1_000_000:], {"Content-Range": f"bytes {'9' * 5000}-"})


def unauthorized_by(realm: str) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(401, b"", {"WWW-Authenticate": f'Bearer realm="{realm}"'})


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("manifests", redirecting("//[")),
        ("blobs", redirecting("//[")),
        ("manifests", unauthorized_by("https://[::1")),
    ],
)
def test_an_address_that_is_none_is_the_registrys_fault(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path, kind: str, fault: Callable[[Handler], None]
) -> None:
    handler, _ = registry
    handler.faults[kind] = [fault] * 20
    error = refused(uri, tmp_path)
    assert (error.reason, "names an address that is none" in str(error)) == ("Unsupported", True)


def test_a_part_that_begins_nowhere_is_asked_for_again(
    registry: tuple[type[Handler], str], uri: str, tmp_path: Path
) -> None:
    handler, _ = registry
    handler.faults["blobs"] = [broken, many_digits]
    assert fetched(uri, tmp_path) == DATA
