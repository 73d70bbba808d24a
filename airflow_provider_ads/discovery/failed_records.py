"""
Failed records of an import: downloading the error archive, unpacking it and reading its files.

The archive is a ZIP file behind a presigned URL. It contains two CSV files: the errors file lists the line, the column
name, the ExternalId and a message for each failed field, and the failed-entries file contains the failed rows.
``doc_source/troubleshooting.md`` in https://github.com/awsdocs/amazon-application-discovery-user-guide calls them
``errors-file.csv`` and ``failed-entries-file.csv``.
https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html omits ``.csv`` and once says
``failed-entries.csv``. The files are therefore found by the beginnings of their names. Neither page documents the
header of the errors file.

Anyone who has the URL can download the archive, so the URL must not appear in errors and logs.
"""

from __future__ import annotations

import csv
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
from typing import Any, BinaryIO, NamedTuple, ParamSpec, TypeVar

from airflow_provider_ads.archives import CHUNK_BYTES, ArchiveError, open_archive, open_member, read_chunks
from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES

__all__ = [
    "ERRORS_SHOWN",
    "FailedRecords",
    "FailedRecordsError",
    "FieldError",
    "FieldErrors",
    "count_failed_entries",
    "format_errors_table",
    "open_failed_records",
    "read_errors",
]

#: Maximum number of errors in the table for a log.
ERRORS_SHOWN = 20

#: Maximum number of characters of a cell in that table.
CELL_CHARACTERS = 80

#: Timeout in seconds for connecting to the server and for each read.
READ_TIMEOUT = 60.0

#: Timeout in seconds for the whole download.
DOWNLOAD_TIMEOUT = 600.0

#: Maximum size in bytes of the archive, and of its two files together. An import has at most 25,000 records of 34
#: columns; an error of 300 characters for each field makes 255 MB. An uncompressed archive can be that large too.
MAX_BYTES = 256_000_000

#: Maximum ratio of the size of the two files to the size of the archive. If every row of an import fails for the same
#: reason, the ratio is about 65. An archive made to fill a disk has a ratio of 1,000.
MAX_RATIO = 200

#: Number of bytes that can be unpacked no matter how high the ratio is. A small file of equal rows has as high a ratio
#: as a hostile one, and the failed entries are not larger than the import file.
RATIO_FREE_BYTES = 2 * IMPORT_FILE_MAX_BYTES

#: Maximum number of entries in the archive, which needs only two.
MAX_ENTRIES = 100

#: Maximum number of characters in a record of either file; a longer record is shown as not readable. This is more than
#: 7,000 characters for each of 34 columns.
MAX_RECORD_CHARACTERS = 256 * 1024

_RENEW_LINK = "Run the task again, which can renew the link"

_P = ParamSpec("_P")
_T = TypeVar("_T")


class FailedRecordsError(Exception):
    """
    The failed records of an import are not available. The import itself can have any status.

    :param message: what happened and what to do next, without the URL.
    :param code: ``ArchiveLinkExpired``: a new link is needed. ``ArchiveNotFound``: the archive no longer exists.
        ``ArchiveRefused``: the server refused the request for another reason. ``ArchiveNotReached``: the server could
        not be reached or did not send the whole archive. ``ArchiveNotReadable``: the download is not an archive with
        the two files.
    :param transient: True if the same URL might work later.
    """

    def __init__(self, message: str, code: str, transient: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.transient = transient

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.code, self.transient)


@dataclass(frozen=True)
class FailedRecords:
    """
    The two files of an error archive, unchanged.

    :param errors_file: the file with a line for each failed field.
    :param failed_entries_file: the file with the failed rows.
    """

    errors_file: Path
    failed_entries_file: Path


class FieldError(NamedTuple):
    """
    A line of the errors file, safe for a log: cells have at most 80 characters, and no control characters.

    :param line: the line of the import file.
    :param column_name: the column that failed.
    :param external_id: the row's ExternalId.
    :param message: the reason, with everything that follows it on the line.
    """

    line: str
    column_name: str
    external_id: str
    message: str


@dataclass(frozen=True)
class FieldErrors:
    """
    The errors of an import.

    :param header: the header of the errors file, or column names from AWS's documentation if it has none.
    :param first: the first errors.
    :param total: the number of all errors.
    """

    header: FieldError
    first: tuple[FieldError, ...]
    total: int


@contextmanager
def open_failed_records(url: str, verify: bool | str | None = None) -> Iterator[FailedRecords]:
    """
    Download and unpack the error archive of an import. The files exist until the context ends.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html

    :param url: ``errorsAndFailedEntriesZip`` of the import task. AWS does not document how long it is valid.
    :param verify: the path of a CA bundle, or False to accept every certificate, as in boto3. Otherwise the machine's
        certificate authorities are trusted.
    :return: the two files, in a folder that only the current user can read.
    :raises FailedRecordsError: the failed records are not available.
    :raises OSError: the files cannot be written, for example because the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="ads-failed-records-") as folder:
        failed_records = FailedRecords(Path(folder, "errors-file.csv"), Path(folder, "failed-entries-file.csv"))
        with tempfile.TemporaryFile() as archive:
            _download(url, archive, verify)
            _unpack(archive, failed_records)
        yield failed_records


def read_errors(errors_file: Path) -> FieldErrors:
    """
    Read the first 20 errors and count all of them, no matter how malformed the file is.

    The columns are expected in the order in which AWS's documentation lists them.

    :param errors_file: the file, of any size.
    """
    header = FieldError("line", "column name", "ExternalId", "message")
    first: list[FieldError] = []
    total = 0
    for number, cells in enumerate(_read_records(errors_file)):
        # Every error has a line number, so a first record without a digit is a header.
        if number == 0 and len(cells) > 1 and not any(map(str.isdigit, "".join(cells))):
            header = _field_error(cells)
            continue
        total += 1
        if len(first) < ERRORS_SHOWN:
            first.append(_field_error(cells))
    return FieldErrors(header, tuple(first), total)


def count_failed_entries(failed_entries_file: Path) -> int:
    """
    Count the failed rows. The header does not count, and a row with line breaks in quotes counts once.

    :param failed_entries_file: the file, of any size.
    """
    return max(sum(1 for _ in _read_records(failed_entries_file)) - 1, 0)


def format_errors_table(errors: FieldErrors) -> str:
    """
    Return the first errors as a table for a log, with the number of further errors.

    :param errors: the errors that :func:`read_errors` returned.
    """
    rows = [errors.header, *errors.first]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if more := errors.total - len(errors.first):
        lines.append(f"... and {more:,} more")
    return "\n".join(lines)


# -- downloading ---------------------------------------------------------------------------------------------------


def _download(url: str, archive: BinaryIO, verify: bool | str | None) -> None:
    deadline = time.monotonic() + DOWNLOAD_TIMEOUT
    with _call(_make_opener(verify).open, url, timeout=READ_TIMEOUT) as response:
        if response.status != 200:
            raise _refused(response.status, _read_beginning(_read_body(response, deadline)))
        size = 0
        for chunk in _read_body(response, deadline):
            size += len(chunk)
            if size > MAX_BYTES:
                raise _not_readable(f"exceeds the {MAX_BYTES:,} bytes that an import can need")
            archive.write(chunk)


def _make_opener(verify: bool | str | None) -> urllib.request.OpenerDirector:
    try:
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    except OSError as error:
        raise FailedRecordsError(
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


def _read_body(response: Any, deadline: float) -> Iterator[bytes]:
    # read1 reads the socket once. A read that waits for a full chunk could pass the deadline if the server is slow.
    while chunk := _call(response.read1, CHUNK_BYTES):
        yield chunk
        if time.monotonic() > deadline:
            raise _not_reached(f"the download timed out after {DOWNLOAD_TIMEOUT:.0f} seconds")
    if response.length:
        raise _not_reached("the connection was closed before the end")


def _read_beginning(body: Iterator[bytes]) -> bytes:
    beginning = b""
    while len(beginning) < CHUNK_BYTES and (chunk := next(body, b"")):
        beginning += chunk
    return beginning


def _call(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    try:
        return function(*args, **kwargs)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
    # Some of those errors contain the URL. An error raised outside the except block does not have them as its context.
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise FailedRecordsError(
            "Check verify and the proxy: the certificate of the error archive's server is not trusted: "
            f"{reason.verify_message}.",
            code="ArchiveNotReached",
        )
    if isinstance(reason, OSError):
        raise _not_reached(_printable(str(reason) or type(reason).__name__, 200))
    if isinstance(reason, http.client.HTTPException) and not isinstance(reason, http.client.InvalidURL):
        raise _not_reached(type(reason).__name__)
    raise FailedRecordsError(
        f"{_RENEW_LINK}: the link to the error archive is not a valid web address.", code="ArchiveRefused"
    )


def _not_reached(reason: str) -> FailedRecordsError:
    return FailedRecordsError(
        f"Check the network and the proxy, and try again: the error archive could not be downloaded: {reason}.",
        code="ArchiveNotReached",
        transient=True,
    )


def _refused(status: int, body: bytes) -> FailedRecordsError:
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
        return FailedRecordsError(
            f"{_RENEW_LINK}: the link to the error archive has expired ({response}).", code="ArchiveLinkExpired"
        )
    if status in (404, 410):
        return FailedRecordsError(
            f"{_RENEW_LINK}, or import the file again to get a new archive: the error archive no longer exists "
            f"({response}). AWS does not document how long it keeps one.",
            code="ArchiveNotFound",
        )
    if 300 <= status < 400:
        return FailedRecordsError(
            f"Check the proxy: the link to the error archive redirects to another address ({response}). The redirect "
            f"is not followed, because that server could download the archive. {_RENEW_LINK}.",
            code="ArchiveRefused",
            # S3 itself sends this redirect until the DNS entry of a new bucket is updated:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingRouting.html
            transient=status == 307,
        )
    if status >= 500 or status == 429:
        return FailedRecordsError(
            f"Try again later: the error archive's server failed ({response}).",
            code="ArchiveRefused",
            transient=True,
        )
    return FailedRecordsError(
        f"{_RENEW_LINK}; if that does not help, check that the proxy and the policy of the VPC endpoint allow this "
        f"machine to read from S3: the error archive's server refused the link ({response}).",
        code="ArchiveRefused",
    )


# -- unpacking -----------------------------------------------------------------------------------------------------


def _unpack(archive: BinaryIO, failed_records: FailedRecords) -> None:
    archive_bytes = archive.seek(0, io.SEEK_END)
    if not archive_bytes:
        raise _not_readable("is empty")
    room = min(MAX_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * archive_bytes))
    try:
        with open_archive(archive) as members:
            infos = members.infolist()
            if len(infos) > MAX_ENTRIES:
                raise ArchiveError(f"has {len(infos):,} entries instead of two files")
            errors, failed_entries = _find_entry(infos, "errors"), _find_entry(infos, "failed-entries")
            room = _unpack_file(members, errors, failed_records.errors_file, room)
            _unpack_file(members, failed_entries, failed_records.failed_entries_file, room)
    except ArchiveError as error:
        raise _not_readable(_printable(str(error), 400)) from None


def _find_entry(infos: list[zipfile.ZipInfo], prefix: str) -> zipfile.ZipInfo:
    # Only the last part of a name is compared. No file is written under a name from the archive, so folders do no harm.
    found = [info for info in infos if re.split(r"[/\\]", info.filename)[-1].casefold().startswith(prefix)]
    if len(found) != 1:
        names = [repr(_printable(info.filename, 40)) for info in infos[:5]]
        more = f" and {len(infos) - 5} more" if len(infos) > 5 else ""
        raise ArchiveError(
            f"contains {len(found)} files whose names start with {prefix!r} instead of one; it contains "
            f"{', '.join(names) or 'nothing'}{more}"
        )
    return found[0]


def _unpack_file(members: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, room: int) -> int:
    """Unpack a file, and return the number of bytes that may still be unpacked."""
    with open_member(members, info) as member, path.open("wb") as file:
        for chunk in read_chunks(member):
            if file.tell() == 0 and chunk.startswith(b"PK\x03\x04"):
                raise ArchiveError("contains another archive")
            room -= len(chunk)
            if room < 0:
                raise ArchiveError("unpacks to more than an import can need")
            file.write(chunk)
    return room


def _not_readable(reason: str) -> FailedRecordsError:
    return FailedRecordsError(
        "Try again, in case the error archive was damaged in transit; if that does not help, download it from the "
        f"Imports page of the Migration Hub console and check what it contains: it {reason}.",
        code="ArchiveNotReadable",
    )


# -- reading -------------------------------------------------------------------------------------------------------


def _read_records(path: Path) -> Iterator[list[str]]:
    """Yield the cells of each record of a CSV file, no matter how malformed the file is."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        read = 0

        def next_line() -> str:
            nonlocal read
            line = file.readline(MAX_RECORD_CHARACTERS)
            read += len(line)
            if read > MAX_RECORD_CHARACTERS:
                raise csv.Error
            return line

        # Unlike a generator, this iterator continues after it has raised an error.
        reader = csv.reader(iter(next_line, ""))
        while True:
            read = 0
            try:
                cells = next(reader)
            except csv.Error:
                cells = ["(not readable)"]
            except StopIteration:
                return
            if cells:
                yield cells


def _field_error(cells: list[str]) -> FieldError:
    # A message that contains commas but no quotes is split, so its parts are joined again.
    four = (*cells[:3], *[""] * (3 - len(cells)), ",".join(cells[3:]))
    return FieldError(*(_printable(cell, CELL_CHARACTERS) for cell in four))


def _printable(text: str, width: int) -> str:
    cut = text if len(text) <= width else text[: width - 1] + "…"
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in cut)
