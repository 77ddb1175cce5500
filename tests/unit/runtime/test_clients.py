"""The clients are those of the settings."""

from datetime import UTC, datetime

from modelfleet import settings
from modelfleet.runtime import clients


async def test_each_provider_of_the_settings_is_there_and_says_where_it_is_from():
    told: list[tuple[str, str]] = []
    read = settings.parse(
        "{images: {trainer: t, agent: a, labeler: l}, prometheus: {default: west, url: 'http://127.0.0.1:1', "
        "providers: {west: {url: 'http://127.0.0.1:1', credentials: {bearerToken: /none}}}}}"
    )
    providers = clients.providers(read.prometheus, lambda name, result: told.append((name, type(result).__name__)))
    for name, says in ((None, "prometheus.providers.west.credentials"), ("west", "prometheus.providers.west")):
        found = await providers.get(name).instant("up", datetime(2026, 11, 21, tzinfo=UTC))
        assert says in found.message
    assert told == [("west", "ProviderDown")] * 2
    assert providers.get("default") is not providers.get("west")
    assert "known: default, west" in providers.get("east").message
    await providers.aclose()
