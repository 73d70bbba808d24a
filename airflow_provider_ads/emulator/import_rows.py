"""
Import files: which kind a file is, its rows, and what is wrong with each row.

AWS documents columns and row rules of the import template. What it does not say is the emulator's own choice:
UTF-8 with or without a byte order mark, columns in any order, empty lines skipped, rows shorter than the header
allowed, spaces around a cell ignored.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from airflow_provider_ads.discovery.import_template import (
    IDENTITY_COLUMNS,
    IDENTITY_PAIR,
    NUMERIC_COLUMNS,
    TEMPLATE_COLUMNS,
)
from airflow_provider_ads.emulator.rvtools_export import read_servers

__all__ = ["ImportFile", "Row", "RowError", "read_import_file"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)

#: What a number may not reach: more than a signed integer of 64 bits can hold.
_NUMBER_LIMIT = 2.0**63


@dataclass(frozen=True)
class RowError:
    """
    What is wrong with one field of a row.

    :param column: the column's name; empty if the whole row is meant.
    :param message: what is wrong.
    """

    column: str
    message: str


@dataclass(frozen=True)
class Row:
    """
    One record of an import file.

    :param line: the line of the file that it begins on; the header's is 1.
    :param text: its text as it was sent, with the line end.
    :param cells: what it says, by column.
    :param identity: what tells its server from others, besides ServerId and ExternalId; empty if there is nothing.
    :param errors: why it cannot be imported.
    """

    line: int
    text: str
    cells: Mapping[str, str]
    identity: tuple[str, ...]
    errors: tuple[RowError, ...]

    @property
    def server_id(self) -> str:
        """The id of the server that the row updates; empty if it tells none."""
        return self.cells.get("ServerId", "")

    @property
    def external_id(self) -> str:
        """The row's own key."""
        return self.cells.get("ExternalId", "")

    @property
    def applications(self) -> frozenset[str]:
        """The names in the cell ``Applications``, a list separated by commas."""
        names = (name.strip() for name in self.cells.get("Applications", "").split(","))
        return frozenset(name for name in names if name)


@dataclass(frozen=True)
class ImportFile:
    """
    An import file that was recognized.

    :param classification: its ``fileClassification``.
    :param header: the text of the header as it was sent, with the line end.
    :param rows: the records.
    """

    classification: str
    header: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class _Format:
    """
    A kind of CSV file.

    :param classification: the ``fileClassification``.
    :param columns: columns of which the header has one at least.
    :param identity: columns that tell servers apart, besides ServerId and ExternalId. Servers match if all of them
        are equal, whatever the letter case: the emulator's own choice.
    :param check: tells what is wrong with a row's cells.
    """

    classification: str
    columns: frozenset[str]
    identity: tuple[str, ...]
    check: Callable[[Mapping[str, str]], list[RowError]]


def read_import_file(content: bytes) -> ImportFile | None:
    """
    Read an import file.

    A ZIP file is an RVTools export, other files are the import template:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    The emulator's own choice: a template is UTF-8 text without a NUL, whose header has one template column at
    least.

    :param content: the file.
    :return: its rows, or None if it is of no type that is supported.
    """
    if zipfile.is_zipfile(io.BytesIO(content)):
        servers = read_servers(content)
        return None if servers is None else _read_csv(servers, _RVTOOLS_EXPORT)
    return _read_csv(content, _IMPORT_TEMPLATE)


def _read_csv(content: bytes, kind: _Format) -> ImportFile | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    body = text.removeprefix("\ufeff")
    if "\0" in body:
        return None
    records = _records(body)
    _, header, names = next(records, (1, "", None))
    columns = [name.strip() for name in names or ()]
    if kind.columns.isdisjoint(columns):
        return None
    rows = (_read_row(line, raw, cells, columns, kind) for line, raw, cells in records)
    return ImportFile(kind.classification, text[: len(text) - len(body)] + header, tuple(rows))


def _read_row(line: int, text: str, values: list[str] | None, columns: list[str], kind: _Format) -> Row:
    if values is None:
        return Row(line, text, {}, (), (RowError("", "The row cannot be read as CSV."),))
    cells = {column: value.strip() for column, value in zip(columns, values, strict=False)}
    errors = kind.check(cells)
    if len(values) > len(columns):
        errors.insert(0, RowError("", f"The row has {len(values)} cells, the header {len(columns)}."))
    identity = tuple(cells.get(column, "").lower() for column in kind.identity)
    return Row(line, text, cells, identity if any(identity) else (), tuple(errors))


def _records(text: str) -> Iterator[tuple[int, str, list[str] | None]]:
    """Yield each record's first line, its text and its cells, which are None if they cannot be read."""
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
    Numbers have ranges, and one that is out of range fails its record: ``doc_source/troubleshooting.md`` in
    https://github.com/awsdocs/amazon-application-discovery-user-guide. The ranges are documented nowhere; the
    emulator's own choice: not negative, and what a signed integer of 64 bits can hold.
    """
    errors = []
    has_pair = all(cells.get(column) for column in IDENTITY_PAIR)
    if not has_pair and not any(cells.get(column) for column in IDENTITY_COLUMNS):
        message = f"One of {', '.join(IDENTITY_COLUMNS)}, or {' with '.join(IDENTITY_PAIR)}, is needed."
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
    return [] if cells.get("VM") else [RowError("VM", "The row has no VM.")]


_IMPORT_TEMPLATE = _Format(
    "IMPORT_TEMPLATE",
    frozenset(TEMPLATE_COLUMNS),
    (*IDENTITY_COLUMNS[1:], *IDENTITY_PAIR),
    _template_errors,
)
_RVTOOLS_EXPORT = _Format("RVTOOLS_EXPORT", frozenset({"VM"}), ("VM", "VM UUID"), _vinfo_errors)
