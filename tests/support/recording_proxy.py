"""A forward proxy that records the requests of its clients."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.stoppable_server import ForwardingHandler, StoppableServer, relay

__all__ = ["ProxiedRequest", "RecordingProxy"]

#: Seconds for a server to accept a connection.
_CONNECT_TIMEOUT = 10


class ProxiedRequest(NamedTuple):
    """
    A request to a proxy.

    :param method: the method, such as ``GET``, or ``CONNECT`` for a tunnel.
    :param address: the server, as ``host:port``.
    :param user_agent: the client's user agent; empty if the client sent none, which is usual for a tunnel.
    """

    method: str
    address: str
    user_agent: str


class _Handler(ForwardingHandler):
    server: RecordingProxy

    def respond(self) -> None:
        url = urlsplit(f"//{self.path}" if self.command == "CONNECT" else self.path)
        host, port = url.hostname or "", url.port or 80
        request = ProxiedRequest(self.command, f"{host}:{port}", self.headers.get("User-Agent", ""))
        self.server.requests.append(request)
        if request.address in self.server.addresses:
            host, _, upstream_port = self.server.addresses[request.address].partition(":")
            port = int(upstream_port)
        if self.command == "CONNECT":
            self._tunnel(host, port)
            return
        try:
            self.forward(host, port, url._replace(scheme="", netloc="").geturl() or "/", self.read_body())
        except OSError:
            if self.server.stopping.is_set():
                raise
            self.send_error(502)

    def _tunnel(self, host: str, port: int) -> None:
        self.close_connection = True
        try:
            upstream = socket.create_connection((host, port), _CONNECT_TIMEOUT)
        except OSError:
            self.send_error(502)
            return
        upstream.settimeout(None)
        with self.server.closing(upstream):
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            relay(self.connection, upstream)


class RecordingProxy(StoppableServer):
    """
    A proxy for HTTP, and for HTTPS through ``CONNECT``. It runs during a ``with`` statement.

    :param addresses: other servers to connect to, by the addresses that clients ask for, as ``host:port``. Such a
        server can be reached only through the proxy if nothing listens at the address that clients ask for.
    :ivar url: the URL for ``proxies`` in botocore's configuration or for ``https_proxy``.
    :ivar requests: the requests, oldest first.
    """

    def __init__(self, addresses: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(_Handler)
        self.addresses = addresses
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: list[ProxiedRequest] = []
