"""Reads the provider's answers. Pure: status code and body in, a typed result out."""

import re
from typing import Any

from modelfleet.api.foreign import parsed
from modelfleet.prometheus.results import NoData, ProviderDown, Result, Samples, Series
from modelfleet.wording import clip

_EXCERPT = 160  # of a provider's own error text: enough to name the fault, too short to carry a page into a status


def read(status: int, body: bytes, setting: str = "prometheus") -> Result:
    """The result in a complete answer with this HTTP status; `setting` as in Client."""
    document = _document(body)
    if status != 200:
        return refused(status, document, setting)
    if document is None or document.get("status") != "success":
        return ProviderDown(f"the answer is not one of the Prometheus query API: is {setting}.url right?")
    if document.get("isPartial") is True:
        return ProviderDown("the answer is partial: a part of the metrics storage is not available")
    if document.get("warnings"):
        return _incomplete(document["warnings"])
    data = document.get("data")
    try:
        series = _series(data["resultType"], data["result"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError, IndexError):
        return ProviderDown("the answer is not one of the Prometheus query API: its data can't be read")
    return Samples(series) if series else NoData()


def refused(status: int, document: dict[str, Any] | None, setting: str) -> ProviderDown:
    """What an answer other than 200 means, and what to do about it."""
    said = _excerpt(document)
    if status in (400, 422):
        return ProviderDown(f"Prometheus refused the query (HTTP {status}){said}", bad_query=True)
    if 300 <= status < 400:
        return ProviderDown(f"HTTP {status}: redirects are not followed; put the final address into {setting}.url")
    if status in (401, 403):
        return ProviderDown(f"HTTP {status}: {setting}.credentials are missing or not accepted")
    if status == 404:
        return ProviderDown(f"HTTP 404: no Prometheus query API at {setting}.url; is a path prefix missing?")
    if status == 429:
        return ProviderDown("HTTP 429: Prometheus limits the rate of queries")
    return ProviderDown(f"Prometheus answered HTTP {status}{said}")


def _incomplete(warnings: Any) -> ProviderDown:
    """An answer that says it may lack something: a remote storage that did not answer, a Thanos store that is away, or
    samples that don't fit the query (Prometheus' own words, which begin with "PromQL"). That is no data to judge by."""
    first = str(warnings[0] if isinstance(warnings, list) else warnings)
    ours = first.startswith("PromQL")
    what = "Prometheus refused the query's samples" if ours else "the answer may be incomplete"
    return ProviderDown(f"{what}{_excerpt({'error': first})}", bad_query=ours)


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = parsed(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _excerpt(document: dict[str, Any] | None) -> str:
    """The provider's own error text, made one short line; nothing of a body that is not the API's (a proxy's page)."""
    error = None if document is None else document.get("error")
    if not isinstance(error, str) or not error:
        return ""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in error)).strip()
    return f": {clip(line, _EXCERPT)}"


def _series(kind: str, result: Any) -> tuple[Series, ...]:
    """Series of an instant (vector, scalar) or range (matrix) result; entries without plain values are left out."""
    if kind == "scalar":
        return (({}, (_sample(result),)),)
    if kind == "vector":
        return tuple((_labels(entry), (_sample(entry["value"]),)) for entry in result if "value" in entry)
    if kind == "matrix":
        series = ((_labels(entry), tuple(_sample(pair) for pair in entry.get("values", ()))) for entry in result)
        return tuple(entry for entry in series if entry[1])
    raise ValueError(f"a result of type {kind!r} holds no numbers")


def _labels(entry: Any) -> dict[str, str]:
    labels: dict[str, str] = entry["metric"]
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("labels that are not texts")
    return labels


def _sample(pair: Any) -> tuple[float, float]:
    time, value = pair
    return float(time), float(value)  # float() reads NaN, +Inf and -Inf as Prometheus writes them
