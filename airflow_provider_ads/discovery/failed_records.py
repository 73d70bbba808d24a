"""
The records of an import that failed: fetched from where AWS offers them, unpacked, and shown.

AWS packs two CSV files into a ZIP archive behind a presigned URL: one tells the line, the column name, the
ExternalId and a message for each failed field, the other holds the failed rows, to be corrected and imported again.
``doc_source/troubleshooting.md`` in https://github.com/awsdocs/amazon-application-discovery-user-guide calls them
``errors-file.csv`` and ``failed-entries-file.csv``,
https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html leaves ``.csv`` out and says
``failed-entries.csv`` once, so they are told by how their names begin. Neither says what the header of the errors is.

Whoever holds the URL can fetch the archive, so the URL is kept out of every error and log; and the archive comes from
outside, so nothing that it says about itself is believed.
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

#: Errors in the table for a log.
ERRORS_SHOWN = 20

#: Characters of a cell in that table.
CELL_CHARACTERS = 80

#: Seconds that the server may be silent, when it is connected to and after.
SILENCE_SECONDS = 60.0

#: Seconds that the archive may take to arrive.
FETCH_SECONDS = 600.0

#: Bytes of the archive, and of the two files in it together. An import has at most 25,000 records of 34 columns, and
#: an error for each field, of 300 characters, makes 255 MB. The archive may be as large, if it is not compressed.
MAX_BYTES = 256_000_000

#: How many times as large as the archive the two files may be. The errors of whole imports that fail alike are some
#: 65 times as large as when they are compressed; what is made to fill a disk, 1,000 times.
MAX_RATIO = 200

#: Bytes up to which the ratio does not count: a file of few and equal rows compresses as well as a hostile one, and
#: the failed entries are no larger than the import file.
UNSUSPECTED_BYTES = 2 * IMPORT_FILE_MAX_BYTES

#: Entries of the archive, of which two are needed.
MAX_ENTRIES = 100

#: Bytes that are read of the archive at once. Its directory is read at once, and takes some ten times as much memory;
#: a hundred entries need some 10 kB, and what is sought at the archive's end 64 KiB.
MAX_READ_BYTES = 1024 * 1024

#: Characters of a record in either file that are read; one that is longer is shown as not readable. In a record of 34
#: columns there is room for 7,000 characters in each.
MAX_RECORD_CHARACTERS = 256 * 1024

_CHUNK_BYTES = 64 * 1024

_ASK_AGAIN = "Describe the import task again, which may renew the link"
_BY_HAND = "Download it from the Imports page of the Migration Hub console, and look at what it is"

_P = ParamSpec("_P")
_T = TypeVar("_T")


class FailedRecordsError(Exception):
    """
    The failed records of an import cannot be had; that says nothing about the import.

    :param message: what happened and what to do next. It does not contain the URL.
    :param code: ``ArchiveLinkExpired``, which a new link may help; ``ArchiveNotFound``, the archive is gone;
        ``ArchiveRefused``, the server said no otherwise; ``ArchiveNotReached``, no server answered, or not to the
        end; ``ArchiveNotReadable``, what came is not an archive with the two files.
    :param transient: whether the same URL may work a little later.
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
    What the archive holds, byte for byte.

    :param errors_file: a line for each failed field.
    :param failed_entries_file: the failed rows.
    """

    errors_file: Path
    failed_entries_file: Path


class FieldError(NamedTuple):
    """
    A line of the errors file, fit for a log: cells are cut to 80 characters, control characters are replaced.

    :param line: the line of the import file.
    :param column_name: the column that failed.
    :param external_id: the row's ExternalId.
    :param message: what is wrong, with everything that follows it on the line.
    """

    line: str
    column_name: str
    external_id: str
    message: str


@dataclass(frozen=True)
class FieldErrors:
    """
    The errors of an import.

    :param header: what the errors file calls its columns, or AWS's documentation if the file does not.
    :param first: the first errors.
    :param total: the number of all errors.
    """

    header: FieldError
    first: tuple[FieldError, ...]
    total: int


@contextmanager
def open_failed_records(url: str, verify: bool | str | None = None) -> Iterator[FailedRecords]:
    """
    Fetch the archive of an import and unpack its two files, which are there until the context ends.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html

    :param url: ``errorsAndFailedEntriesZip`` of the import task. AWS does not say how long it is good for.
    :param verify: as boto3 takes it: a file with the certificates of authorities to trust, or False to accept every
        certificate; otherwise the machine's authorities are trusted.
    :return: the two files, in a folder that only this user can read.
    :raises FailedRecordsError: they cannot be had.
    :raises OSError: there is no room for them on this machine.
    """
    with tempfile.TemporaryDirectory(prefix="ads-failed-records-") as folder:
        failed_records = FailedRecords(Path(folder, "errors-file.csv"), Path(folder, "failed-entries-file.csv"))
        with tempfile.TemporaryFile() as archive:
            _fetch(url, archive, verify)
            _unpack(archive, failed_records)
        yield failed_records


def read_errors(errors_file: Path) -> FieldErrors:
    """
    Read the first 20 errors, and count all; no file is so odd that this fails.

    The columns are taken by their place, in the order in which AWS's documentation names them, see above.

    :param errors_file: the file, of any size.
    """
    header = FieldError("line", "column name", "ExternalId", "message")
    first: list[FieldError] = []
    total = 0
    for number, cells in enumerate(_records(errors_file)):
        # Every error tells its line, so a first record without a digit is a header.
        if number == 0 and len(cells) > 1 and not any(map(str.isdigit, "".join(cells))):
            header = _field_error(cells)
            continue
        total += 1
        if len(first) < ERRORS_SHOWN:
            first.append(_field_error(cells))
    return FieldErrors(header, tuple(first), total)


def count_failed_entries(failed_entries_file: Path) -> int:
    """
    Count the failed rows; the header is none, and a line break in quotes begins none.

    :param failed_entries_file: the file, of any size.
    """
    return max(sum(1 for _ in _records(failed_entries_file)) - 1, 0)


def format_errors_table(errors: FieldErrors) -> str:
    """
    Lay out the first errors for a log, and say how many more there are.

    :param errors: what :func:`read_errors` returned.
    :return: lines of text.
    """
    rows = [errors.header, *errors.first]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if more := errors.total - len(errors.first):
        lines.append(f"... and {more:,} more")
    return "\n".join(lines)


# -- over the network ----------------------------------------------------------------------------------------------


def _fetch(url: str, archive: BinaryIO, verify: bool | str | None) -> None:
    deadline = time.monotonic() + FETCH_SECONDS
    with _reach(_opener(verify).open, url, timeout=SILENCE_SECONDS) as response:
        if response.status != 200:
            raise _refusal(response.status, _beginning(_body(response, deadline)))
        size = 0
        for chunk in _body(response, deadline):
            size += len(chunk)
            if size > MAX_BYTES:
                raise _not_readable(f"is larger than the {MAX_BYTES:,} bytes that any import can need")
            archive.write(chunk)


def _opener(verify: bool | str | None) -> urllib.request.OpenerDirector:
    try:
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    except OSError as error:
        raise FailedRecordsError(
            f"The certificate authorities in {verify} cannot be read: {error}. Correct verify.",
            code="ArchiveNotReached",
        ) from error
    # Python 3.13 has come to refuse authorities of companies that boto3 accepts.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # The standard library's client, because others write each URL to their debug logs, and this one writes nothing
    # while its debug level is 0. It follows no redirect and raises for no status: those would be handlers too.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(debuglevel=0),
        urllib.request.HTTPSHandler(debuglevel=0, context=context),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _body(response: Any, deadline: float) -> Iterator[bytes]:
    # One read of the socket at a time: to wait for a full chunk would let a slow server hold out beyond any deadline.
    while chunk := _reach(response.read1, _CHUNK_BYTES):
        yield chunk
        if time.monotonic() > deadline:
            raise _not_reached(f"it had not arrived after {FETCH_SECONDS:.0f} seconds")
    if response.length:
        raise _not_reached("the connection broke off")


def _beginning(body: Iterator[bytes]) -> bytes:
    beginning = b""
    while len(beginning) < _CHUNK_BYTES and (chunk := next(body, b"")):
        beginning += chunk
    return beginning


def _reach(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    try:
        return function(*args, **kwargs)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
    # Some of those errors contain the URL; raised out here, the new one does not have them as its context.
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise FailedRecordsError(
            f"The certificate of the error archive's server was not accepted: {reason.verify_message}. Check verify "
            "and the proxy.",
            code="ArchiveNotReached",
        )
    if isinstance(reason, OSError):
        raise _not_reached(_printable(str(reason) or type(reason).__name__, 200))
    if isinstance(reason, http.client.HTTPException) and not isinstance(reason, http.client.InvalidURL):
        raise _not_reached(type(reason).__name__)
    raise FailedRecordsError(
        f"The link to the error archive is not an address that can be fetched. {_ASK_AGAIN}.", code="ArchiveRefused"
    )


def _not_reached(reason: str) -> FailedRecordsError:
    return FailedRecordsError(
        f"The error archive could not be fetched: {reason}. Check the network and the proxy, and try again.",
        code="ArchiveNotReached",
        transient=True,
    )


def _refusal(status: int, body: bytes) -> FailedRecordsError:
    """
    Explain an answer without the archive.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    # No more is quoted: some answers repeat what was signed, and the signature.
    code = re.search(rb"<Code>([A-Za-z]{1,50})</Code>", body)
    said = f"HTTP {status}, {code[1].decode()}" if code else f"HTTP {status}"
    # A link also expires with the temporary credentials that signed it:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
    if b"<Message>Request has expired</Message>" in body or b"<Code>ExpiredToken</Code>" in body:
        return FailedRecordsError(
            f"The link to the error archive has expired ({said}). {_ASK_AGAIN}.", code="ArchiveLinkExpired"
        )
    if status in (404, 410):
        return FailedRecordsError(
            f"The error archive is not there any more ({said}); AWS does not say how long it keeps one. {_ASK_AGAIN}, "
            "or import the file again to get a new archive.",
            code="ArchiveNotFound",
        )
    if 300 <= status < 400:
        return FailedRecordsError(
            f"The link to the error archive leads elsewhere ({said}), which is not followed: whoever gets the link can "
            f"fetch the archive. Check the proxy. {_ASK_AGAIN}.",
            code="ArchiveRefused",
            # S3 itself sends this one while its names are not up to date:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingRouting.html
            transient=status == 307,
        )
    if status >= 500 or status == 429:
        return FailedRecordsError(
            f"The server of the error archive failed ({said}). This may pass by itself: try again.",
            code="ArchiveRefused",
            transient=True,
        )
    return FailedRecordsError(
        f"The link to the error archive was refused ({said}). {_ASK_AGAIN}; if that does not help, check that the "
        "proxy, or the policy of the VPC endpoint, lets this machine read from S3.",
        code="ArchiveRefused",
    )


# -- out of the archive --------------------------------------------------------------------------------------------


class _SmallReads:
    """A file that is not read in large pieces, as zipfile does with a directory of any size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(size if 0 <= size <= MAX_READ_BYTES else MAX_READ_BYTES + 1)
        if len(content) > MAX_READ_BYTES:
            raise _not_readable("has too large a directory")
        return content


def _unpack(archive: BinaryIO, failed_records: FailedRecords) -> None:
    archive_bytes = archive.seek(0, io.SEEK_END)
    if not archive_bytes:
        raise _not_readable("is empty")
    room = min(MAX_BYTES, max(UNSUSPECTED_BYTES, MAX_RATIO * archive_bytes))
    with _unzip(zipfile.ZipFile, _SmallReads(archive)) as members:
        infos = members.infolist()
        if len(infos) > MAX_ENTRIES:
            raise _not_readable(f"has {len(infos):,} entries instead of two files")
        errors, failed_entries = _entry(infos, "errors"), _entry(infos, "failed-entries")
        room = _copy(members, errors, failed_records.errors_file, room)
        _copy(members, failed_entries, failed_records.failed_entries_file, room)


def _entry(infos: list[zipfile.ZipInfo], prefix: str) -> zipfile.ZipInfo:
    # Of a name only the last part counts, and nothing is written to it, so a folder in it does no harm.
    found = [info for info in infos if re.split(r"[/\\]", info.filename)[-1].casefold().startswith(prefix)]
    if len(found) != 1:
        names = [repr(_printable(info.filename, 40)) for info in infos[:5]]
        more = f" and {len(infos) - 5} more" if len(infos) > 5 else ""
        raise _not_readable(
            f"has {len(found)} files whose names begin with {prefix!r} instead of one; it holds "
            f"{', '.join(names) or 'nothing'}{more}"
        )
    (info,) = found
    if info.flag_bits & 1:
        raise _not_readable("is encrypted")
    # Of the methods that zipfile knows, others take memory as they please.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _not_readable(f"is compressed with method {info.compress_type}, which is not supported")
    return info


def _copy(members: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, room: int) -> int:
    """Copy a file out of the archive, of at most so many bytes; return how many are left of them."""
    with _unzip(members.open, info) as member, path.open("wb") as file:
        while chunk := _unzip(member.read, _CHUNK_BYTES):
            if file.tell() == 0 and chunk.startswith(b"PK\x03\x04"):
                raise _not_readable("holds another archive")
            room -= len(chunk)
            if room < 0:
                raise _not_readable("unpacks to more than any import can need")
            file.write(chunk)
    return room


def _unzip(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    try:
        return function(*args, **kwargs)
    except FailedRecordsError:
        raise
    except Exception as error:
        # A dozen kinds, from struct.error to NotImplementedError, with texts from the archive of any length.
        reason = _printable(f"{type(error).__name__}: {error}", 200)
    raise _not_readable(f"is no ZIP archive, or a damaged one ({reason})")


def _not_readable(reason: str) -> FailedRecordsError:
    return FailedRecordsError(
        f"What came as the error archive {reason}. Try again, in case it was damaged on its way. {_BY_HAND}.",
        code="ArchiveNotReadable",
    )


# -- in the files --------------------------------------------------------------------------------------------------


def _records(path: Path) -> Iterator[list[str]]:
    """Yield the cells of each record of a CSV file, whatever its encoding and however bad it is."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        read = 0

        def next_line() -> str:
            nonlocal read
            line = file.readline(MAX_RECORD_CHARACTERS)
            read += len(line)
            if read > MAX_RECORD_CHARACTERS:
                raise csv.Error
            return line

        # Other than a generator, this goes on after an error.
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
    # A comma in the message that was not quoted has split it.
    four = (*cells[:3], *[""] * (3 - len(cells)), ",".join(cells[3:]))
    return FieldError(*(_printable(cell, CELL_CHARACTERS) for cell in four))


def _printable(text: str, width: int) -> str:
    cut = text if len(text) <= width else text[: width - 1] + "…"
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in cut)
