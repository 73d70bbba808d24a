"""
Safe downloads of archives: the service offers ZIP files behind presigned URLs.

Anyone who has such a URL can download the archive, so the URL must not appear in errors and logs.
"""

from __future__ import annotations

import http.client
import io
import re
import ssl
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

from airflow_provider_ads.archives import CHUNK_BYTES, ArchiveError, open_archive, open_member, read_chunks
from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES

__all__ = ["ArchiveDownloadError", "ArchiveKind", "DownloadedArchive", "download_archive", "printable"]

#: Timeout in seconds for connecting to the server and for each read.
READ_TIMEOUT = 60.0

#: Timeout in seconds for the whole download.
DOWNLOAD_TIMEOUT = 600.0

#: Maximum ratio of the size of the files to the size of the archive. If every row of an import fails for the same
#: reason, the ratio is about 65. An archive made to fill a disk has a ratio of 1,000.
MAX_RATIO = 200

#: Number of bytes that can be unpacked no matter how high the ratio is. A small file of equal rows has as high a ratio
#: as a hostile one, and the failed entries are not larger than the import file.
RATIO_FREE_BYTES = 2 * IMPORT_FILE_MAX_BYTES

#: Maximum number of entries in an archive. The service's archives have at most eight files.
MAX_ENTRIES = 100

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class ArchiveKind:
    """
    A kind of archive that the service offers, for limits and messages.

    :param name: the name of the kind.
    :param task: the task that it belongs to, with an article.
    :param files: the number of files that it contains, in words.
    :param max_bytes: maximum size in bytes of the archive, and of its files together.
    :param renewal: how to get a new link; an imperative sentence.
    :param recreation: how to get a new archive.
    :param inspection: how to inspect the archive without this package.
    """

    name: str
    task: str
    files: str
    max_bytes: int
    renewal: str
    recreation: str
    inspection: str

    def not_readable(self, reason: str) -> ArchiveDownloadError:
        """Return the error for a download that is not such an archive; the subject of the reason is the archive."""
        return ArchiveDownloadError(
            f"Try again, in case the {self.name} was damaged in transit; if that does not help, {self.inspection}: it "
            f"{reason}.",
            code="ArchiveNotReadable",
        )


class ArchiveDownloadError(Exception):
    """
    An archive is not available. The task that it belongs to can have any status.

    :param message: what happened and what to do next, without the URL.
    :param code: ``ArchiveLinkExpired``: a new link is needed. ``ArchiveNotFound``: the archive no longer exists.
        ``ArchiveRefused``: the server refused the request for another reason. ``ArchiveNotReached``: the server could
        not be reached or did not send the whole archive. ``ArchiveNotReadable``: the download is not an archive with
        the expected files.
    :param transient: True if the same URL might work later.
    """

    def __init__(self, message: str, code: str, transient: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.transient = transient

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.code, self.transient)


class DownloadedArchive:
    """
    An archive whose directory has been read.

    :param members: the archive.
    :param size: its size in bytes.
    :param kind: its kind.
    :ivar infos: its entries.
    :raises ArchiveError: it has too many entries.
    """

    def __init__(self, members: zipfile.ZipFile, size: int, kind: ArchiveKind) -> None:
        self.infos = members.infolist()
        if len(self.infos) > MAX_ENTRIES:
            raise ArchiveError(f"has {len(self.infos):,} entries instead of {kind.files}")
        self._members = members
        self._kind = kind
        self._room = min(kind.max_bytes, max(RATIO_FREE_BYTES, MAX_RATIO * size))

    def unpack(self, info: zipfile.ZipInfo, path: Path) -> None:
        """
        Unpack a file.

        :param info: its entry.
        :param path: the file to write.
        :raises ArchiveError: it is not readable, is an archive itself, or all files together are too large.
        """
        with open_member(self._members, info) as member, path.open("wb") as file:
            for chunk in read_chunks(member):
                if file.tell() == 0 and chunk.startswith(b"PK\x03\x04"):
                    raise ArchiveError("contains another archive")
                self._room -= len(chunk)
                if self._room < 0:
                    raise ArchiveError(f"unpacks to more than {self._kind.task} can need")
                file.write(chunk)


@contextmanager
def download_archive(url: str, kind: ArchiveKind, verify: bool | str | None = None) -> Iterator[DownloadedArchive]:
    """
    Download an archive, which can be unpacked until the context ends.

    :param url: the presigned URL. AWS does not document how long it is valid.
    :param kind: the kind of the archive.
    :param verify: the path of a CA bundle, or False to accept every certificate, as in boto3. Otherwise the machine's
        certificate authorities are trusted.
    :raises ArchiveDownloadError: the archive is not available, or the block has raised ``ArchiveError``.
    :raises OSError: the archive cannot be written, for example because the disk is full.
    """
    with tempfile.TemporaryFile() as file:
        _download(url, file, kind, verify)
        size = file.seek(0, io.SEEK_END)
        if not size:
            raise kind.not_readable("is empty")
        try:
            with open_archive(file) as members:
                yield DownloadedArchive(members, size, kind)
        except ArchiveError as error:
            raise kind.not_readable(printable(str(error), 400)) from None


def printable(text: str, width: int) -> str:
    """Shorten a string for a message, and replace its control characters."""
    cut = text if len(text) <= width else text[: width - 1] + "…"
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in cut)


def _download(url: str, file: BinaryIO, kind: ArchiveKind, verify: bool | str | None) -> None:
    deadline = time.monotonic() + DOWNLOAD_TIMEOUT
    with _call(kind, _make_opener(verify).open, url, timeout=READ_TIMEOUT) as response:
        if response.status != 200:
            raise _refused(kind, response.status, _read_beginning(_read_body(kind, response, deadline)))
        size = 0
        for chunk in _read_body(kind, response, deadline):
            size += len(chunk)
            if size > kind.max_bytes:
                raise kind.not_readable(f"exceeds the {kind.max_bytes:,} bytes that {kind.task} can need")
            file.write(chunk)


def _make_opener(verify: bool | str | None) -> urllib.request.OpenerDirector:
    try:
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    except OSError as error:
        raise ArchiveDownloadError(
            f"Correct verify: the certificate authorities in {verify} could not be read: {error}.",
            code="ArchiveNotReached",
        ) from error
    # Python 3.13 sets this flag and then refuses companies' own certificate authorities that boto3 accepts.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # Other clients write each URL to their debug logs; that of the standard library does not while its debug level is
    # 0. Without further handlers it follows no redirects and raises no error for a status.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(debuglevel=0),
        urllib.request.HTTPSHandler(debuglevel=0, context=context),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _read_body(kind: ArchiveKind, response: Any, deadline: float) -> Iterator[bytes]:
    # read1 reads the socket once. A read that waits for a full chunk could pass the deadline if the server is slow.
    while chunk := _call(kind, response.read1, CHUNK_BYTES):
        yield chunk
        if time.monotonic() > deadline:
            raise _not_reached(kind, f"the download timed out after {DOWNLOAD_TIMEOUT:.0f} seconds")
    if response.length:
        raise _not_reached(kind, "the connection was closed before the end")


def _read_beginning(body: Iterator[bytes]) -> bytes:
    beginning = b""
    while len(beginning) < CHUNK_BYTES and (chunk := next(body, b"")):
        beginning += chunk
    return beginning


def _call(kind: ArchiveKind, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    try:
        return function(*args, **kwargs)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
    # Some of those errors contain the URL. An error raised outside the except block does not have them as its context.
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise ArchiveDownloadError(
            f"Check verify and the proxy: the certificate of the {kind.name}'s server is not trusted: "
            f"{reason.verify_message}.",
            code="ArchiveNotReached",
        )
    if isinstance(reason, OSError):
        raise _not_reached(kind, printable(str(reason) or type(reason).__name__, 200))
    if isinstance(reason, http.client.HTTPException) and not isinstance(reason, http.client.InvalidURL):
        raise _not_reached(kind, type(reason).__name__)
    raise ArchiveDownloadError(
        f"{kind.renewal}: the link to the {kind.name} is not a valid web address.", code="ArchiveRefused"
    )


def _not_reached(kind: ArchiveKind, reason: str) -> ArchiveDownloadError:
    return ArchiveDownloadError(
        f"Check the network and the proxy, and try again: the {kind.name} could not be downloaded: {reason}.",
        code="ArchiveNotReached",
        transient=True,
    )


def _refused(kind: ArchiveKind, status: int, body: bytes) -> ArchiveDownloadError:
    """
    Return the error for a response that is not the archive.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    # Only the code is quoted, because some responses repeat the signature.
    code = re.search(rb"<Code>([A-Za-z]{1,50})</Code>", body)
    response = f"HTTP {status}, {code[1].decode()}" if code else f"HTTP {status}"
    # A link also expires with the temporary credentials that signed it:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
    if b"<Message>Request has expired</Message>" in body or b"<Code>ExpiredToken</Code>" in body:
        return ArchiveDownloadError(
            f"{kind.renewal}: the link to the {kind.name} has expired ({response}).", code="ArchiveLinkExpired"
        )
    if status in (404, 410):
        return ArchiveDownloadError(
            f"{kind.renewal}, or {kind.recreation}: the {kind.name} no longer exists ({response}). AWS does not "
            "document how long it keeps one.",
            code="ArchiveNotFound",
        )
    if 300 <= status < 400:
        return ArchiveDownloadError(
            f"Check the proxy: the link to the {kind.name} redirects to another address ({response}). The redirect is "
            f"not followed, because that server could download the archive. {kind.renewal}.",
            code="ArchiveRefused",
            # S3 itself sends this redirect until the DNS entry of a new bucket is updated:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingRouting.html
            transient=status == 307,
        )
    if status >= 500 or status == 429:
        return ArchiveDownloadError(
            f"Try again later: the {kind.name}'s server failed ({response}).",
            code="ArchiveRefused",
            transient=True,
        )
    return ArchiveDownloadError(
        f"{kind.renewal}; if that does not help, check that the proxy and the policy of the VPC endpoint allow this "
        f"machine to read from S3: the {kind.name}'s server refused the link ({response}).",
        code="ArchiveRefused",
    )
