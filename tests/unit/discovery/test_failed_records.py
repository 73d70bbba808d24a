from __future__ import annotations

import csv
import http.client
import io
import logging
import os
import pickle
import re
import ssl
import tempfile
import time
import traceback
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery import failed_records
from airflow_provider_ads.discovery.failed_records import (
    ERRORS_SHOWN,
    FailedRecordsError,
    FieldError,
    FieldErrors,
    count_failed_entries,
    format_errors_table,
    open_failed_records,
    read_errors,
)
from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES, IMPORT_RECORDS_PER_ACCOUNT

#: Everything in the URL after its host, which must not appear in errors and logs.
PATH = "/bucket-of-aws/import-task.zip"
CREDENTIAL = "AKIAIOSFODNN7EXAMPLE"
SIGNATURE = "fedcba9876543210" * 4
LINK = f"{PATH}?X-Amz-Credential={CREDENTIAL}&X-Amz-Signature={SIGNATURE}"

ERRORS = b"line,column name,ExternalId,message\n2,CPU.NumberOfCores,srv-1,'x' is not a number.\n"
FAILED_ENTRIES = b"ExternalId,CPU.NumberOfCores\r\nsrv-1,x\r\n"

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


GOOD_ZIP = zip_of(("errors-file.csv", ERRORS), ("failed-entries-file.csv", FAILED_ENTRIES))


def contents(answer: Answer | bytes) -> tuple[bytes, bytes]:
    with serving(answer) as url, open_failed_records(url) as records:
        return records.errors_file.read_bytes(), records.failed_entries_file.read_bytes()


def refusal_at(url: str, verify: bool | str | None = None) -> FailedRecordsError:
    """Return the error for a URL, which must not contain any part of the URL after its host."""
    with pytest.raises(FailedRecordsError) as raised, open_failed_records(url, verify):
        pass
    shown = "".join(traceback.format_exception(raised.value))
    error: BaseException | None = raised.value
    while error is not None:
        shown += f"{error} {error!r} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert not any(secret in shown for secret in (PATH, CREDENTIAL, SIGNATURE))
    assert len(str(raised.value)) < 500
    return raised.value


def refusal(answer: Answer | bytes) -> FailedRecordsError:
    with serving(answer) as url:
        return refusal_at(url)


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which must be empty after the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture(autouse=True)
def no_part_of_the_url_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail the test if a part of the URL is logged or printed, even at level DEBUG."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    yield
    logged = caplog.text + "".join(capfd.readouterr())
    assert not any(secret in logged for secret in (PATH, CREDENTIAL, SIGNATURE))


class TestDownload:
    @pytest.mark.parametrize("answer", [GOOD_ZIP, sending_chunks(200, GOOD_ZIP[:100], GOOD_ZIP[100:])])
    def test_both_files_are_unchanged(self, answer: Answer | bytes) -> None:
        assert contents(answer) == (ERRORS, FAILED_ENTRIES)

    @pytest.mark.parametrize(
        ("status", "aws_code", "aws_message", "code", "transient", "message"),
        [
            (403, "AccessDenied", "Request has expired", "ArchiveLinkExpired", False, "the link .* has expired"),
            (400, "ExpiredToken", "The token has expired.", "ArchiveLinkExpired", False, "the link .* has expired"),
            (404, "NoSuchKey", LINK, "ArchiveNotFound", False, "the error archive no longer exists"),
            (410, "NoSuchKey", LINK, "ArchiveNotFound", False, "the error archive no longer exists"),
            (403, "AccessDenied", LINK, "ArchiveRefused", False, "server refused the link"),
            (206, "Half", LINK, "ArchiveRefused", False, "server refused the link"),
            (429, "SlowDown", LINK, "ArchiveRefused", True, "server failed"),
            (500, "InternalError", LINK, "ArchiveRefused", True, "server failed"),
        ],
    )
    def test_a_refusal_quotes_only_the_status_and_the_code(
        self, status: int, aws_code: str, aws_message: str, code: str, transient: bool, message: str
    ) -> None:
        more = f"<SignatureProvided>{SIGNATURE}</SignatureProvided><CanonicalRequest>GET\n{LINK}</CanonicalRequest>"
        error = refusal(sending(s3_error(aws_code, aws_message, more), status))
        assert (error.code, error.transient) == (code, transient)
        assert re.search(rf"^\w+ .*: .*{message} \(HTTP {status}, {aws_code}\)\.", str(error))

    def test_an_explanation_can_come_in_chunks(self) -> None:
        body = s3_error("AccessDenied", "Request has expired")
        assert refusal(sending_chunks(403, body[:20], body[20:70], body[70:])).code == "ArchiveLinkExpired"

    @pytest.mark.parametrize("body", [b"", b"Bad Gateway", f"<Code>{SIGNATURE}</Code>".encode()])
    def test_a_refusal_that_does_not_come_from_s3(self, body: bytes) -> None:
        assert "(HTTP 502)" in str(refusal(sending(body, 502)))

    @pytest.mark.parametrize(("status", "transient"), [(301, False), (302, False), (307, True), (308, False)])
    def test_a_redirect_is_not_followed(self, status: int, transient: bool) -> None:
        requested: list[str] = []

        def answer(request: BaseHTTPRequestHandler) -> None:
            requested.append(request.path)
            sending(b"", status, Location=f"/elsewhere{LINK}")(request)

        error = refusal(answer)
        assert requested == [LINK]
        assert (error.code, error.transient) == ("ArchiveRefused", transient)
        assert f"redirects to another address (HTTP {status})" in str(error)

    @pytest.mark.parametrize(
        ("sent", "reason"),
        [
            (b"", "Remote end closed connection"),
            (f"GET {LINK} is what you sent\r\n\r\n".encode(), "BadStatusLine"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nPK\3\4", "the connection was closed before the end"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nPK\3\4", "IncompleteRead"),
        ],
        ids=["before the response", "after nonsense", "in the archive", "in a chunk"],
    )
    def test_a_closed_connection_is_transient(self, sent: bytes, reason: str) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(sent)

        error = refusal(answer)
        assert (error.code, error.transient) == ("ArchiveNotReached", True)
        assert f"could not be downloaded: {reason}" in str(error)

    @pytest.mark.parametrize(
        ("timeout", "pause", "reason"),
        [("READ_TIMEOUT", 0.5, "timed out"), ("DOWNLOAD_TIMEOUT", 0.01, "the download timed out after")],
    )
    def test_a_server_that_stops_sending_or_sends_too_slowly_times_out(
        self, monkeypatch: pytest.MonkeyPatch, timeout: str, pause: float, reason: str
    ) -> None:
        monkeypatch.setattr(failed_records, timeout, 0.1)
        sent = 0

        def answer(request: BaseHTTPRequestHandler) -> None:
            nonlocal sent
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
            while sent < 3000:
                sent += request.wfile.write(b"P")
                time.sleep(pause)

        error = refusal(answer)
        assert (error.code, error.transient) == ("ArchiveNotReached", True)
        assert reason in str(error)
        assert sent < 3000

    def test_an_endless_archive_is_not_downloaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(failed_records, "MAX_BYTES", 1_000_000)
        sent = 0

        def answer(request: BaseHTTPRequestHandler) -> None:
            nonlocal sent
            request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while sent < 1_000_000_000:
                sent += request.wfile.write(bytes(100_000))

        error = refusal(answer)
        assert error.code == "ArchiveNotReadable"
        assert "exceeds the 1,000,000 bytes" in str(error)
        assert sent < 1_000_000_000

    @pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1:1"], ids=["unknown host", "closed port"])
    def test_a_server_that_cannot_be_reached_is_transient(self, host: str) -> None:
        error = refusal_at(f"http://{host}{LINK}")
        assert (error.code, error.transient) == ("ArchiveNotReached", True)
        assert str(error).startswith("Check the network and the proxy, and try again: ")

    @pytest.mark.parametrize(
        "url",
        [
            LINK,
            f"file://{__file__}?{LINK}",
            f"http://[{LINK}",
            f"http://127.0.0.1:port{LINK}",
            f"http://127.0.0.1:1{LINK} x",
            f"http://127.0.0.1:1{LINK}\r\nX: y",
            f"http://127.0.0.1:1{LINK}ü",
            f"http://{'a' * 64}.invalid{LINK}",
            f"http://{LINK}",
        ],
    )
    def test_a_url_that_is_not_a_web_address_is_refused(self, url: str) -> None:
        error = refusal_at(url)
        assert (error.code, error.transient) == ("ArchiveRefused", False)
        assert str(error).startswith("Run the task again, which can renew the link: ")

    def test_the_proxy_from_the_environment_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        requested: list[str] = []

        def answer(request: BaseHTTPRequestHandler) -> None:
            requested.append(request.path)
            sending(GOOD_ZIP)(request)

        url = f"http://archive.invalid{LINK}"
        with serving(answer) as proxy:
            monkeypatch.setenv("http_proxy", proxy.removesuffix(LINK))
            with open_failed_records(url):
                assert requested == [url]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of an authority. The server's certificate and key are in the same folder."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ec.generate_private_key(ec.SECP256R1())

    def certificate(name: str, extension: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(
            issuer_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")]),
            subject_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=datetime.now(UTC) - timedelta(days=1),
            not_valid_after=datetime.now(UTC) + timedelta(days=1),
        ).add_extension(extension, critical=False)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    (folder / "server.pem").write_bytes(certificate("server", address) + private_key)
    # The extension should be critical, but that of many companies' authorities is not.
    (folder / "authority.pem").write_bytes(certificate("authority", x509.BasicConstraints(True, None)))
    return folder / "authority.pem"


@pytest.fixture(scope="module")
def https_url(authority: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.with_name("server.pem"))
    with serving(GOOD_ZIP, context) as url:
        yield url


class TestCertificates:
    @pytest.mark.parametrize("verify", [None, True])
    def test_an_untrusted_certificate_is_refused(self, https_url: str, verify: bool | None) -> None:
        error = refusal_at(https_url, verify)
        assert (error.code, error.transient) == ("ArchiveNotReached", False)
        assert str(error).startswith("Check verify and the proxy: ")
        assert "is not trusted: unable to get local issuer certificate." in str(error)

    def test_a_certificate_is_accepted_with_its_authority_or_without_verification(
        self, https_url: str, authority: Path
    ) -> None:
        for verify in (str(authority), False):
            with open_failed_records(https_url, verify) as records:
                assert records.errors_file.read_bytes() == ERRORS

    @pytest.mark.parametrize("bundle", ["/no/such/bundle.pem", __file__], ids=["missing", "without a certificate"])
    def test_a_ca_bundle_that_cannot_be_read_is_refused(self, https_url: str, bundle: str) -> None:
        error = refusal_at(https_url, bundle)
        assert (error.code, error.transient) == ("ArchiveNotReached", False)
        assert str(error).startswith("Correct verify: ")
        assert f"{bundle} could not be read: " in str(error)


class TestUnpacking:
    @pytest.mark.parametrize(
        ("errors_name", "failed_entries_name"),
        [
            ("errors-file.csv", "failed-entries-file.csv"),
            ("Errors.CSV", "FAILED-ENTRIES"),
            ("../../errors-file.csv", "/etc/failed-entries-file.csv"),
            ("C:\\errors-file.csv", "..\\..\\failed-entries-file.csv"),
        ],
    )
    def test_files_are_found_by_the_beginnings_of_their_names(
        self, tmp_path: Path, temporary_folder: Path, errors_name: str, failed_entries_name: str
    ) -> None:
        archive = zip_of((failed_entries_name, FAILED_ENTRIES), ("read me.txt", b""), (errors_name, ERRORS))
        with serving(archive) as url, open_failed_records(url) as records:
            files = {records.errors_file: ERRORS, records.failed_entries_file: FAILED_ENTRIES}
            assert {file: file.read_bytes() for file in files} == files
            (folder,) = temporary_folder.iterdir()
            assert set(tmp_path.rglob("*")) == {temporary_folder, folder, *files}
            assert folder.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize(
        ("archive", "reason"),
        [
            pytest.param(b"", "is empty", id="zero bytes"),
            pytest.param(f"<title>Sign in</title><a href='{LINK}'>".encode(), "is not a ZIP archive", id="web page"),
            pytest.param(zip_of(), "start with 'errors' instead of one; it contains nothing", id="empty archive"),
            pytest.param(
                zip_of(("errors.zip", GOOD_ZIP), ("failed-entries.zip", GOOD_ZIP)),
                "contains another archive",
                id="archives instead of files",
            ),
            pytest.param(
                zip_of(("errors-file.csv", ERRORS)), "0 files whose names start with 'failed-entries'", id="one file"
            ),
            pytest.param(
                zip_of(("errors-file.csv", ERRORS), ("a/Errors.csv", ERRORS), ("failed-entries.csv", FAILED_ENTRIES)),
                "2 files whose names start with 'errors' instead of one; it contains 'errors-file.csv', 'a/Errors.csv'",
                id="two errors files",
            ),
            pytest.param(
                zip_of(*((f"{i}.csv", b"") for i in range(7))),
                "it contains '0.csv', '1.csv', '2.csv', '3.csv', '4.csv' and 2 more",
                id="other files",
            ),
            pytest.param(
                zip_of(("\x1b[2J\r\n\u202e" + "x" * 1000, b"")), f"it contains '?[2J  ?{'x' * 32}…'", id="hostile name"
            ),
            pytest.param(
                zip_of(*((f"errors-{i}", b"") for i in range(10_000))),
                "has 10,000 entries instead of two files",
                id="10,000 entries",
            ),
        ],
    )
    def test_another_archive_is_refused(self, archive: bytes, reason: str) -> None:
        error = refusal(archive)
        assert (error.code, error.transient) == ("ArchiveNotReadable", False)
        assert str(error).startswith("Try again, in case the error archive was damaged in transit")
        assert reason in str(error)
        assert "Imports page of the Migration Hub console" in str(error)
        assert str(error).isprintable()

    def test_the_limit_applies_to_both_files_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        two_files = (("errors", os.urandom(600)), ("failed-entries", os.urandom(400)))
        archive = zip_of(*two_files)
        monkeypatch.setattr(failed_records, "RATIO_FREE_BYTES", 1000)
        monkeypatch.setattr(failed_records, "MAX_RATIO", 0)
        assert contents(archive) == tuple(content for _, content in two_files)
        monkeypatch.setattr(failed_records, "RATIO_FREE_BYTES", 999)
        assert "unpacks to more than an import can need" in str(refusal(archive))

    def test_the_maximum_size_applies_no_matter_the_ratio(self, monkeypatch: pytest.MonkeyPatch) -> None:
        archive = zip_of(("errors", bytes(1001)), ("failed-entries", b""))
        monkeypatch.setattr(failed_records, "MAX_BYTES", 1000)
        assert "unpacks to more than an import can need" in str(refusal(archive))

    def test_an_import_of_equal_rows_is_accepted(self) -> None:
        failed_entries = b"HostName\n" + b",\n" * ((IMPORT_FILE_MAX_BYTES - 9) // 2)
        archive = zip_of(("errors-file.csv", ERRORS), ("failed-entries-file.csv", failed_entries))
        assert len(archive) * 500 < len(failed_entries)
        assert contents(archive) == (ERRORS, failed_entries)

    def test_equal_errors_of_a_large_import_are_accepted(self) -> None:
        errors = "".join(
            f"{line},Column{number},{'x' * 200}-{line},'x' is not a number.\n"
            for line in range(2, IMPORT_RECORDS_PER_ACCOUNT // 4)
            for number in range(20)
        ).encode()
        assert len(errors) > failed_records.RATIO_FREE_BYTES
        archive = zip_of(("errors-file.csv", errors), ("failed-entries-file.csv", FAILED_ENTRIES))
        assert contents(archive) == (errors, FAILED_ENTRIES)

    def test_a_file_made_to_fill_the_disk_is_refused(self) -> None:
        archive = zip_of(("errors-file.csv", bytes(50_000_000)), ("failed-entries-file.csv", b""))
        assert "unpacks to more than an import can need" in str(refusal(archive))


class TestErrors:
    @staticmethod
    def read(tmp_path: Path, content: bytes) -> FieldErrors:
        path = tmp_path / "errors-file.csv"
        path.write_bytes(content)
        return read_errors(path)

    @pytest.mark.parametrize(
        ("content", "header"),
        [
            (b"Line,Column,Key,Problem\n2,a,b,c\n", FieldError("Line", "Column", "Key", "Problem")),
            (b"\xef\xbb\xbfLine,Column,Key,Problem\r\n2,a,b,c\r\n", FieldError("Line", "Column", "Key", "Problem")),
            (b"2,a,b,c\n", FieldError("line", "column name", "ExternalId", "message")),
        ],
        ids=["header", "byte order mark", "no header"],
    )
    def test_the_header_is_optional(self, tmp_path: Path, content: bytes, header: FieldError) -> None:
        errors = self.read(tmp_path, content)
        assert errors == FieldErrors(header, (FieldError("2", "a", "b", "c"),), 1)

    def test_the_first_are_kept_and_all_are_counted(self, tmp_path: Path) -> None:
        errors = self.read(tmp_path, b"".join(b"%d,a,b,c\n" % line for line in range(2, 1002)))
        assert [error.line for error in errors.first] == [str(line) for line in range(2, 2 + ERRORS_SHOWN)]
        assert errors.total == 1000

    @pytest.mark.parametrize(
        ("line", "error"),
        [
            ("2,a", FieldError("2", "a", "", "")),
            ("2", FieldError("2", "", "", "")),
            ("2,a,b,one, two, three", FieldError("2", "a", "b", "one, two, three")),
            ('2,a,"b\r\nb","c ""d"""', FieldError("2", "a", "b  b", 'c "d"')),
            ("2,a,b,\x1b[31mred\x07\u202e\u2028\x00", FieldError("2", "a", "b", "?[31mred?? ?")),
            ("2,a,b," + "x" * 81, FieldError("2", "a", "b", "x" * 79 + "…")),
            ("2,a,b," + "x" * 80, FieldError("2", "a", "b", "x" * 80)),
            ("2,a,b," + "x" * 200_000, FieldError("(not readable)", "", "", "")),
        ],
        ids=["short", "shorter", "split message", "quoted", "control characters", "long", "fits", "far too long"],
    )
    def test_cells_are_made_safe_for_a_log(self, tmp_path: Path, line: str, error: FieldError) -> None:
        errors = self.read(tmp_path, f"{line}\n3,a,b,c\n".encode())
        assert errors.first == (error, FieldError("3", "a", "b", "c"))

    def test_another_encoding_is_read_with_replacement_characters(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "2,a,b,größe\n".encode("latin-1")).first[0].message == "gr\ufffd\ufffde"

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
    def test_a_file_without_errors_is_accepted(self, tmp_path: Path, content: bytes) -> None:
        assert self.read(tmp_path, content).total == 0

    @settings(max_examples=200, deadline=None)
    @given(content=st.one_of(st.binary(), st.text(alphabet='1a,"\r\n\0\ufeff', max_size=50).map(str.encode)))
    def test_any_file_can_be_read_and_counted(self, content: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            errors = read_errors(Path(file.name))
            assert format_errors_table(errors).replace("\n", "").isprintable()
            assert errors.total - count_failed_entries(Path(file.name)) in (0, 1)


@pytest.mark.parametrize(
    ("piece", "pieces"),
    [
        pytest.param(b"x", 60_000_000, id="an endless line"),
        pytest.param(b"\xf0\x9f\x98\x80,", 1_000_000, id="endless cells"),
        pytest.param(b'"\nx",', 1_000_000, id="endless quoted lines"),
    ],
)
def test_a_hostile_file_needs_little_memory(tmp_path: Path, piece: bytes, pieces: int) -> None:
    path = tmp_path / "errors-file.csv"
    path.write_bytes(piece * pieces)
    tracemalloc.start()
    try:
        format_errors_table(read_errors(path))
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


class TestFailedEntries:
    @pytest.mark.parametrize(
        ("content", "count"),
        [
            (b"", 0),
            (b"ExternalId,HostName\n", 0),
            (b"ExternalId,HostName\n1,a\n2,b", 2),
            (b"ExternalId,HostName\r1,a\r2,b\r", 2),
            (b"ExternalId,HostName\n,\n,\n", 2),
            (b"ExternalId,HostName\n\n1,a\n\n", 1),
            (b'ExternalId,"Host\nName"\n1,"a\n\nb"\n2,"""c""\r\n"\n', 2),
            (b'ExternalId,HostName\n1,19" rack\n2,b\n', 2),
            (b"ExternalId,HostName\n1,\xff\xfe\n2,\0\n", 2),
            pytest.param(b"HostName\na\n" + b"b" * (csv.field_size_limit() + 1) + b"\nc\n", 3, id="too long"),
        ],
    )
    def test_every_record_after_the_header_is_counted(self, tmp_path: Path, content: bytes, count: int) -> None:
        path = tmp_path / "failed-entries-file.csv"
        path.write_bytes(content)
        assert count_failed_entries(path) == count


@pytest.mark.parametrize(("total", "last_line"), [(1236, ["... and 1,234 more"]), (2, [])])
def test_the_table_is_aligned_and_counts_further_errors(total: int, last_line: list[str]) -> None:
    errors = FieldErrors(
        header=FieldError("line", "column name", "ExternalId", "message"),
        first=(FieldError("2", "CPU.NumberOfCores", "", "x"), FieldError("12345", "HostName", "srv-1", "y")),
        total=total,
    )
    assert format_errors_table(errors).splitlines() == [
        "line   column name        ExternalId  message",
        "2      CPU.NumberOfCores              x",
        "12345  HostName           srv-1       y",
        *last_line,
    ]


def test_error_can_be_pickled() -> None:
    error = FailedRecordsError("gone", "ArchiveNotFound", transient=True)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
