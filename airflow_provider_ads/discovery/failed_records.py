"""
Failed records of an import: unpacking the error archive and reading its files.

The archive is a ZIP file behind a presigned URL. It contains two CSV files: the errors file lists the line, the column
name, the ExternalId and a message for each failed field, and the failed-entries file contains the failed rows.
``doc_source/troubleshooting.md`` in https://github.com/awsdocs/amazon-application-discovery-user-guide calls them
``errors-file.csv`` and ``failed-entries-file.csv``.
https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html omits ``.csv`` and once says
``failed-entries.csv``. The files are therefore found by the beginnings of their names. Neither page documents the
header of the errors file.
"""

from __future__ import annotations

import csv
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from airflow_provider_ads.archives import ArchiveError
from airflow_provider_ads.discovery.download import ArchiveDownloadError, ArchiveKind, download_archive, printable

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

#: Maximum number of characters in a record of either file; a longer record is shown as not readable. This is more than
#: 7,000 characters for each of 34 columns.
MAX_RECORD_CHARACTERS = 256 * 1024

#: The error archive of an import. An import has at most 25,000 records of 34 columns; an error of 300 characters for
#: each field makes 255 MB. An uncompressed archive can be that large too.
ERROR_ARCHIVE = ArchiveKind(
    name="error archive",
    task="an import",
    files="two files",
    max_bytes=256_000_000,
    renewal="Run the task again, which can renew the link",
    recreation="import the file again to get a new archive",
    inspection="download it from the Imports page of the Migration Hub console and check what it contains",
)

#: The name of the error in version 0.1.0.
FailedRecordsError = ArchiveDownloadError


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
    :raises ArchiveDownloadError: the failed records are not available.
    :raises OSError: the files cannot be written, for example because the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="ads-failed-records-") as folder:
        failed_records = FailedRecords(Path(folder, "errors-file.csv"), Path(folder, "failed-entries-file.csv"))
        with download_archive(url, ERROR_ARCHIVE, verify) as archive:
            errors, failed_entries = (_find_entry(archive.infos, prefix) for prefix in ("errors", "failed-entries"))
            archive.unpack(errors, failed_records.errors_file)
            archive.unpack(failed_entries, failed_records.failed_entries_file)
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


def _find_entry(infos: list[zipfile.ZipInfo], prefix: str) -> zipfile.ZipInfo:
    # Only the last part of a name is compared. No file is written under a name from the archive, so folders do no harm.
    found = [info for info in infos if re.split(r"[/\\]", info.filename)[-1].casefold().startswith(prefix)]
    if len(found) != 1:
        names = [repr(printable(info.filename, 40)) for info in infos[:5]]
        more = f" and {len(infos) - 5} more" if len(infos) > 5 else ""
        raise ArchiveError(
            f"contains {len(found)} files whose names start with {prefix!r} instead of one; it contains "
            f"{', '.join(names) or 'nothing'}{more}"
        )
    return found[0]


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
    return FieldError(*(printable(cell, CELL_CHARACTERS) for cell in four))
