"""The one door to metrics: an HTTP client for the Prometheus query API with typed results.

Everything used here is also served by Thanos, Grafana Mimir and VictoriaMetrics: `/api/v1/query` and
`/api/v1/query_range` by POST. What a query says is `Samples`, `NoData` (it answered, and there is nothing) or
`ProviderDown` (it did not answer, or can't be understood), and never an exception: who judges must look at all three.
"""

from modelfleet.prometheus.client import Client
from modelfleet.prometheus.providers import DEFAULT, Providers
from modelfleet.prometheus.results import NoData, ProviderDown, Result, Samples, Series

__all__ = ["DEFAULT", "Client", "NoData", "ProviderDown", "Providers", "Result", "Samples", "Series"]
