"""
Preparing a file for an import: what an inventory system exports becomes files that the service takes.

An export in CSV is read as a stream, gzip or not; its columns are mapped to those of the import template, its rows
checked, and those that are right written to parts, none of which is larger than the service takes. An export of RVTools
is checked and passed on, see :mod:`airflow_provider_ads.discovery.rvtools`.

What the service does with unknown columns is documented, it ignores them:
https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
Which encodings and line ends it reads is not; so parts are what most can read, UTF-8 without a byte order mark, and
CRLF.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, Self

from airflow_provider_ads.discovery.import_template import (
    TEMPLATE_COLUMNS,
    ImportFileError,
    Problem,
    check_column_mapping,
    compile_row_check,
    compile_selection,
    quote,
)
from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.discovery.rvtools import ZIP_BEGINNINGS, write_rvtools_part

__all__ = [
    "ImportFileError",
    "OnInvalidRows",
    "Part",
    "PreparedImportFile",
    "Source",
    "check_max_file_bytes",
    "check_on_invalid_rows",
    "prepare_import_file",
]

#: What to do about rows that cannot be imported.
OnInvalidRows = Literal["fail", "quarantine"]

#: Invalid rows that an error names.
INVALID_ROWS_SHOWN = 20

#: Characters of a record that are read: enough for a row that is too large to be told from a file that has no rows.
RECORD_MAX_CHARACTERS = 2 * IMPORT_FILE_MAX_BYTES

#: Cells of a record that are read, and characters of one whose cells need not be counted.
RECORD_MAX_CELLS = 1_000_000

#: Columns of a source; the template has 34.
SOURCE_MAX_COLUMNS = 1_000

#: Bytes that are asked of the source at once.
CHUNK_BYTES = 64 * 1024


class Source(Protocol):
    """What a file is read from: a file open for reading in binary, or the body of an answer from S3."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most ``size``, and none only at the end."""


@dataclass(frozen=True)
class Part:
    """
    A file to import.

    :param name: its name in the folder.
    :param rows: how many rows follow its header; None if it is an export of RVTools, of which no rows are read.
    :param size_bytes: its size.
    """

    name: str
    rows: int | None
    size_bytes: int


@dataclass(frozen=True)
class PreparedImportFile:
    """
    What came of a source.

    :param file_classification: what the service will take the parts for, in its own words: ``IMPORT_TEMPLATE`` or
        ``RVTOOLS_EXPORT``. https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html
    :param parts: the files to import, in the order of the source's rows.
    :param quarantine: the name of the file with the rows that cannot be imported; None if there are none.
    :param rows_quarantined: how many rows it has.
    :param columns_mapped: the template's columns by the source's headers, those included that are the same.
    :param columns_ignored: headers of the source that the mapping says to leave out.
    :param columns_unknown: headers of the source that are neither mapped nor columns of the template, and were left
        out because the service ignores them.
    """

    file_classification: str
    parts: tuple[Part, ...]
    quarantine: str | None = None
    rows_quarantined: int = 0
    columns_mapped: Mapping[str, str] = field(default_factory=dict)
    columns_ignored: tuple[str, ...] = ()
    columns_unknown: tuple[str, ...] = ()

    @property
    def rows_written(self) -> int | None:
        """How many rows the parts have; None for an export of RVTools."""
        rows = [part.rows for part in self.parts]
        return None if None in rows else sum(filter(None, rows))

    @property
    def rows_read(self) -> int | None:
        """How many rows the source has, without its header and empty ones; None for an export of RVTools."""
        return None if self.rows_written is None else self.rows_written + self.rows_quarantined

    @property
    def files(self) -> list[str]:
        """The names of all files: the quarantine first, if there is one, and the parts."""
        return [name for name in (self.quarantine, *(part.name for part in self.parts)) if name]

    def report(self, folder_url: str) -> dict[str, Any]:
        """
        Return all of it, fit for JSON and XCom.

        :param folder_url: where the files are, with a slash at its end.
        """
        return {
            "file_classification": self.file_classification,
            "rows_read": self.rows_read,
            "rows_written": self.rows_written,
            "rows_quarantined": self.rows_quarantined,
            "parts": [
                {"url": folder_url + part.name, "rows": part.rows, "size_bytes": part.size_bytes} for part in self.parts
            ],
            "quarantine_url": self.quarantine and folder_url + self.quarantine,
            "columns_mapped": dict(self.columns_mapped),
            "columns_ignored": list(self.columns_ignored),
            "columns_unknown": list(self.columns_unknown),
        }

    def __str__(self) -> str:
        """Lay it out as a table for a log."""
        table: list[tuple[str, int | None, int | None]] = [(p.name, p.rows, p.size_bytes) for p in self.parts]
        if self.file_classification == "IMPORT_TEMPLATE":
            table.append(("all parts", self.rows_written, sum(part.size_bytes for part in self.parts)))
            table.append((self.quarantine or "quarantined", self.rows_quarantined, None))
            table.append(("rows read", self.rows_read, None))
        lines = [f"{'':<16} {'rows':>10} {'bytes':>13}"]
        for name, *numbers in table:
            rows, size = ("" if number is None else f"{number:,}" for number in numbers)
            lines.append(f"{name:<16} {rows:>10} {size:>13}".rstrip())
        lines += [f"{quote(header)} is {column}" for header, column in self.columns_mapped.items()]
        lines += [f"{quote(header)} is left out: column_mapping says so" for header in self.columns_ignored]
        lines += [f"{quote(header)} is left out: it is no column of the template" for header in self.columns_unknown]
        return "\n".join(lines)


def check_max_file_bytes(max_file_bytes: object) -> int:
    """Return a number of bytes that a part may have, or raise a ValueError."""
    if type(max_file_bytes) is not int or not 1 <= max_file_bytes <= IMPORT_FILE_MAX_BYTES:
        raise ValueError(
            f"max_file_bytes must be a whole number of 1 to {IMPORT_FILE_MAX_BYTES:,}; got {quote(max_file_bytes)}"
        )
    return max_file_bytes


def check_on_invalid_rows(on_invalid_rows: object) -> OnInvalidRows:
    """Return what to do about invalid rows, or raise a ValueError."""
    if on_invalid_rows == "fail" or on_invalid_rows == "quarantine":
        return on_invalid_rows
    raise ValueError(f"on_invalid_rows must be 'fail' or 'quarantine'; got {quote(on_invalid_rows)}")


def prepare_import_file(
    source: Source,
    folder: Path,
    column_mapping: Mapping[str, str | None] | None = None,
    max_file_bytes: int = IMPORT_FILE_MAX_BYTES,
    on_invalid_rows: OnInvalidRows = "fail",
) -> PreparedImportFile:
    """
    Make files that can be imported from one that may not be.

    :param source: a CSV file in UTF-8, with commas, of any size, or an export of RVTools, as a ZIP or .xlsx file; as
        it is or compressed with gzip. It is read once, to its end, and not closed.
    :param folder: where the files go, with room for all of the source. They are there when all are complete, and not
        at all if there is an error. The same source and parameters make files with the same names and bytes.
    :param column_mapping: the template's columns by the headers that the source has for them, and None by the header
        of a column that is to be left out. The template's own columns need no mention.
    :param max_file_bytes: bytes that no part exceeds; at most what the service takes, 10,000,000.
    :param on_invalid_rows: ``fail``: one invalid row is an error. ``quarantine``: invalid rows go, as they were read,
        to a file of their own with their lines and reasons, and the others to the parts.
    :return: which files, what is in them, and what is not.
    :raises ValueError: a parameter is wrong.
    :raises ImportFileError: the source is; that is a ValueError, too.
    """
    mapping = check_column_mapping(column_mapping)
    check_max_file_bytes(max_file_bytes)
    check_on_invalid_rows(on_invalid_rows)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=folder) as temporary:
        unfinished = Path(temporary)
        try:
            stream = _open(source)
            if stream.peek(4).startswith(ZIP_BEGINNINGS):
                prepared = _prepare_rvtools_export(stream, unfinished, mapping, max_file_bytes)
            else:
                prepared = _prepare_csv(stream, unfinished, mapping, max_file_bytes, on_invalid_rows == "quarantine")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ImportFileError(
                f"The gzip file is truncated or damaged: {error}. Make it and upload it again."
            ) from error
        for file in unfinished.iterdir():
            file.replace(folder / file.name)
    return prepared


class _FullReads(io.RawIOBase):
    """A source whose reads are not short before its end."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        filled = 0
        while filled < len(buffer) and (content := self._source.read(len(buffer) - filled)):
            buffer[filled : filled + len(content)] = content
            filled += len(content)
        return filled


def _open(source: Source) -> io.BufferedReader:
    """Decompress a source if it is compressed, and refuse what is certainly no text."""
    stream: io.BufferedReader = io.BufferedReader(_FullReads(source), CHUNK_BYTES)
    if stream.peek(2).startswith(b"\x1f\x8b"):
        stream = io.BufferedReader(_FullReads(gzip.GzipFile(fileobj=stream)), CHUNK_BYTES)
    beginning = stream.peek(8)
    if not beginning:
        raise ImportFileError("The file is empty. Check that the export has worked, and that it is the right file.")
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ImportFileError(
            "The file is in UTF-16 or UTF-32, as the byte order mark at its beginning says. Save it as CSV in UTF-8."
        )
    if beginning.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise ImportFileError(
            "The file is an Excel file of the old kind, or has a password. Save it as CSV in UTF-8, or if it is an "
            "export of RVTools as .xlsx without a password."
        )
    return stream


def _prepare_rvtools_export(
    stream: BinaryIO, folder: Path, mapping: Mapping[str, str | None], max_file_bytes: int
) -> PreparedImportFile:
    if mapping:
        raise ImportFileError(
            "The file is a ZIP or .xlsx file, whose columns cannot be mapped. Leave column_mapping out if it is an "
            "export of RVTools, or save it as CSV in UTF-8."
        )
    part = folder / "part-0001.zip"
    write_rvtools_part(stream, part, max_file_bytes)
    return PreparedImportFile("RVTOOLS_EXPORT", (Part(part.name, None, part.stat().st_size),))


def _prepare_csv(
    stream: io.BufferedReader, folder: Path, mapping: Mapping[str, str | None], max_file_bytes: int, quarantine: bool
) -> PreparedImportFile:
    source = _CsvSource(stream)
    columns = _match_columns(source.header, mapping)
    quarantine_file = folder / "quarantine.csv"
    invalid_rows = 0
    shown: list[str] = []
    with (
        _Parts(folder, list(columns.headers), max_file_bytes) as parts,
        quarantine_file.open("w", encoding="utf-8", newline="") as quarantined,
    ):
        quarantined.write(_format(["Line", "Reason", *source.header]) + "\r\n")
        for problems in _write_valid_rows(source, columns, parts):
            reason = " ".join(columns.label(problem.column) + problem.reason for problem in problems)
            invalid_rows += 1
            if invalid_rows <= INVALID_ROWS_SHOWN:
                shown.append(f"line {source.line}: {reason}")
            if quarantine:
                quarantined.write(_format([source.line, reason, ""]) + source.text)
        complete = parts.finish()
    rows_read = invalid_rows + sum(part.rows or 0 for part in complete)
    if not rows_read:
        raise ImportFileError("The file has a header and no rows. Check that the export has worked.")
    if invalid_rows and (not quarantine or invalid_rows == rows_read):
        advice = "" if quarantine else ", or set on_invalid_rows='quarantine' to import the others"
        if invalid_rows > len(shown):
            shown.append(f"and {invalid_rows - len(shown):,} more")
        raise ImportFileError(
            f"{invalid_rows:,} of {rows_read:,} rows cannot be imported. Correct them or column_mapping{advice}.\n"
            + "\n".join(shown)
        )
    if not invalid_rows:
        quarantine_file.unlink()
    return PreparedImportFile(
        "IMPORT_TEMPLATE",
        complete,
        quarantine_file.name if invalid_rows else None,
        invalid_rows,
        {header: column for column, header in columns.headers.items()},
        columns.ignored,
        columns.unknown,
    )


class _CsvSource:
    """The header and the records of a CSV file, and where each record comes from."""

    def __init__(self, stream: io.BufferedReader) -> None:
        #: The lines of the record that was read last; to be cleared when it is done with.
        self.record: list[str] = []
        if stream.peek(3).startswith(codecs.BOM_UTF8):
            stream.read(3)
        lines = self._lines(io.TextIOWrapper(stream, "utf-8", newline=""))
        #: Records as lists of cells; an empty line is an empty list. Strict, because after a quote that is out of
        #: place nobody can tell where the next row begins.
        self.reader = csv.reader(lines, strict=True)
        self.header = self._read_header()

    @property
    def line(self) -> int:
        """The line that the record begins on; the first of the file is 1."""
        return self.reader.line_num - len(self.record) + 1

    @property
    def text(self) -> str:
        """The record as it was read."""
        return "".join(self.record)

    def error(self, error: csv.Error) -> ImportFileError | None:
        """Return what is wrong with the file if a record cannot be read; None if the record has too long a cell."""
        # With all that is no quote, comma or line end cut short, quotes are all that can be wrong.
        short = re.sub(r'[^",\r\n]+', "_", self.text)
        try:
            list(csv.reader([short], strict=True))
        except csv.Error:
            if "field limit" in str(error):
                return ImportFileError(
                    f"The row on line {self.line} has a cell of more than {csv.field_size_limit():,} characters, which "
                    f"goes on after line {self.reader.line_num}. Check that the quote that opens it is closed."
                )
            return ImportFileError(
                f"The row on line {self.line} cannot be read beyond line {self.reader.line_num}: {error}. Check "
                "that each quote that opens a cell is closed by another, and that quotes in between are doubled."
            )
        return None

    def _lines(self, file: io.TextIOWrapper) -> Iterator[str]:
        record = self.record
        size = commas = 0
        try:
            for line in iter(partial(file.readline, RECORD_MAX_CHARACTERS), ""):
                if record:
                    # Beside its characters, a line needs some 60 bytes.
                    size += len(line) + 60
                else:
                    size, commas = len(line), 0
                if "\0" in line:
                    raise ImportFileError(
                        f"Line {self.reader.line_num + 1} has a NUL byte, so the file is no text in UTF-8. Save it "
                        "as CSV in UTF-8."
                    )
                record.append(line)
                if size > RECORD_MAX_CELLS:
                    commas += line.count(",")
                    if size >= RECORD_MAX_CHARACTERS or commas > RECORD_MAX_CELLS:
                        raise ImportFileError(
                            f"The row on line {self.line + 1} has {sum(map(len, record)):,} characters or more, too "
                            "many for a server. Check that each has its own line, and that all quotes are closed."
                        )
                yield line
        except UnicodeDecodeError as error:
            # The bytes that were being decoded begin in the line after the last one.
            line_breaks = re.findall(rb"\r\n?|\n", error.object[: error.start])
            raise ImportFileError(
                f"Line {self.reader.line_num + 1 + len(line_breaks)} is not UTF-8: it has the byte "
                f"0x{error.object[error.start]:02x}. Save the file as CSV in UTF-8."
            ) from error

    def _read_header(self) -> list[str]:
        header: list[str] = []
        error = None
        try:
            for header in self.reader:
                if header:
                    break
                self.record.clear()
        except csv.Error as csv_error:
            error = self.error(csv_error) or ImportFileError(f"Line {self.line} is no header: {csv_error}.")
        unquoted = re.sub(r'"[^"]*"', "", self.text)
        for name, delimiter in (("semicolons", ";"), ("tabs", "\t")):
            if unquoted.count(delimiter) > unquoted.count(","):
                raise ImportFileError(
                    f"The header on line {self.reader.line_num} has {name} between its columns. Save the file as CSV "
                    "with commas."
                )
        if error:
            raise error
        if not header:
            raise ImportFileError("The file has empty lines only. Check that the export has worked.")
        if len(header) > SOURCE_MAX_COLUMNS:
            raise ImportFileError(
                f"The header on line {self.reader.line_num} has {len(header):,} columns, of which at most "
                f"{SOURCE_MAX_COLUMNS:,} are read. Check that the file has a line for each server."
            )
        self.record.clear()
        return header


@dataclass(frozen=True)
class _Columns:
    """
    What becomes of a source's columns.

    :param places: where the cells for the parts are in a row of the source.
    :param headers: the source's headers by the template's columns, in the same order.
    :param ignored: headers of columns to leave out.
    :param unknown: headers of columns that the template does not have.
    """

    places: tuple[int, ...]
    headers: Mapping[str, str]
    ignored: tuple[str, ...]
    unknown: tuple[str, ...]

    def label(self, column: str) -> str:
        """Return what to put before a reason."""
        if not column:
            return ""
        header = self.headers[column]
        return f"{column}: " if header == column else f"{quote(header)} ({column}): "


def _match_columns(header: Sequence[str], mapping: Mapping[str, str | None]) -> _Columns:
    if missing := [name for name in mapping if name not in header]:
        raise ImportFileError(
            f"column_mapping names columns that the file does not have: {_list(missing)}. It has {_list(header)}."
        )
    places: list[int] = []
    headers: dict[str, str] = {}
    ignored: list[str] = []
    unknown: list[str] = []
    for place, name in enumerate(header):
        column = mapping.get(name, name)
        if column is None:
            ignored.append(name)
        elif column not in TEMPLATE_COLUMNS:
            unknown.append(name)
        elif column not in headers:
            places.append(place)
            headers[column] = name
        else:
            raise ImportFileError(
                f"The file has two columns for {column}: {_list([headers[column], name])}. Map one of them to None "
                "with column_mapping, which leaves it out, or rename it."
            )
    spelling = {column.casefold(): column for column in TEMPLATE_COLUMNS if column not in headers}
    if odd := {name: spelling[key] for name in unknown if (key := name.strip().casefold()) in spelling}:
        raise ImportFileError(
            "The service ignores columns that are not spelt as in its template. Add to column_mapping what is meant, "
            f"with None for what is to be left out: {odd}."
        )
    return _Columns(tuple(places), headers, tuple(ignored), tuple(unknown))


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - 40:,} more" if len(names) > 40 else ""
    return ", ".join(map(quote, names[:40])) + more


def _write_valid_rows(source: _CsvSource, columns: _Columns, parts: _Parts) -> Iterator[Sequence[Problem]]:
    """Write rows to the parts, and yield what is wrong with each that cannot be, while the source is at it."""
    try:
        check_row = compile_row_check(list(columns.headers))
    except ImportFileError as no_identity:
        raise ImportFileError(f"{no_identity} It has {_list(source.header)}.") from no_identity
    width = len(source.header)
    select = None if columns.places == tuple(range(width)) else compile_selection(columns.places)
    record = source.record
    # In cells of one line no line end is to be looked for, which saves the writer a quarter of its time.
    format_line = csv.writer(_Text(), lineterminator="").writerow
    while True:
        try:
            for cells in source.reader:
                if len(cells) == width:
                    selected = select(cells) if select else cells
                    if problems := check_row(selected):
                        # Spreadsheets end files with rows of commas.
                        if any(map(str.strip, cells)):
                            yield problems
                    elif not parts.add(format_line(selected) if len(record) == 1 else _format(selected)):
                        yield [Problem("", "With a header the row is larger than max_file_bytes.")]
                elif any(map(str.strip, cells)):
                    advice = " A cell with a comma or a list in it needs quotes around it." * (len(cells) > width)
                    yield [Problem("", f"The row has {len(cells):,} cells, the header {width:,}.{advice}")]
                record.clear()
            return
        except csv.Error as csv_error:
            if error := source.error(csv_error):
                raise error from csv_error
            yield [Problem("", f"A cell has more than {csv.field_size_limit():,} characters.")]
            record.clear()


class _Text:
    """A file that gives back what is written to it, so that the csv module makes texts."""

    write = staticmethod(str)


def _format(cells: Sequence[object]) -> str:
    text: str = csv.writer(_Text()).writerow(cells)
    return text.removesuffix("\r\n")


class _Parts:
    """
    Files with a header and rows, none larger than a limit, and each with as many rows as it has room for.

    :param folder: where they go.
    :param columns: the header.
    :param max_file_bytes: the limit.
    :raises ImportFileError: the header leaves no room for rows.
    """

    def __init__(self, folder: Path, columns: Sequence[str], max_file_bytes: int) -> None:
        self._folder = folder
        self._header = _encode([_format(columns)])
        self._max_file_bytes = max_file_bytes
        self._room = max_file_bytes - len(self._header)
        if self._room < 1:
            raise ImportFileError(f"The header alone has {len(self._header):,} bytes. Raise max_file_bytes above that.")
        self._parts: list[Part] = []
        self._file: BinaryIO = io.BytesIO()
        # As if a part were full, so that the first row begins one.
        self._size, self._rows = max_file_bytes, 0
        self._pending: list[str] = []
        self._pending_characters = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: str) -> bool:
        """
        Add a row. It is written together with others, which takes less time.

        :param row: its text without the line end.
        :return: whether any part has room for it.
        """
        characters = len(row)
        # In UTF-8 a character has four bytes at most, and the line end has two.
        if characters * 4 + 2 > self._room and len(_encode([row])) > self._room:
            return False
        self._pending.append(row)
        self._pending_characters += characters
        if self._pending_characters > CHUNK_BYTES:
            self._write_pending()
        return True

    def finish(self) -> tuple[Part, ...]:
        """Write what is to be written yet, and return the parts."""
        self._write_pending()
        self._end_part()
        return tuple(self._parts)

    def _write_pending(self) -> None:
        rows = _encode(self._pending)
        if self._size + len(rows) <= self._max_file_bytes:
            self._write(rows, len(self._pending))
        else:
            for row in self._pending:
                self._write(_encode([row]), 1)
        self._pending.clear()
        self._pending_characters = 0

    def _write(self, rows: bytes, count: int) -> None:
        if self._size + len(rows) > self._max_file_bytes:
            self._end_part()
            self._file = (self._folder / f"part-{len(self._parts) + 1:04}.csv").open("wb")
            self._file.write(self._header)
            self._size, self._rows = len(self._header), 0
        self._file.write(rows)
        self._size += len(rows)
        self._rows += count

    def _end_part(self) -> None:
        self._file.close()
        if self._rows:
            self._parts.append(Part(f"part-{len(self._parts) + 1:04}.csv", self._rows, self._size))


def _encode(rows: Sequence[str]) -> bytes:
    return "\r\n".join([*rows, ""]).encode()
