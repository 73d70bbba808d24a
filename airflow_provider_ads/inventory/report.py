"""The result of preparing a file: its parts, rows and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.parts import Part

__all__ = ["ColumnReport", "PreparedImportFile"]


#: Airflow cannot pass larger integers from its database to a task, and PostgreSQL stores large floats as integers.
MAX_NUMBER = 2**63


@dataclass(frozen=True)
class ColumnReport:
    """
    A header that is imported.

    :param header: the header in the source; empty for tags that the task adds.
    :param column: the template column.
    :param unit: the unit of the numbers in the source; None if they have none.
    :param converted: number of cells that were changed.
    :param empty: number of cells that are empty or contain a placeholder.
    :param invalid: number of cells that cannot be imported.
    :param minimum: the smallest number of the first 25,000 rows in the template's unit; None without numbers.
    :param median: their median.
    :param maximum: the largest one.
    """

    header: str
    column: str
    unit: str | None = None
    converted: int = 0
    empty: int = 0
    invalid: int = 0
    minimum: float | None = None
    median: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class PreparedImportFile:
    """
    The result of preparing a source.

    :param file_classification: the type that the service will recognize, ``IMPORT_TEMPLATE`` or ``RVTOOLS_EXPORT``.
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html
    :param parts: the files to import, in the order of the source's rows.
    :param quarantine: name of the file with the rows that cannot be imported; None if there are none.
    :param rows_quarantined: number of rows in that file.
    :param columns: the headers that are imported.
    :param columns_ignored: headers that the mapping maps to None.
    :param columns_unknown: headers that are neither mapped nor template columns, and that ``row_filter`` does not use.
        They are omitted, because the service would ignore them.
    :param source_format: how the source was read, such as ``CSV in UTF-8 with semicolons``.
    :param lines_skipped: lines above the header.
    :param rows_filtered: number of rows that ``row_filter`` removed, by header.
    :param rows_short: number of rows whose last cells are missing, which count as empty.
    :param duplicate_rows: number of rows among the first 25,000 with the identities of an earlier one.
    :param shared_addresses: number of IP addresses that several of the first 25,000 rows have.
    :param warnings: surprises in the source, as sentences.
    """

    file_classification: str
    parts: tuple[Part, ...]
    quarantine: str | None = None
    rows_quarantined: int = 0
    columns: tuple[ColumnReport, ...] = ()
    columns_ignored: tuple[str, ...] = ()
    columns_unknown: tuple[str, ...] = ()
    source_format: str = ""
    lines_skipped: tuple[str, ...] = ()
    rows_filtered: Mapping[str, int] = field(default_factory=dict)
    rows_short: int = 0
    duplicate_rows: int = 0
    shared_addresses: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def rows_written(self) -> int | None:
        """Number of rows in all parts; None for an RVTools export."""
        rows = [part.rows for part in self.parts]
        return None if None in rows else sum(filter(None, rows))

    @property
    def rows_read(self) -> int | None:
        """Number of rows in the source without its header and empty rows; None for an RVTools export."""
        if self.rows_written is None:
            return None
        return self.rows_written + self.rows_quarantined + sum(self.rows_filtered.values())

    @property
    def files(self) -> list[str]:
        """Names of all files: the quarantine, if there is one, and the parts."""
        return [name for name in (self.quarantine, *(part.name for part in self.parts)) if name]

    @property
    def columns_mapped(self) -> dict[str, str]:
        """Template columns by the source's headers, including headers that are template columns."""
        return {column.header: column.column for column in self.columns if column.header}

    def report(self, folder_url: str) -> dict[str, Any]:
        """
        Return the result as JSON-safe values, for an XCom. Statistics of 2**63 or more are None; the log shows them.

        :param folder_url: URL of the folder with the files, with a trailing slash.
        """
        return {
            "file_classification": self.file_classification,
            "source_format": self.source_format,
            "rows_read": self.rows_read,
            "rows_written": self.rows_written,
            "rows_quarantined": self.rows_quarantined,
            "rows_filtered": dict(self.rows_filtered),
            "rows_short": self.rows_short,
            "duplicate_rows": self.duplicate_rows,
            "shared_addresses": self.shared_addresses,
            "parts": [
                {"url": folder_url + part.name, "rows": part.rows, "size_bytes": part.size_bytes} for part in self.parts
            ],
            "quarantine_url": self.quarantine and folder_url + self.quarantine,
            "columns": [
                {name: None if isinstance(value, float) and value >= MAX_NUMBER else value for name, value in items}
                for items in (asdict(column).items() for column in self.columns)
            ],
            "columns_mapped": self.columns_mapped,
            "columns_ignored": list(self.columns_ignored),
            "columns_unknown": list(self.columns_unknown),
            "lines_skipped": list(self.lines_skipped),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        """Return the result as tables for a log."""
        lines = [f"Source: {self.source_format}"] if self.source_format else []
        lines += _table(["", "rows", "bytes"], self._file_rows())
        if self.columns:
            lines += ["", *_table(_COLUMN_TITLES, [_column_row(column) for column in self.columns])]
        lines += [f"{quote(header)} is ignored: column_mapping maps it to None" for header in self.columns_ignored]
        lines += [f"{quote(header)} is ignored: it is not a template column" for header in self.columns_unknown]
        lines += [f"{quote(line)} is ignored: it is above the header" for line in self.lines_skipped]
        filtered = [(name, count) for name, count in self.rows_filtered.items() if count]
        lines += [f"Rows filtered by {quote(name)}: {count:,}" for name, count in filtered]
        if self.rows_short:
            lines.append(f"Rows without their last cells, which count as empty: {self.rows_short:,}")
        lines += [f"Warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _file_rows(self) -> list[list[object]]:
        rows: list[list[object]] = [[part.name, part.rows, part.size_bytes] for part in self.parts]
        if self.file_classification == "IMPORT_TEMPLATE":
            rows.append(["all parts", self.rows_written, sum(part.size_bytes for part in self.parts)])
            rows.append([self.quarantine or "quarantined", self.rows_quarantined, None])
            if self.rows_filtered:
                rows.append(["filtered", sum(self.rows_filtered.values()), None])
            rows.append(["rows read", self.rows_read, None])
        return rows


_COLUMN_TITLES = ["header", "template column", "unit", "converted", "empty", "invalid", "min", "median", "max"]


def _column_row(column: ColumnReport) -> list[object]:
    header = quote(column.header)[1:-1] if column.header else "(tags)"
    counts = (column.converted, column.empty, column.invalid)
    return [header, column.column, column.unit, *counts, column.minimum, column.median, column.maximum]


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return lines of a table: text on the left, numbers on the right."""
    cells = [list(titles), *([_text(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    is_number = [any(isinstance(value, int | float) for value in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{text:>{width}}" if right else f"{text:<{width}}"
            for text, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in cells
    ]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.10g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
