"""A server with presigned URLs, for tests of downloads."""

from __future__ import annotations

import io
import ssl
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from airflow_provider_ads.discovery.download import ArchiveDownloadError

__all__ = [
    "CREDENTIAL",
    "LINK",
    "PATH",
    "SIGNATURE",
    "Answer",
    "refusal_of",
    "s3_error",
    "sending",
    "sending_chunks",
    "serving",
    "zip_of",
]

#: Everything in the URL after its host, which must not appear in errors and logs.
PATH = "/bucket-of-aws/import-task.zip"
CREDENTIAL = "AKIAIOSFODNN7EXAMPLE"
SIGNATURE = "fedcba9876543210" * 4
LINK = f"{PATH}?X-Amz-Credential={CREDENTIAL}&X-Amz-Signature={SIGNATURE}"

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer | bytes, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Answer requests on a free port, and yield a presigned URL. Bytes are the body of a successful response."""
    respond = sending(answer) if isinstance(answer, bytes) else answer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            with suppress(OSError):  # the client closed the connection
                respond(self)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the client does not trust the certificate

    with Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}{LINK}"
        finally:
            server.shutdown()
            thread.join()


def sending(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def sending_chunks(status: int, *chunks: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for chunk in (*chunks, b""):
            request.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    return answer


def s3_error(code: str, message: str, more: str = "") -> bytes:
    xml = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}<RequestId>4442587FB7D0A2F9</RequestId></Error>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}'.encode()


def zip_of(*files: tuple[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for name, content in files:
            # zipfile normalizes only the name that it is given here.
            info = zipfile.ZipInfo("x")
            info.filename = name
            members.writestr(info, content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def refusal_of(download: AbstractContextManager[Any]) -> ArchiveDownloadError:
    """Return the error of a download, which must not contain any part of the URL after its host."""
    with pytest.raises(ArchiveDownloadError) as raised, download:
        pass
    shown = "".join(traceback.format_exception(raised.value))
    error: BaseException | None = raised.value
    while error is not None:
        shown += f"{error} {error!r} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert not any(secret in shown for secret in (PATH, CREDENTIAL, SIGNATURE))
    assert len(str(raised.value)) < 500
    return raised.value
