"""A TLS proxy for a test server, with a certificate authority that is not trusted by default."""

from __future__ import annotations

import socket
import socketserver
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.stoppable_server import StoppableServer, relay

__all__ = ["TlsFront"]


class _Handler(socketserver.BaseRequestHandler):
    server: TlsFront

    def handle(self) -> None:
        client = self.server.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        with self.server.closing(client):
            client.getpeername()  # An OSError if the client has gone; do_handshake() would raise an AttributeError.
            client.do_handshake()
            upstream = socket.create_connection(self.server.upstream)
            with self.server.closing(upstream):
                relay(client, upstream)


class TlsFront(StoppableServer):
    """
    Accepts TLS connections and forwards their contents to a server without TLS. It runs during a ``with`` statement.

    Everything passes unchanged, so signatures that contain the header ``Host`` remain valid.

    :param url: the URL of the server.
    :param folder: an empty folder for the certificates.
    :ivar url: the HTTPS URL.
    :ivar authority: the file to trust, for ``verify`` or ``AWS_CA_BUNDLE``.
    """

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(_Handler)
        self.upstream = (urlsplit(url).hostname, urlsplit(url).port)
        self.url = f"https://127.0.0.1:{self.port}"
        self.authority = folder / "authority.pem"
        _write_certificates(self.authority, folder / "server.pem")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "server.pem")


def _write_certificates(authority: Path, server: Path) -> None:
    """Write the certificate of an authority, and a server's certificate with its key, as Python 3.13 requires them."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def certificate(name: str, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(
            issuer_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")]),
            subject_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=datetime.now(UTC) - timedelta(days=1),
            not_valid_after=datetime.now(UTC) + timedelta(days=1),
        )
        for extension in (
            *extensions,
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
        ):
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    may_sign = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    authority.write_bytes(certificate("authority", authority_key, x509.BasicConstraints(True, None), may_sign))
    private_key = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    server.write_bytes(certificate("server", server_key, address) + private_key)
