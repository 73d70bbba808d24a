"""
Preparation of a file: conversion of a source into files that the service can import.

A table, from a text file or a workbook, is read as a stream. Its columns are mapped to those of the import template,
its rows are filtered, converted and checked, and the valid rows are written to parts. An RVTools export is checked and
passed on, or converted like any other table.

AWS documents that the service ignores unknown columns:
https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
It does not document which encodings and line ends the service accepts. Parts use the most common ones: UTF-8 without a
byte order mark, and CRLF.
"""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self, TextIO

from airflow_provider_ads.archives import ZIP_SIGNATURES
from airflow_provider_ads.inventory.columns import simplify_header
from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.parts import Part, PartWriter
from airflow_provider_ads.inventory.report import PreparedImportFile
from airflow_provider_ads.inventory.rows import RowConverter
from airflow_provider_ads.inventory.rvtools import is_rvtools_export, write_rvtools_part
from airflow_provider_ads.inventory.rvtools_template import RVToolsTable
from airflow_provider_ads.inventory.source import Source, TextTable, open_source
from airflow_provider_ads.inventory.table import AmbiguousFileError, IsHeader, Record, Table, unique_headers
from airflow_provider_ads.inventory.template import IDENTITY_COLUMNS, IDENTITY_PAIR, ImportFileError
from airflow_provider_ads.inventory.workbook import WorkbookTable, is_workbook

__all__ = ["open_table", "prepare_import_file"]

#: Maximum number of invalid rows that an error lists.
INVALID_ROWS_SHOWN = 20

#: Number of rows that are converted at a time, unless they have more characters than this. More rows do not fit into a
#: processor's cache and take longer.
ROWS_AT_A_TIME = 200
CHARACTERS_AT_A_TIME = 1_000_000

#: The signature of old Excel files, and of workbooks with a password.
OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def prepare_import_file(source: Source, folder: Path, options: PrepareOptions | None = None) -> PreparedImportFile:
    """
    Convert an inventory into importable files.

    :param source: a text file with a header and rows, a workbook, or an RVTools export, plain or compressed with gzip.
        It is read once, to its end, and not closed.
    :param folder: the folder for the files, with room for the decompressed source. The files appear when all of them
        are complete, and after an error none appears. The same source and options produce the same files.
    :param options: how to read and convert it.
    :return: the files, and a report on the source's rows and columns.
    :raises ImportFileError: the source cannot be prepared, or it is ambiguous and the message asks what it means. This
        is a ValueError too.
    """
    options = options or PrepareOptions()
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=folder) as temporary:
        unfinished = Path(temporary, "files")
        unfinished.mkdir()
        try:
            prepared = _prepare(source, unfinished, Path(temporary), options)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ImportFileError(
                f"The gzip file is truncated or damaged: {error}. Create and upload it again."
            ) from error
        for file in unfinished.iterdir():
            file.replace(folder / file.name)
    return prepared


def _prepare(source: Source, folder: Path, temporary: Path, options: PrepareOptions) -> PreparedImportFile:
    table = open_table(source, temporary, _header_test(options), options)
    if not isinstance(table, Path):
        return _prepare_table(table, folder, options)
    options.refuse_for_rvtools()
    part = folder / "part-0001.zip"
    with table.open("rb") as export:
        write_rvtools_part(export, part, options.max_file_bytes)
    parts = (Part(part.name, None, part.stat().st_size),)
    return PreparedImportFile("RVTOOLS_EXPORT", parts, source_format="complete RVTools export, imported unchanged")


def open_table(source: Source, folder: Path, is_header: IsHeader, options: PrepareOptions) -> Table | Path:
    """
    Open a source as a table, whatever kind it is.

    :param source: the source, at its beginning. A text is read from it later, as the table is.
    :param folder: a folder for a copy of any other source.
    :param is_header: the function that recognizes the header.
    :param options: how to read it.
    :return: the table; the copy if it is an RVTools export, or another ZIP file, that is not to be converted.
    :raises ImportFileError: the source cannot be read.
    """
    stream = open_source(source)
    if not stream.peek(8).startswith((*ZIP_SIGNATURES, OLE_SIGNATURE)):
        return TextTable(stream, is_header, options.delimiter, options.encoding)
    # ZIP files and workbooks are not read from their beginning to their end.
    file = folder / "source"
    with file.open("wb") as copy:
        shutil.copyfileobj(stream, copy)
    if is_workbook(file) and not is_rvtools_export(file):
        return WorkbookTable(file, is_header, options.sheet_name)
    return RVToolsTable(file, options.delimiter, options.encoding) if options.rvtools_as_template else file


def _header_test(options: PrepareOptions) -> IsHeader:
    """Return a function that returns True for a row with all headers that the options name."""
    # A header that only looks like a mapped one is found too, so that the error can name it.
    needed = set(map(simplify_header, options.mapping.keys() | options.conditions.keys()))

    def is_header(cells: Sequence[str]) -> bool:
        names = unique_headers(cells)
        if not needed:
            return not {*IDENTITY_COLUMNS, *IDENTITY_PAIR}.isdisjoint(names)
        return needed.issubset(map(simplify_header, names))

    return is_header


def _prepare_table(table: Table, folder: Path, options: PrepareOptions) -> PreparedImportFile:
    converter = RowConverter(table.header, options)
    with (
        PartWriter(folder, converter.template_columns, options.max_file_bytes) as parts,
        _Quarantine(folder / "quarantine.csv", table, options) as quarantine,
    ):
        for records in _batch_records(table):
            valid, columns, invalid = converter.convert(records)
            too_large = parts.add(columns)
            invalid += [(valid[i], "The row and the header together exceed max_file_bytes.") for i in too_large]
            quarantine.add(invalid)
        complete = parts.finish()
    if questions := converter.questions():
        raise AmbiguousFileError(questions)
    filtered = {**getattr(table, "filtered", {}), **converter.filter.filtered}
    written = sum(part.rows or 0 for part in complete)
    if not written and not quarantine.rows:
        if any(filtered.values()):
            counts = ", ".join(f"{name}: {count:,}" for name, count in filtered.items())
            raise ImportFileError(
                f"No row is left to import: all {sum(filtered.values()):,} were filtered out ({counts}). Only rows "
                "that row_filter keeps are imported, and no templates of virtual machines."
            )
        raise ImportFileError("The file has a header but no rows. Check that the export worked.")
    quarantine.check(written)
    statistics = converter.statistics
    return PreparedImportFile(
        "IMPORT_TEMPLATE",
        complete,
        quarantine.file.name if quarantine.rows else None,
        quarantine.rows,
        converter.reports(),
        converter.columns.ignored,
        tuple(header for header in converter.columns.unknown if header not in options.conditions),
        table.description,
        tuple(table.skipped),
        filtered,
        converter.rows_short,
        statistics.duplicate_rows,
        statistics.shared_addresses,
        (*getattr(table, "warnings", ()), *converter.warnings()),
    )


def _batch_records(table: Table) -> Iterator[list[Record]]:
    """Yield the records of a table in batches of limited size."""
    records: list[Record] = []
    characters = 0
    for record in table:
        records.append(record)
        characters += len(record.text) if record.text is not None else sum(map(len, record.cells))
        if len(records) >= ROWS_AT_A_TIME or characters > CHARACTERS_AT_A_TIME:
            yield records
            records, characters = [], 0
    yield records


class _Quarantine:
    """
    The rows that cannot be imported, in the source's own dialect, so that the same task can prepare them once they are
    corrected.
    """

    def __init__(self, file: Path, table: Table, options: PrepareOptions) -> None:
        self.file = file
        self.rows = 0
        self._fails = options.on_invalid_rows == "fail"
        self._shown: list[str] = []
        self._table = table
        self._encoding = options.encoding or "utf-8"
        self._open: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()

    def add(self, invalid: list[tuple[Record, str]]) -> None:
        for record, reason in sorted(invalid, key=lambda each: each[0].line):
            self.rows += 1
            if self.rows <= INVALID_ROWS_SHOWN:
                self._shown.append(f"line {record.line}: {reason}")
            if not self._fails:
                self._write(record, reason)

    def _write(self, record: Record, reason: str) -> None:
        if self._open is None:
            self._open = self.file.open("w", encoding=self._encoding, errors="backslashreplace", newline="")
            self._open.write(self._line(["Line", "Reason", *self._table.header]))
        if record.text is None:
            self._open.write(self._line([record.line, reason, *record.cells]))
        else:
            end = "" if record.text.endswith(("\n", "\r")) else "\r\n"
            self._open.write(self._line([record.line, reason, ""], end="") + record.text + end)

    def _line(self, cells: Sequence[object], end: str = "\r\n") -> str:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self._table.delimiter, lineterminator=end).writerow(cells)
        return text.getvalue()

    def check(self, written: int) -> None:
        """
        Check that invalid rows are allowed.

        :param written: number of rows that can be imported.
        :raises ImportFileError: there are invalid rows, which either are an error or are all rows.
        """
        if not self.rows or (written and not self._fails):
            return
        advice = ["Correct the rows or column_mapping", "list words for missing values in na_values"]
        if self._fails:
            advice.append("set on_invalid_rows='quarantine' to import the other rows")
        if self.rows > len(self._shown):
            self._shown.append(f"and {self.rows - len(self._shown):,} more")
        raise ImportFileError(
            f"{self.rows:,} of {self.rows + written:,} rows cannot be imported. "
            f"{', '.join(advice[:-1])}, or {advice[-1]}.\n" + "\n".join(self._shown)
        )
