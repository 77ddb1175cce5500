"""Addresses in the settings: what is taken can be asked, and what can't be is refused where its setting is named."""

import json

import httpx
import pytest

from modelfleet import settings
from modelfleet.addresses import is_address

IMAGES = {"images": {"trainer": "a", "agent": "b", "labeler": "c"}}
TAKEN = [
    "http://prometheus",
    "https://thanos.monitoring.svc:10902/select/0?tenant=a",
    "http://10.0.0.1:65535",
    "http://[fd00::1]:9090/",
    "http://user:secret@prometheus:9090",
    "HTTP://prometheus",
]
REFUSED = [
    "",
    "prometheus:9090",
    "//prometheus",
    "ftp://prometheus",
    "https://",
    "http://:80",
    "http://user@",
    "http://prom:abc",
    "http://prom:0",
    "http://prom:65536",
    "http://prom:-1",
    "http://999.1.1.1",
    "http://[fd00:::1]",
    "http://[fd00::1",
    "http://[prom]",
    "http://prom etheus",
    " http://prom",
    "http://prom/a b",
    "http://prom\n",
    "http://prom\u00a0",
    "http://ü..x",
    "http://" + "a" * 70_000,
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_is_taken_can_be_asked(text):
    assert is_address(text)
    assert httpx.Client(trust_env=False).build_request("GET", text).url.host


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:20])
def test_what_can_not_be_asked_is_refused_where_it_stands(text):
    assert not is_address(text)
    places = [{"prometheus": {"providers": {"west": {"url": text}}}}]
    if text:  # an empty one is none
        places += [{"prometheus": {"url": text}}, {"notifications": {"endpoints": {"bus": {"url": text}}}}]
    for place in places:
        with pytest.raises(settings.SettingsError, match="url must be an http or https address"):
            settings.parse(json.dumps(IMAGES | place))
