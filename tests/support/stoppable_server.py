"""A server on this machine that leaves no connections and no threads when it stops."""

from __future__ import annotations

import selectors
import socket
import socketserver
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from threading import Event, Lock, Thread
from typing import Any, Self

__all__ = ["ForwardingHandler", "StoppableServer", "relay"]

#: Headers that concern one connection only: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1. The handler has
#: already answered ``Expect``, and the forwarded response has a content length.
_NOT_FORWARDED = {"connection", "expect", "keep-alive", "proxy-authorization", "proxy-connection", "transfer-encoding"}


class StoppableServer(socketserver.TCPServer):
    """
    A server on a free port of the loopback interface, with a daemon thread for each connection.

    It runs during a ``with`` statement.

    :param handler: handles a connection.
    :ivar stopping: set when the server stops. Handlers wait for it instead of sleeping.
    """

    request_queue_size = 128

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.port: int = self.server_address[1]
        self.stopping = Event()
        self._connections: set[socket.socket] = set()
        self._lock = Lock()
        self._threads: list[Thread] = []
        self._accepting = Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        self._accepting.join()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _shut_down(connection)
        for thread in self._threads:
            thread.join()
        self.server_close()

    @contextmanager
    def closing(self, connection: socket.socket) -> Iterator[None]:
        """Close a connection at the end of the ``with`` statement. Its reads and writes end when the server stops."""
        with self._lock:
            self._connections.add(connection)
        if self.stopping.is_set():
            _shut_down(connection)
        try:
            with connection:
                yield
        finally:
            with self._lock:
                self._connections.remove(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = Thread(target=self._serve, args=(request, client_address), daemon=True)
        self._threads = [*(each for each in self._threads if each.is_alive()), thread]
        thread.start()

    def _serve(self, request: Any, client_address: Any) -> None:
        with suppress(OSError), self.closing(request):  # one of the sides closed the connection
            self.finish_request(request, client_address)


class ForwardingHandler(BaseHTTPRequestHandler):
    """Base class for handling HTTP requests, which can be forwarded unchanged, so that signatures remain valid."""

    protocol_version = "HTTP/1.1"
    server: StoppableServer

    def respond(self) -> None:
        """Handle one request."""
        raise NotImplementedError

    do_CONNECT = do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = lambda self: self.respond()  # noqa: N815

    def read_body(self) -> bytes:
        """Read the body of the request, which must have a content length."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def forward(self, host: str, port: int, path: str, body: bytes) -> None:
        """
        Send the request to another server, and its response to the client.

        :raises OSError: if there is no complete response. Unless that is handled, the client's connection is closed.
        """
        upstream = HTTPConnection(host, port)
        upstream.connect()
        with self.server.closing(upstream.sock):
            upstream.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _NOT_FORWARDED:
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            with closing(upstream.getresponse()) as response:
                try:
                    content = response.read()
                except HTTPException as error:
                    raise ConnectionError from error
        headers = {name: value for name, value in response.getheaders() if name.lower() not in _NOT_FORWARDED}
        self.answer(response.status, content, headers)

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        """Send a response to the client, and close the connection, as the emulator does."""
        self.send_response_only(status)
        if self.command != "HEAD":
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
            headers["Content-Length"] = str(len(content))
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


def relay(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes between two connections until one of them is closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for ready, _ in selector.select():
                # This is more than a TLS record, so nothing remains that the selector cannot see.
                received = ready.fileobj.recv(65_536)  # type: ignore[union-attr]  # a socket was registered
                if not received:
                    return
                ready.data.sendall(received)


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed or was replaced by a TLS connection
        # The method of a TLS socket would also remove its TLS state, which the connection's thread still uses.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
