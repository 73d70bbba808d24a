"""
Preparing a file: conversion of a source into files that the service can import.

A CSV source is read as a stream. Its columns are mapped to those of the import template, its rows are checked, and
the valid rows are written to parts. An RVTools export is checked and passed on.

AWS documents that the service ignores unknown columns:
https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
It does not document which encodings and line ends the service accepts. Parts use the most common ones: UTF-8 without a
byte order mark, and CRLF.
"""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.columns import Columns, check_column_mapping, list_headers, match_columns
from airflow_provider_ads.inventory.parts import Part, PartWriter, format_line, format_row
from airflow_provider_ads.inventory.report import PreparedImportFile
from airflow_provider_ads.inventory.rvtools import ZIP_SIGNATURES, write_rvtools_part
from airflow_provider_ads.inventory.source import CsvSource, Source, open_source
from airflow_provider_ads.inventory.template import ImportFileError, Problem, compile_row_check

__all__ = ["OnInvalidRows", "check_max_file_bytes", "check_on_invalid_rows", "prepare_import_file"]

#: The treatment of rows that cannot be imported.
OnInvalidRows = Literal["fail", "quarantine"]

#: Maximum number of invalid rows that an error lists.
INVALID_ROWS_SHOWN = 20


def check_max_file_bytes(max_file_bytes: object) -> int:
    """
    Return the maximum size of a part if it is valid.

    :raises ValueError: it is not a whole number from 1 to 10,000,000.
    """
    if type(max_file_bytes) is not int or not 1 <= max_file_bytes <= IMPORT_FILE_MAX_BYTES:
        raise ValueError(
            f"max_file_bytes must be a whole number from 1 to {IMPORT_FILE_MAX_BYTES:,}; got {quote(max_file_bytes)}"
        )
    return max_file_bytes


def check_on_invalid_rows(on_invalid_rows: object) -> OnInvalidRows:
    """
    Return the treatment of invalid rows if it is valid.

    :raises ValueError: it is neither ``fail`` nor ``quarantine``.
    """
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
    Convert an inventory export into importable files.

    :param source: a comma-separated CSV file in UTF-8 of any size, or an RVTools export as a ZIP or .xlsx file; plain
        or compressed with gzip. It is read once, to its end, and not closed.
    :param folder: the folder for the files, with room for the decompressed source. The files appear when all of them
        are complete, and after an error none appears. The same source and parameters produce the same files.
    :param column_mapping: template columns by the source's headers, with None for each column to ignore. Headers that
        are template columns need no entry.
    :param max_file_bytes: maximum size of a part in bytes, at most the 10,000,000 that the service accepts.
    :param on_invalid_rows: ``fail``: an invalid row is an error. ``quarantine``: invalid rows are written unchanged to
        a file of their own, with their line numbers and reasons, and all other rows to the parts.
    :return: the files, and a report on the source's rows and columns.
    :raises ValueError: a parameter is invalid.
    :raises ImportFileError: the source cannot be prepared. This is a ValueError too.
    """
    mapping = check_column_mapping(column_mapping)
    check_max_file_bytes(max_file_bytes)
    check_on_invalid_rows(on_invalid_rows)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=folder) as temporary:
        unfinished = Path(temporary)
        try:
            stream = open_source(source)
            if stream.peek(4).startswith(ZIP_SIGNATURES):
                prepared = _prepare_rvtools_export(stream, unfinished, mapping, max_file_bytes)
            else:
                prepared = _prepare_csv(stream, unfinished, mapping, max_file_bytes, on_invalid_rows == "quarantine")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ImportFileError(
                f"The gzip file is truncated or damaged: {error}. Create and upload it again."
            ) from error
        for file in unfinished.iterdir():
            file.replace(folder / file.name)
    return prepared


def _prepare_rvtools_export(
    stream: BinaryIO, folder: Path, mapping: Mapping[str, str | None], max_file_bytes: int
) -> PreparedImportFile:
    if mapping:
        raise ImportFileError(
            "The columns of a ZIP or .xlsx file cannot be mapped. Remove column_mapping if the file is an RVTools "
            "export; otherwise save it as CSV in UTF-8."
        )
    part = folder / "part-0001.zip"
    write_rvtools_part(stream, part, max_file_bytes)
    return PreparedImportFile("RVTOOLS_EXPORT", (Part(part.name, None, part.stat().st_size),))


def _prepare_csv(
    stream: io.BufferedReader, folder: Path, mapping: Mapping[str, str | None], max_file_bytes: int, quarantine: bool
) -> PreparedImportFile:
    source = CsvSource(stream)
    columns = match_columns(source.header, mapping)
    quarantine_file = folder / "quarantine.csv"
    invalid_rows = 0
    shown: list[str] = []
    with (
        PartWriter(folder, list(columns.headers), max_file_bytes) as parts,
        quarantine_file.open("w", encoding="utf-8", newline="") as quarantined,
    ):
        quarantined.write(format_row(["Line", "Reason", *source.header]) + "\r\n")
        for problems in _write_valid_rows(source, columns, parts):
            reason = " ".join(columns.label(problem.column) + problem.reason for problem in problems)
            invalid_rows += 1
            if invalid_rows <= INVALID_ROWS_SHOWN:
                shown.append(f"line {source.line}: {reason}")
            if quarantine:
                quarantined.write(format_row([source.line, reason, ""]) + source.text)
        complete = parts.finish()
    rows_read = invalid_rows + sum(part.rows or 0 for part in complete)
    if not rows_read:
        raise ImportFileError("The file has a header but no rows. Check that the export worked.")
    if invalid_rows and (not quarantine or invalid_rows == rows_read):
        advice = "" if quarantine else ", or set on_invalid_rows='quarantine' to import the other rows"
        if invalid_rows > len(shown):
            shown.append(f"and {invalid_rows - len(shown):,} more")
        raise ImportFileError(
            f"{invalid_rows:,} of {rows_read:,} rows cannot be imported. Correct the rows or column_mapping{advice}.\n"
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


def _write_valid_rows(source: CsvSource, columns: Columns, parts: PartWriter) -> Iterator[Sequence[Problem]]:
    """Write valid rows to the parts, and yield the problems of each invalid row while it is the current record."""
    try:
        check_row = compile_row_check(list(columns.headers))
    except ImportFileError as no_identity:
        raise ImportFileError(f"{no_identity} The file has {list_headers(source.header)}.") from no_identity
    width = len(source.header)
    select = columns.selector(width)
    lines = source.lines
    while True:
        try:
            for cells in source:
                if len(cells) == width:
                    selected = select(cells) if select else cells
                    if problems := check_row(selected):
                        # Spreadsheets append rows of empty cells, which are not invalid rows.
                        if any(map(str.strip, cells)):
                            yield problems
                    elif not parts.add(format_line(selected) if len(lines) == 1 else format_row(selected)):
                        yield [Problem("", "The row and the header together exceed max_file_bytes.")]
                elif any(map(str.strip, cells)):
                    advice = " Put quotes around a cell that contains a comma or a list." * (len(cells) > width)
                    yield [Problem("", f"The row has {len(cells):,} cells, but the header has {width:,}.{advice}")]
            return
        except csv.Error:
            yield [Problem("", f"A cell exceeds {csv.field_size_limit():,} characters.")]
