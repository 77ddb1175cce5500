"""Where the API server is and how to log in: from a kubeconfig, or from the service account of the pod.

kubernetes.aio reads both forms, runs exec plugins, and makes the TLS context. The two users of a `Connection`, our own
`Client` and kopf's watch streams, get HTTP sessions from it that log in by themselves at each request: one address, one
TLS context, one token. A service account's token is read again each minute, as Kubernetes rotates it; after a 401 the
credentials are loaded again (`renew`). New client certificates need a restart.
"""

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from yaml import YAMLError

from modelfleet.kube.errors import ApiError

_RENEW_AT_MOST_EVERY = 10.0  # seconds; an exec plugin can be slow, and many requests fail with 401 at once


class Connection:
    """An API server and the credentials for it. Made by `Connection.open`, ended by `close`."""

    def __init__(self, kubeconfig: Path | None, configuration: Configuration) -> None:
        self._kubeconfig = kubeconfig
        self._configuration = configuration
        self._api = ApiClient(configuration)  # only for its TLS context
        self._renewing = asyncio.Lock()
        self._renewed_at = asyncio.get_running_loop().time()

    @classmethod
    async def open(cls, kubeconfig: Path | None) -> "Connection":
        """Read `kubeconfig`, or the pod's service account where it is None. Nothing is sent to the server yet.

        Raises ApiError, with what to do, when there is neither or the file is broken.
        """
        configuration = Configuration()
        await _load(kubeconfig, configuration)
        try:
            return cls(kubeconfig, configuration)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ApiError(f"the certificates for {configuration.host} can't be used: {error}") from error

    @property
    def server(self) -> str:
        """The address, "https://host:port"."""
        return str(self._configuration.host)

    @property
    def tls(self) -> ssl.SSLContext:
        """The TLS context, with the client certificate where there is one."""
        context: ssl.SSLContext = self._api.rest_client.ssl_context
        return context

    async def authorization(self) -> str | None:
        """The value of the Authorization header now; None where a client certificate does it all."""
        setting = (await self._configuration.auth_settings()).get("BearerToken")
        return None if setting is None else setting["value"]

    async def renew(self) -> None:
        """Load the credentials again, after a 401. Calls that come together, or soon after one another, load once.

        Raises ApiError as `open` does; the old credentials stay then.
        """
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        async with self._renewing:
            if asked_at - self._renewed_at >= _RENEW_AT_MOST_EVERY:
                await _load(self._kubeconfig, self._configuration)
                self._renewed_at = clock()

    def session(self, *middlewares: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
        """A new HTTP session to this server that logs in on its own. The caller closes it."""

        async def log_in(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            authorization = await self.authorization()
            if authorization is not None:
                request.headers["Authorization"] = authorization
            if self._configuration.tls_server_name:
                request.server_hostname = self._configuration.tls_server_name
            return await handler(request)

        layers: Sequence[aiohttp.ClientMiddlewareType] = (*middlewares, log_in)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self.tls),
            headers={"User-Agent": "modelfleet"},
            middlewares=layers,
            proxy=self._configuration.proxy,
            read_bufsize=2**21,
        )

    async def close(self) -> None:
        """Release what kubernetes.aio holds. Sessions are closed by those who asked for them."""
        await self._api.close()  # type: ignore[no-untyped-call]


async def _load(kubeconfig: Path | None, configuration: Configuration) -> None:
    try:
        if kubeconfig is None:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            return
        await load_kube_config(  # type: ignore[no-untyped-call]
            str(kubeconfig), client_configuration=configuration, persist_config=False
        )
    except ConfigException as error:
        hint = "run in a pod with a service account, or give --kubeconfig" if kubeconfig is None else kubeconfig
        raise ApiError(f"no usable credentials for the API server: {error} ({hint})") from error
    except (OSError, ValueError, KeyError, TypeError, YAMLError) as error:
        raise ApiError(f"the credentials for the API server can't be read: {error!r} ({kubeconfig})") from error
