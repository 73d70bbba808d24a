from __future__ import annotations

import os
import pickle
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_ads.discovery import download
from airflow_provider_ads.discovery.download import ArchiveDownloadError, ArchiveKind, download_archive
from airflow_provider_ads.discovery.exported_files import EXPORT_ARCHIVE
from airflow_provider_ads.discovery.failed_records import ERROR_ARCHIVE
from tests.support.presigned_urls import (
    LINK,
    SIGNATURE,
    Answer,
    refusal_of,
    s3_error,
    sending,
    sending_chunks,
    serving,
    zip_of,
)

pytestmark = pytest.mark.usefixtures("temporary_folder", "no_part_of_the_url_is_logged")

GOOD_ZIP = zip_of(("a.csv", b"a" * 1000), ("b.csv", b"b"))


def contents(answer: Answer | bytes, folder: Path) -> dict[str, bytes]:
    with serving(answer) as url, download_archive(url, ERROR_ARCHIVE) as archive:
        for info in archive.infos:
            archive.unpack(info, folder / info.filename)
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


def refusal_at(url: str, verify: bool | str | None = None) -> ArchiveDownloadError:
    return refusal_of(download_archive(url, ERROR_ARCHIVE, verify))


def refusal(answer: Answer | bytes) -> ArchiveDownloadError:
    with serving(answer) as url:
        return refusal_at(url)


class TestDownload:
    @pytest.mark.parametrize("answer", [GOOD_ZIP, sending_chunks(200, GOOD_ZIP[:100], GOOD_ZIP[100:])])
    def test_the_files_are_unchanged(self, tmp_path: Path, answer: Answer | bytes) -> None:
        assert contents(answer, tmp_path) == {"a.csv": b"a" * 1000, "b.csv": b"b"}

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
        monkeypatch.setattr(download, timeout, 0.1)
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

    def test_an_endless_archive_is_not_downloaded(self) -> None:
        kind = replace(ERROR_ARCHIVE, max_bytes=1_000_000)
        sent = 0

        def answer(request: BaseHTTPRequestHandler) -> None:
            nonlocal sent
            request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while sent < 1_000_000_000:
                sent += request.wfile.write(bytes(100_000))

        with serving(answer) as url:
            error = refusal_of(download_archive(url, kind))
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
            with download_archive(url, ERROR_ARCHIVE):
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
            with download_archive(https_url, ERROR_ARCHIVE, verify) as archive:
                assert len(archive.infos) == 2

    @pytest.mark.parametrize("bundle", ["/no/such/bundle.pem", __file__], ids=["missing", "without a certificate"])
    def test_a_ca_bundle_that_cannot_be_read_is_refused(self, https_url: str, bundle: str) -> None:
        error = refusal_at(https_url, bundle)
        assert (error.code, error.transient) == ("ArchiveNotReached", False)
        assert str(error).startswith("Correct verify: ")
        assert f"{bundle} could not be read: " in str(error)


def unpacking_refusal(answer: bytes, kind: ArchiveKind, folder: Path) -> ArchiveDownloadError:
    """Return the error of downloading and unpacking every file of an archive."""

    @contextmanager
    def unpack(url: str) -> Iterator[None]:
        with download_archive(url, kind) as archive:
            for number, info in enumerate(archive.infos):
                archive.unpack(info, folder / str(number))
        yield

    with serving(answer) as url:
        return refusal_of(unpack(url))


class TestUnpacking:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            pytest.param(b"", "is empty", id="zero bytes"),
            pytest.param(f"<title>Sign in</title><a href='{LINK}'>".encode(), "is not a ZIP archive", id="web page"),
            pytest.param(zip_of(("inner.zip", GOOD_ZIP)), "contains another archive", id="archive in an archive"),
            pytest.param(GOOD_ZIP[:-30], "is not a ZIP archive, or is damaged", id="truncated"),
            pytest.param(
                zip_of(*((f"{i}.csv", b"") for i in range(10_000))),
                "has 10,000 entries instead of",
                id="10,000 entries",
            ),
            pytest.param(zip_of(("a.csv", bytes(50_000_000))), "unpacks to more than an", id="made to fill the disk"),
        ],
    )
    @pytest.mark.parametrize("kind", [ERROR_ARCHIVE, EXPORT_ARCHIVE], ids=lambda kind: kind.name)
    def test_a_hostile_or_damaged_archive_is_refused(
        self, tmp_path: Path, kind: ArchiveKind, content: bytes, reason: str
    ) -> None:
        error = unpacking_refusal(content, kind, tmp_path)
        assert (error.code, error.transient) == ("ArchiveNotReadable", False)
        assert str(error).startswith(f"Try again, in case the {kind.name} was damaged in transit; ")
        assert kind.inspection in str(error)
        assert f": it {reason}" in str(error)
        assert str(error).isprintable()

    def test_the_limit_applies_to_all_files_together(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        files = (("a.csv", os.urandom(600)), ("b.csv", os.urandom(400)))
        monkeypatch.setattr(download, "RATIO_FREE_BYTES", 1000)
        monkeypatch.setattr(download, "MAX_RATIO", 0)
        assert contents(zip_of(*files), tmp_path) == dict(files)
        monkeypatch.setattr(download, "RATIO_FREE_BYTES", 999)
        assert "unpacks to more than an import can need" in str(
            unpacking_refusal(zip_of(*files), ERROR_ARCHIVE, tmp_path)
        )

    def test_the_maximum_size_applies_no_matter_the_ratio(self, tmp_path: Path) -> None:
        kind = replace(ERROR_ARCHIVE, max_bytes=1000)
        error = unpacking_refusal(zip_of(("a.csv", bytes(1001))), kind, tmp_path)
        assert "unpacks to more than an import can need" in str(error)


def test_error_can_be_pickled() -> None:
    error = ArchiveDownloadError("gone", "ArchiveNotFound", transient=True)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
