"""The clients are those of the settings."""

from datetime import UTC, datetime

from modelfleet import settings
from modelfleet.runtime import clients


async def test_each_provider_of_the_settings_is_there_and_says_where_it_is_from():
    read = settings.parse(
        "{images: {trainer: t, agent: a}, prometheus: {default: west, url: 'http://127.0.0.1:1', "
        "providers: {west: {url: 'http://127.0.0.1:1', credentials: {bearerToken: /none}}}}}"
    )
    providers = clients.providers(read.prometheus)
    for name, says in ((None, "prometheus.providers.west.credentials"), ("west", "prometheus.providers.west")):
        found = await providers.get(name).instant("up", datetime(2026, 11, 21, tzinfo=UTC))
        assert says in found.message
    assert providers.get("default") is not providers.get("west")
    assert "known: default, west" in providers.get("east").message
    await providers.aclose()
