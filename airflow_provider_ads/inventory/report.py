"""The result of preparing a file: its parts, rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.parts import Part

__all__ = ["PreparedImportFile"]


@dataclass(frozen=True)
class PreparedImportFile:
    """
    The result of preparing a source.

    :param file_classification: the type that the service will recognize, ``IMPORT_TEMPLATE`` or ``RVTOOLS_EXPORT``.
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html
    :param parts: the files to import, in the order of the source's rows.
    :param quarantine: name of the file with the rows that cannot be imported; None if there are none.
    :param rows_quarantined: number of rows in that file.
    :param columns_mapped: template columns by the source's headers, including headers that are template columns.
    :param columns_ignored: headers that the mapping maps to None.
    :param columns_unknown: headers that are neither mapped nor template columns. They are omitted, because the service
        would ignore them.
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
        """Number of rows in all parts; None for an RVTools export."""
        rows = [part.rows for part in self.parts]
        return None if None in rows else sum(filter(None, rows))

    @property
    def rows_read(self) -> int | None:
        """Number of rows in the source without its header and empty rows; None for an RVTools export."""
        return None if self.rows_written is None else self.rows_written + self.rows_quarantined

    @property
    def files(self) -> list[str]:
        """Names of all files: the quarantine, if there is one, and the parts."""
        return [name for name in (self.quarantine, *(part.name for part in self.parts)) if name]

    def report(self, folder_url: str) -> dict[str, Any]:
        """
        Return the result as JSON-safe values, for an XCom.

        :param folder_url: URL of the folder with the files, with a trailing slash.
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
        """Return the result as a table for a log."""
        table: list[tuple[str, int | None, int | None]] = [(p.name, p.rows, p.size_bytes) for p in self.parts]
        if self.file_classification == "IMPORT_TEMPLATE":
            table.append(("all parts", self.rows_written, sum(part.size_bytes for part in self.parts)))
            table.append((self.quarantine or "quarantined", self.rows_quarantined, None))
            table.append(("rows read", self.rows_read, None))
        lines = [f"{'':<16} {'rows':>10} {'bytes':>13}"]
        for name, *numbers in table:
            rows, size = ("" if number is None else f"{number:,}" for number in numbers)
            lines.append(f"{name:<16} {rows:>10} {size:>13}".rstrip())
        lines += [f"{quote(header)} is imported as {column}" for header, column in self.columns_mapped.items()]
        lines += [f"{quote(header)} is ignored: column_mapping maps it to None" for header in self.columns_ignored]
        lines += [f"{quote(header)} is ignored: it is not a template column" for header in self.columns_unknown]
        return "\n".join(lines)
