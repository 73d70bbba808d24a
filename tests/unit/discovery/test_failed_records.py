from __future__ import annotations

import csv
import gzip
import http.client
import io
import logging
import os
import pickle
import shutil
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import traceback
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
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.error_archive import make_error_archive
from airflow_provider_ads.emulator.import_rows import read_import_file
from airflow_provider_ads.hooks import AdsHook

#: What must show nowhere: anything of the URL after its host.
PATH = "/bucket-of-aws/import-task.zip"
CREDENTIAL = "AKIAIOSFODNN7EXAMPLE"
SIGNATURE = "fedcba9876543210" * 4
LINK = f"{PATH}?X-Amz-Credential={CREDENTIAL}&X-Amz-Signature={SIGNATURE}"

ERRORS = b"line,column name,ExternalId,message\n2,CPU.NumberOfCores,srv-1,'x' is not a number.\n"
FAILED_ENTRIES = b"ExternalId,CPU.NumberOfCores\r\nsrv-1,x\r\n"

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Answer requests on a free port; yields the presigned URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            with suppress(OSError):  # the client went away
                answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that does not like the certificate

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
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def s3_error(code: str, message: str, more: str = "") -> bytes:
    xml = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}<RequestId>4442587FB7D0A2F9</RequestId></Error>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}'.encode()


def zip_of(*files: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as members:
        for name, content in files:
            # Written like this, a name stays as it is.
            info = zipfile.ZipInfo("x")
            info.filename = name
            members.writestr(info, content, compression)
    return archive.getvalue()


def good_zip(compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    files = (("errors-file.csv", ERRORS), ("failed-entries-file.csv", FAILED_ENTRIES))
    return zip_of(*files, compression=compression)


def patched(archive: bytes, offset_local: int, offset_central: int, value: bytes) -> bytes:
    """Overwrite a field in every local and every central header."""
    content = bytearray(archive)
    for signature, offset in ((b"PK\3\4", offset_local), (b"PK\1\2", offset_central)):
        start = content.find(signature)
        while start >= 0:
            content[start + offset : start + offset + len(value)] = value
            start = content.find(signature, start + 4)
    return bytes(content)


def contents(answer: Answer | bytes) -> tuple[bytes, bytes]:
    with (
        serving(sending(answer) if isinstance(answer, bytes) else answer) as url,
        open_failed_records(url) as records,
    ):
        return records.errors_file.read_bytes(), records.failed_entries_file.read_bytes()


def refusal_at(url: str, verify: bool | str | None = None) -> FailedRecordsError:
    """The error that a URL ends in, in which nothing of the URL shows."""
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
    with serving(sending(answer) if isinstance(answer, bytes) else answer) as url:
        return refusal_at(url)


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go; none may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture(autouse=True)
def nothing_of_the_url_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Nothing of the URL may be logged or printed, however much is."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    yield
    logged = caplog.text + "".join(capfd.readouterr())
    assert not any(secret in logged for secret in (PATH, CREDENTIAL, SIGNATURE))


class TestFetching:
    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
    def test_both_files_come_byte_for_byte(self, compression: int) -> None:
        assert contents(good_zip(compression)) == (ERRORS, FAILED_ENTRIES)

    def test_an_archive_without_a_length_is_taken_in_chunks(self) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            for part in (good_zip()[:100], good_zip()[100:], b""):
                request.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))

        assert contents(answer) == (ERRORS, FAILED_ENTRIES)

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (403, s3_error("AccessDenied", "Request has expired", "<Expires>2026-01-01T00:00:00Z</Expires>")),
            (400, s3_error("ExpiredToken", "The provided token has expired.")),
        ],
        ids=["link", "credentials that signed it"],
    )
    def test_an_expired_link_leads_to_a_new_one(self, status: int, body: bytes) -> None:
        error = refusal(sending(body, status))
        assert (error.code, error.transient) == ("ArchiveLinkExpired", False)
        assert str(error).startswith("The link to the error archive has expired (HTTP ")
        assert str(error).endswith("). Describe the import task again, which may renew the link.")

    def test_an_explanation_in_pieces_is_put_together(self) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            body = s3_error("AccessDenied", "Request has expired")
            request.send_response(403)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            for part in (body[:20], body[20:70], body[70:], b""):
                request.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))

        assert refusal(answer).code == "ArchiveLinkExpired"

    @pytest.mark.parametrize("status", [404, 410])
    def test_an_archive_that_is_gone(self, status: int) -> None:
        error = refusal(
            sending(s3_error("NoSuchKey", "The specified key does not exist.", f"<Key>{PATH}</Key>"), status)
        )
        assert (error.code, error.transient) == ("ArchiveNotFound", False)
        assert f"not there any more (HTTP {status}, NoSuchKey)" in str(error)
        assert "import the file again" in str(error)

    @pytest.mark.parametrize(
        ("status", "code", "transient"),
        [
            (400, "InvalidArgument", False),
            (403, "AccessDenied", False),
            (403, "SignatureDoesNotMatch", False),
            (429, "SlowDown", True),
            (500, "InternalError", True),
            (503, "SlowDown", True),
            (206, "Half", False),
        ],
    )
    def test_a_refusal_says_the_code_and_nothing_else_of_the_answer(
        self, status: int, code: str, transient: bool
    ) -> None:
        more = f"<SignatureProvided>{SIGNATURE}</SignatureProvided><CanonicalRequest>GET\n{LINK}</CanonicalRequest>"
        error = refusal(sending(s3_error(code, f"No {LINK}", more), status))
        assert (error.code, error.transient) == ("ArchiveRefused", transient)
        assert f"(HTTP {status}, {code})" in str(error)

    @pytest.mark.parametrize("body", [b"", b"Bad Gateway", f"<Code>{SIGNATURE}</Code>".encode()])
    def test_a_refusal_that_is_not_of_s3(self, body: bytes) -> None:
        assert "(HTTP 502)" in str(refusal(sending(body, 502)))

    @pytest.mark.parametrize(("status", "transient"), [(301, False), (302, False), (307, True), (308, False)])
    def test_a_redirect_is_not_followed(self, status: int, transient: bool) -> None:
        asked: list[str] = []

        def answer(request: BaseHTTPRequestHandler) -> None:
            asked.append(request.path)
            sending(b"", status, Location=f"/elsewhere{LINK}")(request)

        error = refusal(answer)
        assert asked == [LINK]
        assert (error.code, error.transient) == ("ArchiveRefused", transient)
        assert f"leads elsewhere (HTTP {status})" in str(error)

    def test_a_web_page_in_place_of_the_archive(self) -> None:
        error = refusal(f"<!doctype html><title>Sign in</title><a href='{LINK}'>".encode())
        assert (error.code, error.transient) == ("ArchiveNotReadable", False)
        assert "What came as the error archive is no ZIP archive" in str(error)
        assert "Imports page of the Migration Hub console" in str(error)

    @pytest.mark.parametrize(
        ("sent", "reason"),
        [
            (b"", "Remote end closed connection"),
            (f"GET {LINK} is what you sent\r\n\r\n".encode(), "BadStatusLine"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nPK\3\4", "the connection broke off"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nPK\3\4", "IncompleteRead"),
        ],
        ids=["before an answer", "after nonsense", "within the archive", "within a chunk"],
    )
    def test_a_connection_that_is_dropped_may_hold_the_next_time(self, sent: bytes, reason: str) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(sent)

        error = refusal(answer)
        assert (error.code, error.transient) == ("ArchiveNotReached", True)
        assert f"could not be fetched: {reason}" in str(error)

    def test_a_server_that_falls_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(failed_records, "SILENCE_SECONDS", 0.1)

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nPK")
            request.connection.settimeout(10)
            request.rfile.read(1)  # until the client hangs up

        error = refusal(answer)
        assert (error.code, error.transient) == ("ArchiveNotReached", True)
        assert "timed out" in str(error)

    def test_a_server_that_never_falls_silent_and_never_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(failed_records, "FETCH_SECONDS", 0.1)
        sent = 0

        def answer(request: BaseHTTPRequestHandler) -> None:
            nonlocal sent
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
            while sent < 3000:
                sent += request.wfile.write(b"P")
                time.sleep(0.01)

        error = refusal(answer)
        assert (error.code, error.transient) == ("ArchiveNotReached", True)
        assert "had not arrived after" in str(error)
        assert sent < 3000

    def test_an_endless_archive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(failed_records, "MAX_BYTES", 1_000_000)
        sent = 0

        def answer(request: BaseHTTPRequestHandler) -> None:
            nonlocal sent
            request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while sent < 1_000_000_000:
                sent += request.wfile.write(bytes(100_000))

        error = refusal(answer)
        assert error.code == "ArchiveNotReadable"
        assert "is larger than the 1,000,000 bytes" in str(error)
        assert sent < 1_000_000_000

    @pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1:1"], ids=["no such host", "nobody listens"])
    def test_a_server_that_is_not_there(self, host: str) -> None:
        error = refusal_at(f"http://{host}{LINK}")
        assert (error.code, error.transient) == ("ArchiveNotReached", True)
        assert "Check the network and the proxy, and try again." in str(error)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            LINK,
            f"file://{__file__}?{LINK}",
            f"ftp://127.0.0.1{LINK}",
            f"data:application/zip,{LINK}",
            f"http://[{LINK}",
            f"http://127.0.0.1:port{LINK}",
            f"http://127.0.0.1:1{LINK} x",
            f"http://127.0.0.1:1{LINK}\r\nX: y",
            f"http://127.0.0.1:1{LINK}ü",
            f"http://{'a' * 64}.invalid{LINK}",
            f"http://{LINK}",
        ],
    )
    def test_what_is_no_address_of_the_web_is_not_fetched(self, url: str) -> None:
        error = refusal_at(url)
        assert (error.code, error.transient) == ("ArchiveRefused", False)
        assert "is not an address that can be fetched. Describe the import task again" in str(error)

    def test_the_proxy_of_the_environment_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []

        def answer(request: BaseHTTPRequestHandler) -> None:
            asked.append(request.path)
            sending(good_zip())(request)

        url = f"http://archive.invalid{LINK}"
        with serving(answer) as proxy:
            monkeypatch.setenv("http_proxy", proxy.removesuffix(LINK))
            with open_failed_records(url):
                assert asked == [url]

    def test_the_archive_is_asked_for_as_it_is(self) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            if "gzip" in request.headers.get("Accept-Encoding", ""):
                sending(gzip.compress(good_zip()), Content_Encoding="gzip")(request)
            sending(good_zip())(request)

        assert contents(answer) == (ERRORS, FAILED_ENTRIES)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of an authority; beside it, that of a server, with its key."""
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
    # This extension should be critical: a company's authority that is not made by the book.
    (folder / "authority.pem").write_bytes(certificate("authority", x509.BasicConstraints(True, None)))
    return folder / "authority.pem"


@pytest.fixture(scope="module")
def https_url(authority: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.with_name("server.pem"))
    with serving(sending(good_zip()), context) as url:
        yield url


class TestCertificates:
    @pytest.mark.parametrize("verify", [None, True])
    def test_one_that_nobody_vouches_for_is_refused(self, https_url: str, verify: bool | None) -> None:
        error = refusal_at(https_url, verify)
        assert (error.code, error.transient) == ("ArchiveNotReached", False)
        assert "was not accepted: unable to get local issuer certificate. Check verify and the proxy." in str(error)

    def test_one_of_an_authority_that_is_named_is_accepted(self, https_url: str, authority: Path) -> None:
        with open_failed_records(https_url, verify=str(authority)) as records:
            assert records.errors_file.read_bytes() == ERRORS

    def test_any_is_accepted_if_none_is_checked(self, https_url: str) -> None:
        with open_failed_records(https_url, verify=False) as records:
            assert records.errors_file.read_bytes() == ERRORS

    @pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "nonsense"])
    def test_authorities_that_cannot_be_read(self, https_url: str, tmp_path: Path, content: bytes | None) -> None:
        authorities = tmp_path / "authorities.pem"
        if content is not None:
            authorities.write_bytes(content)
        error = refusal_at(https_url, verify=str(authorities))
        assert (error.code, error.transient) == ("ArchiveNotReached", False)
        assert "authorities.pem cannot be read: " in str(error)
        assert str(error).endswith(". Correct verify.")


class TestUnpacking:
    @pytest.mark.parametrize(
        ("errors_name", "failed_entries_name"),
        [
            ("errors-file.csv", "failed-entries-file.csv"),
            ("errors-file", "failed-entries-file"),
            ("errors-file", "failed-entries.csv"),
            ("Errors.CSV", "FAILED-ENTRIES.CSV"),
            ("import-task/errors-file.csv", "import-task/failed-entries-file.csv"),
            ("../../errors-file.csv", "/etc/failed-entries-file.csv"),
            ("C:\\errors-file.csv", "..\\..\\failed-entries-file.csv"),
        ],
    )
    def test_the_files_are_told_by_how_their_names_begin(
        self, tmp_path: Path, temporary_folder: Path, errors_name: str, failed_entries_name: str
    ) -> None:
        archive = zip_of((failed_entries_name, FAILED_ENTRIES), ("read me.txt", b""), (errors_name, ERRORS))
        with serving(sending(archive)) as url, open_failed_records(url) as records:
            assert records.errors_file.read_bytes() == ERRORS
            assert records.failed_entries_file.read_bytes() == FAILED_ENTRIES
            (folder,) = temporary_folder.iterdir()
            assert set(tmp_path.rglob("*")) == {
                temporary_folder,
                folder,
                records.errors_file,
                records.failed_entries_file,
            }
            assert folder.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize(
        ("archive", "reason"),
        [
            pytest.param(b"", "is empty", id="zero bytes"),
            pytest.param(zip_of(), "begin with 'errors' instead of one; it holds nothing", id="empty archive"),
            pytest.param(good_zip()[:-30], "is no ZIP archive, or a damaged one", id="truncated at the end"),
            pytest.param(good_zip()[30:], "is no ZIP archive, or a damaged one", id="truncated at the beginning"),
            pytest.param(good_zip(zipfile.ZIP_STORED).replace(b"srv-1", b"srv-2"), "Bad CRC-32", id="wrong checksum"),
            pytest.param(patched(good_zip(), 6, 8, b"\1\0"), "error archive is encrypted.", id="encrypted"),
            pytest.param(patched(good_zip(), 8, 10, b"\x63\0"), "with method 99", id="unknown compression"),
            pytest.param(good_zip(zipfile.ZIP_LZMA), "with method 14", id="compression that takes any memory"),
            pytest.param(zip_of(("archive.zip", good_zip())), "it holds 'archive.zip'", id="archive in the archive"),
            pytest.param(
                zip_of(("errors-file.zip", good_zip()), ("failed-entries-file.zip", good_zip())),
                "holds another archive",
                id="archives in place of files",
            ),
            pytest.param(
                zip_of(("errors-file.csv", ERRORS)), "0 files whose names begin with 'failed-entries'", id="one file"
            ),
            pytest.param(
                zip_of(("errors-file.csv", ERRORS), ("a/Errors.csv", ERRORS), ("failed-entries.csv", FAILED_ENTRIES)),
                "2 files whose names begin with 'errors' instead of one; it holds 'errors-file.csv', 'a/Errors.csv', ",
                id="two of a kind",
            ),
            pytest.param(
                zip_of(*((f"{i}.csv", b"") for i in range(7))),
                "it holds '0.csv', '1.csv', '2.csv', '3.csv', '4.csv' and 2 more",
                id="names of others",
            ),
            pytest.param(
                zip_of(("\x1b[2J\r\n\u202e" + "x" * 1000, b"")), f"it holds '?[2J  ?{'x' * 32}…'", id="hostile name"
            ),
            pytest.param(
                zip_of(*((f"errors-{i}", b"") for i in range(10_000))),
                "has 10,000 entries instead of two files",
                id="10,000 entries",
            ),
            pytest.param(
                patched(good_zip(zipfile.ZIP_STORED), 18, 20, struct.pack("<LL", 2**32 - 2, 2**32 - 2)),
                "is no ZIP archive, or a damaged one",
                id="sizes that are not so",
            ),
        ],
    )
    def test_what_is_not_such_an_archive(self, archive: bytes, reason: str) -> None:
        error = refusal(archive)
        assert (error.code, error.transient) == ("ArchiveNotReadable", False)
        assert str(error).startswith("What came as the error archive ")
        assert reason in str(error)
        assert str(error).isprintable()

    def test_two_files_of_one_name(self) -> None:
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive = zip_of(("errors-file", ERRORS), ("errors-file", ERRORS), ("failed-entries-file", FAILED_ENTRIES))
        assert "has 2 files whose names begin with 'errors'" in str(refusal(archive))

    def test_both_files_together_have_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        two_files = (("errors", os.urandom(600)), ("failed-entries", os.urandom(400)))
        archive = zip_of(*two_files, compression=zipfile.ZIP_DEFLATED)
        monkeypatch.setattr(failed_records, "UNSUSPECTED_BYTES", 1000)
        monkeypatch.setattr(failed_records, "MAX_RATIO", 0)
        assert contents(archive) == tuple(content for _, content in two_files)
        monkeypatch.setattr(failed_records, "UNSUSPECTED_BYTES", 999)
        assert "unpacks to more than any import can need" in str(refusal(archive))

    def test_nothing_unpacks_to_more_than_the_limit_whatever_the_ratio(self, monkeypatch: pytest.MonkeyPatch) -> None:
        archive = zip_of(("errors", bytes(1001)), ("failed-entries", b""))
        monkeypatch.setattr(failed_records, "MAX_BYTES", 1000)
        assert "unpacks to more than any import can need" in str(refusal(archive))

    def test_an_import_of_equal_rows_is_not_suspected(self) -> None:
        failed_entries = b"HostName\n" + b",\n" * ((IMPORT_FILE_MAX_BYTES - 9) // 2)
        archive = zip_of(("errors-file.csv", ERRORS), ("failed-entries-file.csv", failed_entries))
        assert len(archive) * 500 < len(failed_entries)
        assert contents(archive) == (ERRORS, failed_entries)

    def test_the_errors_of_a_large_import_that_fails_alike_are_not_suspected(self) -> None:
        columns = [f"Column{number}" for number in range(20)]
        identity = "x" * 200
        errors = "".join(
            f"{line},{column},{identity}-{line},'x' is not a number.\n"
            for line in range(2, IMPORT_RECORDS_PER_ACCOUNT // 4)
            for column in columns
        ).encode()
        assert len(errors) > failed_records.UNSUSPECTED_BYTES
        archive = zip_of(("errors-file.csv", errors), ("failed-entries-file.csv", FAILED_ENTRIES))
        assert contents(archive) == (errors, FAILED_ENTRIES)

    @settings(max_examples=100, deadline=None)
    @given(data=st.data())
    def test_any_damage_is_told(self, data: st.DataObject) -> None:
        archive = bytearray(good_zip())
        for _ in range(data.draw(st.integers(1, 4))):
            archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
        folder = Path(tempfile.mkdtemp())
        try:
            records = failed_records.FailedRecords(folder / "errors", folder / "failed-entries")
            failed_records._unpack(io.BytesIO(archive), records)
        except FailedRecordsError:
            pass
        finally:
            shutil.rmtree(folder)


def directory_of_two_million_entries(path: Path) -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[20] * 2, *[0] * 7, 8, *[0] * 6) + b"an entry"
    with path.open("wb") as file:
        for _ in range(1000):
            file.write(entry * 2000)
        end_of_directory(file, 2_000_000, file.tell())


def claim_of_two_million_entries(path: Path) -> None:
    with path.open("wb") as file:
        file.write(good_zip()[:-22])
        end_of_directory(file, 2_000_000, 2_000_000 * 54)


def end_of_directory(file: Any, entries: int, directory_bytes: int) -> None:
    """Write the records that end an archive with a large directory at its beginning."""
    end = file.tell()
    file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, directory_bytes, 0))
    file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
    file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def bomb(path: Path) -> None:
    path.write_bytes(zip_of(("errors-file.csv", bytes(150_000_000)), ("failed-entries-file.csv", b"")))


def bomb_that_claims_to_be_small(path: Path) -> None:
    bomb(path)
    path.write_bytes(patched(path.read_bytes(), 22, 24, struct.pack("<L", 1000)))


MEASURE = """
import sys
from pathlib import Path
from airflow_provider_ads.discovery.failed_records import *

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024

before = peak()
try:
    if sys.argv[1] == "archive":
        with open_failed_records(sys.argv[2]):
            print("opened")
    else:
        file = Path(sys.argv[2])
        format_errors_table(read_errors(file))
        print("read", count_failed_entries(file))
except FailedRecordsError as error:
    print(error)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is told by Linux only")
class TestMemory:
    """Whatever comes, it takes less than 100 MB of memory."""

    @staticmethod
    def measure(*arguments: str) -> str:
        repository = Path(failed_records.__file__).parents[2]
        ran = subprocess.run(
            [sys.executable, "-c", MEASURE, *arguments], cwd=repository, capture_output=True, text=True, check=True
        )
        outcome, grown = ran.stdout.splitlines()
        assert int(grown) < 100_000_000
        return outcome

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (bomb, "unpacks to more than any import can need"),
            (bomb_that_claims_to_be_small, "is no ZIP archive, or a damaged one (BadZipFile: Bad CRC-32"),
            (directory_of_two_million_entries, "has too large a directory"),
            (claim_of_two_million_entries, "is no ZIP archive, or a damaged one"),
        ],
    )
    def test_of_a_hostile_archive(self, tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
        path = tmp_path / "archive.zip"
        make(path)

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("Content-Length", str(path.stat().st_size))
            request.end_headers()
            with path.open("rb") as file:
                shutil.copyfileobj(file, request.wfile)

        with serving(answer) as url:
            assert self.measure("archive", url).startswith(f"What came as the error archive {reason}")
        path.unlink()

    @pytest.mark.parametrize(
        ("piece", "pieces"),
        [
            pytest.param(b"x", 100_000_000, id="a line without end"),
            pytest.param(b"\xf0\x9f\x98\x80,", 4_000_000, id="cells without end"),
            pytest.param(b'"\nx",', 2_500_000, id="lines in quotes without end"),
        ],
    )
    def test_of_a_file_with(self, tmp_path: Path, piece: bytes, pieces: int) -> None:
        path = tmp_path / "errors-file.csv"
        with path.open("wb") as file:
            for _ in range(100):
                file.write(piece * (pieces // 100))
        assert self.measure("file", str(path)).startswith("read ")
        path.unlink()


class TestErrors:
    @staticmethod
    def read(tmp_path: Path, content: bytes) -> FieldErrors:
        path = tmp_path / "errors-file.csv"
        path.write_bytes(content)
        return read_errors(path)

    def test_are_read_by_the_place_of_their_columns(self, tmp_path: Path) -> None:
        errors = self.read(tmp_path, ERRORS)
        assert errors.first == (FieldError("2", "CPU.NumberOfCores", "srv-1", "'x' is not a number."),)
        assert errors.total == 1

    @pytest.mark.parametrize(
        ("content", "header"),
        [
            (b"Line,Column,Key,Problem\n2,a,b,c\n", FieldError("Line", "Column", "Key", "Problem")),
            (b"\xef\xbb\xbfLine,Column,Key,Problem\r\n2,a,b,c\r\n", FieldError("Line", "Column", "Key", "Problem")),
            (b"2,a,b,c\n", FieldError("line", "column name", "ExternalId", "message")),
        ],
        ids=["its own", "after a byte order mark", "none"],
    )
    def test_have_the_header_of_the_file_or_the_documented_one(
        self, tmp_path: Path, content: bytes, header: FieldError
    ) -> None:
        errors = self.read(tmp_path, content)
        assert errors == FieldErrors(header, (FieldError("2", "a", "b", "c"),), 1)

    def test_of_which_the_first_are_kept_and_all_are_counted(self, tmp_path: Path) -> None:
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
    def test_are_made_fit_for_a_log(self, tmp_path: Path, line: str, error: FieldError) -> None:
        errors = self.read(tmp_path, f"{line}\n3,a,b,c\n".encode())
        assert errors.first == (error, FieldError("3", "a", "b", "c"))

    def test_in_another_encoding_are_shown_as_well_as_can_be(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "2,a,b,größe\n".encode("latin-1")).first[0].message == "gr\ufffd\ufffde"

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
    def test_may_be_missing(self, tmp_path: Path, content: bytes) -> None:
        assert self.read(tmp_path, content).total == 0

    @settings(max_examples=200, deadline=None)
    @given(content=st.one_of(st.binary(), st.text(alphabet='1a,"\r\n\0\ufeff', max_size=50).map(str.encode)))
    def test_of_any_file_can_be_read_and_counted(self, content: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            errors = read_errors(Path(file.name))
            assert format_errors_table(errors).replace("\n", "").isprintable()
            assert errors.total - count_failed_entries(Path(file.name)) in (0, 1)


class TestFailedEntries:
    @pytest.mark.parametrize(
        ("content", "count"),
        [
            (b"", 0),
            (b"ExternalId,HostName\n", 0),
            (b"ExternalId,HostName\n1,a\n2,b", 2),
            (b"\xef\xbb\xbfExternalId,HostName\r\n1,a\r\n2,b\r\n", 2),
            (b"ExternalId,HostName\r1,a\r2,b\r", 2),
            (b"ExternalId,HostName\n,\n,\n", 2),
            (b"ExternalId,HostName\n\n1,a\n\n", 1),
            (b'ExternalId,"Host\nName"\n1,"a\n\nb"\n2,"""c""\r\n"\n', 2),
            (b'ExternalId,HostName\n1,19" rack\n2,b\n', 2),
            (b"ExternalId,HostName\n1,\xff\xfe\n2,\0\n", 2),
        ],
    )
    def test_are_the_records_after_the_header(self, tmp_path: Path, content: bytes, count: int) -> None:
        path = tmp_path / "failed-entries-file.csv"
        path.write_bytes(content)
        assert count_failed_entries(path) == count

    def test_one_that_is_too_long_to_be_read_counts(self, tmp_path: Path) -> None:
        path = tmp_path / "failed-entries-file.csv"
        path.write_bytes(b"HostName\na\n" + b"b" * (csv.field_size_limit() + 1) + b"\nc\n")
        assert count_failed_entries(path) == 3


class TestTable:
    def test_is_aligned_and_says_how_many_more_there_are(self) -> None:
        errors = FieldErrors(
            header=FieldError("line", "column name", "ExternalId", "message"),
            first=(FieldError("2", "CPU.NumberOfCores", "", "x"), FieldError("12345", "HostName", "srv-1", "y")),
            total=1236,
        )
        assert format_errors_table(errors).splitlines() == [
            "line   column name        ExternalId  message",
            "2      CPU.NumberOfCores              x",
            "12345  HostName           srv-1       y",
            "... and 1,234 more",
        ]

    def test_of_all_errors_says_nothing_of_more(self) -> None:
        header = FieldError("line", "column name", "ExternalId", "message")
        assert format_errors_table(FieldErrors(header, (FieldError("2", "a", "b", "c"),), 1)).splitlines() == [
            "line  column name  ExternalId  message",
            "2     a            b           c",
        ]


class TestEmulator:
    def test_its_archives_are_read(self) -> None:
        header = "ExternalId,HostName,CPU.NumberOfCores,OS.Name\r\n"
        good, bad = "1,a.example,2,Linux\r\n", [',,x,"Red\r\nHat"\r\n', "3,c.example,-1,Größe\r\n"]
        import_file = read_import_file((header + bad[0] + good + bad[1]).encode())
        assert import_file is not None
        with serving(sending(make_error_archive(import_file))) as url, open_failed_records(url) as records:
            assert records.failed_entries_file.read_bytes() == "".join([header, *bad]).encode()
            assert count_failed_entries(records.failed_entries_file) == 2
            errors = read_errors(records.errors_file)
            assert [(error.line, error.column_name, error.external_id) for error in errors.first] == [
                ("2", "ExternalId", ""),
                ("2", "CPU.NumberOfCores", ""),
                ("5", "CPU.NumberOfCores", "3"),
            ]
            assert errors.total == 3

    def test_its_failed_records_are_fetched_and_can_be_imported_again(
        self, aws_default: AdsEmulator, half_bad_inventory: str
    ) -> None:
        url = self.failed_import(aws_default, half_bad_inventory)
        with open_failed_records(url) as records:
            failed_entries = records.failed_entries_file.read_bytes()
            assert failed_entries == b"ExternalId,HostName,OS.Name\n,,Linux\n"
            assert "ExternalId" in format_errors_table(read_errors(records.errors_file))
        again = aws_default.upload("s3://inventory/again.csv", failed_entries.replace(b",,", b"2,b.example,"))
        assert self.failed_import(aws_default, again) is None

    def test_its_links_expire(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with AdsEmulator(import_seconds=0.01, archive_link_seconds=-1) as ads:
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
            url = self.failed_import(ads, ads.upload("s3://inventory/inventory.csv", "ExternalId\n ,\n"))
            assert refusal_at(url).code == "ArchiveLinkExpired"

    @staticmethod
    def failed_import(ads: AdsEmulator, import_url: str) -> Any:
        """Import a file; return the URL of the archive of what failed."""
        hook = AdsHook()
        import_task = hook.start_import_task("cmdb", import_url)
        while import_task.status == "IMPORT_IN_PROGRESS":
            time.sleep(0.01)
            import_task = hook.get_import_task(import_task.import_task_id)
        return import_task.errors_and_failed_entries_zip


class TestError:
    def test_survives_pickling_whole(self) -> None:
        error = FailedRecordsError("gone", "ArchiveNotFound", transient=True)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
