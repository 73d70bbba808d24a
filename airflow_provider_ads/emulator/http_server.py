"""The HTTP server, whose port can be closed for a while."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread, current_thread
from typing import Any

from werkzeug.serving import LISTEN_QUEUE, ThreadedWSGIServer, WSGIRequestHandler, select_address_family

__all__ = ["HttpServer", "WsgiApplication"]

_log = logging.getLogger(__name__)

#: Seconds between attempts to listen again on a port that another process has taken.
_RETRY_SECONDS = 0.1

WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _RequestHandler(WSGIRequestHandler):
    """Logs requests to this module's logger instead of werkzeug's."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        _log.debug(message, *args)


class _Server(ThreadedWSGIServer):
    """
    A server that records its connections, so that they can be closed.

    It uses a copy of the listening socket and closes the original.
    """

    def __init__(
        self, bound: socket.socket, application: WsgiApplication, connections: dict[socket.socket, Thread]
    ) -> None:
        self._connections = connections
        host, port = bound.getsockname()[:2]
        with bound:
            super().__init__(host, port, application, _RequestHandler, fd=bound.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="ads-emulator-connection",
            daemon=True,
        )
        self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._connections.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.exception("A connection failed unexpectedly")


class HttpServer:
    """
    Serves a WSGI application on one port, with one thread per connection.

    :param host: the address to listen on.
    :param port: the port to listen on; 0: a free port, which :attr:`port` contains after the start.
    :param application: the WSGI application.
    """

    def __init__(self, host: str, port: int, application: WsgiApplication) -> None:
        self.host = host
        self.port = port
        self._application = application
        self._connections: dict[socket.socket, Thread] = {}
        self._server: _Server | None = None
        self._thread: Thread | None = None
        self._bound: socket.socket | None = None
        self._reopening: Thread | None = None
        self._reopening_cancelled = Event()
        self._lock = Lock()

    def start(self) -> None:
        """
        Start to listen.

        :raises OSError: if the port is not available.
        :raises OverflowError: if the number is not a port number.
        """
        bound = self._bind()
        self.port = bound.getsockname()[1]
        try:
            self._listen(bound)
        except OSError:
            bound.close()
            raise

    def refuse(self, seconds: float) -> None:
        """
        Close the port and every connection except the caller's own, and listen again later.

        :param seconds: how long to refuse connections.
        :raises ValueError: if the server is not running.
        """
        with self._lock:
            if self._server is None and self._bound is None:
                raise ValueError("Cannot refuse connections: the emulator is not running.")
            bound, self._bound = self._bound, None
            self._close()
            # A port that is bound but has no listener refuses connections. On Linux, another process can still take it.
            self._bound = bound or self._bind()
            self._reopening_cancelled = Event()
            self._reopening = Thread(
                target=self._reopen,
                args=(self._bound, seconds, self._reopening_cancelled),
                name="ads-emulator-reopening",
                daemon=True,
            )
            self._reopening.start()

    def stop(self) -> None:
        """Close the port and every connection, and wait for their threads to end."""
        with self._lock:
            self._close()
        for thread in (self._reopening, *self._connections.copy().values()):
            if thread is not None:
                thread.join()

    def _bind(self) -> socket.socket:
        bound = socket.socket(select_address_family(self.host, self.port), socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self.host, self.port))
        except BaseException:
            bound.close()
            raise
        return bound

    def _listen(self, bound: socket.socket) -> None:
        bound.listen(LISTEN_QUEUE)
        self._server = _Server(bound, self._application, self._connections)
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="ads-emulator-port", daemon=True)
        self._thread.start()

    def _reopen(self, bound: socket.socket, seconds: float, cancelled: Event) -> None:
        warned = False
        while not cancelled.wait(seconds):
            with self._lock:
                if cancelled.is_set():
                    return
                try:
                    self._listen(bound)
                except OSError as error:
                    if not warned:
                        _log.warning("Cannot listen on port %d again yet: %s", self.port, error)
                    warned, seconds = True, _RETRY_SECONDS
                else:
                    self._bound = None
                    _log.info("Listening on port %d again", self.port)
                    return

    def _close(self) -> None:
        self._reopening_cancelled.set()
        if self._bound is not None:
            self._bound.close()
            self._bound = None
        if self._server is not None and self._thread is not None:
            with contextlib.suppress(OSError):  # this wakes a server that waits for connections, but only on Linux
                self._server.socket.shutdown(socket.SHUT_RDWR)
            self._server.shutdown()
            self._thread.join()
            self._server = self._thread = None
        for connection, thread in self._connections.copy().items():
            if thread is not current_thread():
                with contextlib.suppress(OSError):  # the connection has been closed in the meantime
                    connection.shutdown(socket.SHUT_RDWR)
