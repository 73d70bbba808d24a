"""
Import files: their type, their rows, the errors of each row, and the archive that reports these errors.

AWS documents the columns and row rules of the import template. Where it is silent, the emulator's own choices are:
UTF-8 with or without a byte order mark, columns in any order, empty lines skipped, rows shorter than the header
allowed, spaces around a cell ignored.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import openpyxl

from airflow_provider_ads.inventory.template import IDENTITY_COLUMNS, IDENTITY_PAIR, NUMERIC_COLUMNS, TEMPLATE_COLUMNS

__all__ = ["VINFO_COLUMNS", "ImportFile", "Row", "RowError", "make_error_archive", "read_import_file"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)

#: Numbers must be smaller than this, so that a signed 64-bit integer can hold them.
_NUMBER_LIMIT = 2.0**63

#: The sheets that an RVTools export must contain, in lower case:
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
_REQUIRED_SHEETS = frozenset(
    ("vinfo", "vnetwork", "vcpu", "vmemory", "vdisk", "vpartition", "vsource", "vtools", "vhost", "vnic", "vsc_vmk")
)

#: The name of a required sheet as a CSV file, such as ``RVTools_tabvInfo.csv``.
_SHEET_CSV = re.compile(rf"(?:^|[\W\d_]|tab)({'|'.join(_REQUIRED_SHEETS)})\.csv\Z", re.IGNORECASE)

#: The name of an Excel file, except the ``._`` files that macOS adds.
_WORKBOOK = re.compile(r"(?:^|/)(?!\._)[^/]*\.xlsx\Z", re.IGNORECASE)

#: Maximum size of an Excel file, and of ``vInfo`` as CSV. A server has about 1 kB there, and an account 10,000 servers.
_MAX_FILE_BYTES = 30_000_000

#: Maximum number of lines of ``vInfo``, some of which can be in one cell.
_MAX_LINES = 250_000

#: Maximum size of all that an Excel file contains, of which only strings and one row at a time are held in memory.
_MAX_WORKBOOK_BYTES = 200_000_000

#: Maximum number of XML tags of one sheet. A cell has four; 10,000 servers with 90 columns have 3,600,000. openpyxl
#: keeps about 64 bytes for each element outside of rows.
_MAX_TAGS = 5_000_000

#: Number of bytes that are unpacked at a time; also the maximum size of a ZIP file's directory, of a row or string of
#: an Excel file, and of its parts other than sheets and strings.
_CHUNK_BYTES = 1_000_000


#: The template columns with the same meaning as columns of ``vInfo``, for exports: the emulator's own choice.
VINFO_COLUMNS = {
    "VM": "VMware.VMName",
    "VM UUID": "SMBiosId",
    "DNS Name": "HostName",
    "Primary IP Address": "IPAddress",
    "CPUs": "CPU.NumberOfLogicalCores",
    "Memory": "RAM.TotalSizeInMB",
    "OS according to the configuration file": "OS.Name",
    "OS according to the VMware Tools": "OS.Name",
}


@dataclass(frozen=True)
class RowError:
    """
    An error in one field of a row.

    :param column: the name of the column; empty if the error concerns the whole row.
    :param message: the error message.
    """

    column: str
    message: str


@dataclass(frozen=True)
class Row:
    """
    One record of an import file.

    :param line: the line of the file on which it begins. The header is on line 1.
    :param text: its text as it was sent, including the line end.
    :param cells: its cells by column, of the columns that the emulator knows.
    :param identity: the values that identify its server besides ServerId and ExternalId; empty if there are none.
    :param errors: the reasons why it cannot be imported.
    """

    line: int
    text: str
    cells: Mapping[str, str]
    identity: tuple[str, ...]
    errors: tuple[RowError, ...]

    @property
    def server_id(self) -> str:
        """The id of the server that the row updates; empty if the row has none."""
        return self.cells.get("ServerId", "")

    @property
    def external_id(self) -> str:
        """The row's own key."""
        return self.cells.get("ExternalId", "")

    @property
    def applications(self) -> frozenset[str]:
        """The names in the cell ``Applications``, which is a comma-separated list."""
        return _names(self.cells.get("Applications", "").split(","))

    @property
    def tags(self) -> frozenset[str]:
        """The names in the cell ``Tags``, which is a comma-separated list of ``name:value``."""
        return _names(tag.partition(":")[0] for tag in self.cells.get("Tags", "").split(","))


@dataclass(frozen=True)
class ImportFile:
    """
    An import file of a supported type.

    :param classification: its ``fileClassification``.
    :param header: the text of the header as it was sent, including the line end.
    :param rows: its records.
    """

    classification: str
    header: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class _FileType:
    """
    A type of import file.

    :param classification: the ``fileClassification``.
    :param columns: the columns of which the header must have at least one.
    :param identity: the columns that identify a server besides ServerId and ExternalId. The emulator's own choice:
        servers match if all of them are equal, ignoring case.
    :param check: returns the errors of a row's cells.
    :param others: further columns, which exports contain.
    """

    classification: str
    columns: frozenset[str]
    identity: tuple[str, ...]
    check: Callable[[Mapping[str, str]], list[RowError]]
    others: frozenset[str] = frozenset()


def read_import_file(content: bytes) -> ImportFile | None:
    """
    Read an import file.

    A ZIP file is an RVTools export. Any other file is an import template:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    The emulator's own choice: an import template is UTF-8 text without NUL characters, and its header has at least one
    template column.

    :param content: the content of the file.
    :return: the file with its rows, or None if its type is not supported.
    """
    if zipfile.is_zipfile(io.BytesIO(content)):
        sheet = _read_vinfo_sheet(content)
        return None if sheet is None else _read_csv(sheet, _RVTOOLS_EXPORT)
    return _read_csv(content, _IMPORT_TEMPLATE)


def make_error_archive(import_file: ImportFile) -> bytes:
    """
    Create the archive that reports the failed rows of an import.

    It contains one line for each failed field, and the failed rows as they were sent, to be fixed and imported again:
    ``doc_source/troubleshooting.md`` in https://github.com/awsdocs/amazon-application-discovery-user-guide.
    AWS does not document the header of the errors file: it is the emulator's own choice.

    :param import_file: the file that was imported.
    :return: the archive, a ZIP file.
    """
    failed = [row for row in import_file.rows if row.errors]
    errors = io.StringIO(newline="")
    writer = csv.writer(errors)
    writer.writerow(("line", "column name", "ExternalId", "message"))
    writer.writerows((row.line, error.column, row.external_id, error.message) for row in failed for error in row.errors)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("errors-file.csv", errors.getvalue())
        members.writestr("failed-entries-file.csv", import_file.header + "".join(row.text for row in failed))
    return archive.getvalue()


def _read_vinfo_sheet(content: bytes) -> bytes | None:
    """
    Read the ``vInfo`` sheet of an RVTools export as CSV, or return None if the file is not an RVTools export.

    The service accepts the ZIP of a folder that contains CSV files or an Excel file, with eleven required sheets:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    The emulator's own choices: an export that lacks a sheet, or exceeds the limits above, is not an RVTools export. The
    rows of ``vInfo`` are the servers, and the content of other sheets is ignored, as is a second export.
    """
    try:
        with _open_archive(content) as export:
            names = export.namelist()
            csv_files = {match[1].lower(): name for name in names[::-1] if (match := _SHEET_CSV.search(name))}
            if csv_files.keys() >= _REQUIRED_SHEETS:
                sheet = _unpack(export, csv_files["vinfo"])
            else:
                sheet = _workbook_to_csv(_unpack(export, next(filter(_WORKBOOK.search, names))))
    except Exception:
        # Files that are damaged, encrypted, too large, not Excel files, or incomplete each raise their own error.
        return None
    return sheet if max(sheet.count(b"\n"), sheet.count(b"\r")) <= _MAX_LINES else None


class _BoundedReads(io.BytesIO):
    """A ZIP file whose directory, which zipfile reads with one call, cannot be large."""

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        _check_limit(len(content), _CHUNK_BYTES)
        return content


def _open_archive(content: bytes) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(_BoundedReads(content))
    # Other methods than these can unpack any amount of data in one read.
    if any(each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for each in archive.infolist()):
        raise ValueError("unknown compression")
    return archive


def _unpack(archive: zipfile.ZipFile, name: str) -> bytes:
    """Unpack a file in chunks, because zipfile does not limit what it unpacks in one read."""
    content = bytearray()
    with archive.open(name) as member:
        while chunk := member.read(_CHUNK_BYTES):
            content += chunk
            _check_limit(len(content), _MAX_FILE_BYTES)
    return bytes(content)


def _check_limit(number: int, limit: int) -> None:
    if number > limit:
        raise ValueError(f"{number:,} exceeds {limit:,}")


def _workbook_to_csv(content: bytes) -> bytes:
    with warnings.catch_warnings():
        # openpyxl warns about features of a workbook that it ignores.
        warnings.simplefilter("ignore", UserWarning)
        workbook = openpyxl.load_workbook(_copy_workbook(content), read_only=True, data_only=True)
    sheets = {name.lower(): workbook[name] for name in workbook.sheetnames}
    if missing := _REQUIRED_SHEETS - sheets.keys():
        raise ValueError(f"lacks {missing}")
    # Otherwise, openpyxl fills the sheet up to the size that it claims to have, such as 16,384 by 1,048,576 cells.
    sheets["vinfo"].reset_dimensions()
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for number, row in enumerate(sheets["vinfo"].iter_rows(values_only=True)):
        writer.writerow(row)
        _check_limit(number, _MAX_LINES)
        _check_limit(text.tell(), _MAX_FILE_BYTES)
    return text.getvalue().encode()


def _copy_workbook(content: bytes) -> io.BytesIO:
    """
    Copy an Excel file that openpyxl can read in bounded memory.

    openpyxl holds a whole part as a tree; of sheets, a row, and of strings, a string. It unpacks parts with one read,
    which zipfile does not limit to the size in the directory; in the copy, that size is the actual one.
    """
    copy = io.BytesIO()
    total = 0
    with _open_archive(content) as source, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for name in source.namelist():
            tags = 0
            is_sheet, is_strings = name.startswith("xl/worksheets/"), name.lower() == "xl/sharedstrings.xml"
            end = b"row>" if is_sheet else b"si>" if is_strings else None
            with source.open(name) as member, target.open(name, "w") as part:
                while chunk := member.read(_CHUNK_BYTES):
                    total += len(chunk)
                    tags += chunk.count(b"<")
                    _check_limit(total, _MAX_WORKBOOK_BYTES)
                    _check_limit(tags, _MAX_TAGS)
                    if len(chunk) == _CHUNK_BYTES and (end is None or end not in chunk):
                        raise ValueError(f"{name} is too large, or has too large a row or string")
                    part.write(chunk)
    return copy


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(stripped for name in names if (stripped := name.strip()))


def _read_csv(content: bytes, file_type: _FileType) -> ImportFile | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    body = text.removeprefix("\ufeff")
    if "\0" in body:
        return None
    records = _read_records(body)
    _, header, names = next(records, (1, "", None))
    columns = [name.strip() for name in names or ()]
    if file_type.columns.isdisjoint(columns):
        return None
    rows = (_read_row(line, raw, cells, columns, file_type) for line, raw, cells in records)
    return ImportFile(file_type.classification, text[: len(text) - len(body)] + header, tuple(rows))


def _read_row(line: int, text: str, values: list[str] | None, columns: list[str], file_type: _FileType) -> Row:
    if values is None:
        return Row(line, text, {}, (), (RowError("", "The row cannot be read as CSV."),))
    known = {*file_type.columns, *file_type.identity, *file_type.others}
    cells = {column: value.strip() for column, value in zip(columns, values, strict=False) if column in known}
    errors = file_type.check(cells)
    if len(values) > len(columns):
        errors.insert(0, RowError("", f"The row has {len(values)} cells, but the header has {len(columns)}."))
    identity = tuple(cells.get(column, "").lower() for column in file_type.identity)
    return Row(line, text, cells, identity if any(identity) else (), tuple(errors))


def _read_records(text: str) -> Iterator[tuple[int, str, list[str] | None]]:
    """Yield the first line, the text and the cells of each record. The cells are None if they cannot be read."""
    consumed: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            consumed.append(line)
            yield line

    reader = csv.reader(lines())
    first_line = 1
    while True:
        cells: list[str] | None
        try:
            cells = next(reader)
        except csv.Error:
            cells = None
        except StopIteration:
            return
        if cells != []:
            yield first_line, "".join(consumed), cells
        first_line += len(consumed)
        consumed.clear()


def _template_errors(cells: Mapping[str, str]) -> list[RowError]:
    """
    Check a row of the import template.

    A row needs an identity: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    A number outside of its range fails its record: ``doc_source/troubleshooting.md`` in
    https://github.com/awsdocs/amazon-application-discovery-user-guide. AWS does not document the ranges. The emulator's
    own choice: 0 or more, and small enough for a signed 64-bit integer.
    """
    errors = []
    has_pair = all(cells.get(column) for column in IDENTITY_PAIR)
    if not has_pair and not any(cells.get(column) for column in IDENTITY_COLUMNS):
        message = f"The row needs one of {', '.join(IDENTITY_COLUMNS)}, or {' with '.join(IDENTITY_PAIR)}."
        errors.append(RowError(IDENTITY_COLUMNS[0], message))
    for column in NUMERIC_COLUMNS:
        if cell := cells.get(column):
            if not _NUMBER.fullmatch(cell):
                errors.append(RowError(column, f"{cell!r} is not a number."))
            elif not 0 <= float(cell) < _NUMBER_LIMIT:
                errors.append(RowError(column, f"{cell} is out of range."))
    return errors


def _vinfo_errors(cells: Mapping[str, str]) -> list[RowError]:
    """Check a row of an RVTools export. The emulator's own choice: a server needs a name."""
    return [] if cells.get("VM") else [RowError("VM", "The cell VM is empty.")]


_IMPORT_TEMPLATE = _FileType(
    "IMPORT_TEMPLATE",
    frozenset(TEMPLATE_COLUMNS),
    (*IDENTITY_COLUMNS[1:], *IDENTITY_PAIR),
    _template_errors,
)
_RVTOOLS_EXPORT = _FileType(
    "RVTOOLS_EXPORT", frozenset({"VM"}), ("VM", "VM UUID"), _vinfo_errors, frozenset(VINFO_COLUMNS)
)
