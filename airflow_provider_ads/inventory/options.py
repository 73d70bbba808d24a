"""The parameters of preparing a file, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.columns import ColumnMapping, MappedColumn, check_column_mapping
from airflow_provider_ads.inventory.dialect import check_delimiter, check_encoding
from airflow_provider_ads.inventory.lists import check_tags
from airflow_provider_ads.inventory.placeholders import check_na_values
from airflow_provider_ads.inventory.quantities import NumberFormat, check_number_format
from airflow_provider_ads.inventory.row_filter import RowFilterOption, check_row_filter
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["OnInvalidRows", "PrepareOptions"]

#: The treatment of rows that cannot be imported.
OnInvalidRows = Literal["fail", "quarantine"]


@dataclass(frozen=True)
class PrepareOptions:
    """
    Options for reading and converting a source. Names and meanings are those of pandas where pandas has them.

    :param column_mapping: template columns by the source's headers, each as a string or with
        :class:`~airflow_provider_ads.inventory.columns.ColumnOptions`, and None for each column to ignore. Headers that
        are template columns need no entry.
    :param max_file_bytes: maximum size of a part in bytes, at most the 10,000,000 that the service accepts.
    :param on_invalid_rows: ``fail``: an invalid row is an error. ``quarantine``: invalid rows are written unchanged to
        a file of their own, with their line numbers and reasons, and all other rows to the parts.
    :param delimiter: the delimiter of a text file; None to detect it.
    :param encoding: the encoding of a text file; None to detect it.
    :param decimal: the decimal separator of numbers; None for a point, unless the numbers look different.
    :param thousands: the separator of groups of three digits; None for none, unless the numbers look different.
    :param na_values: further placeholders, which count as empty: a list, or a dict of lists by header.
    :param keep_default_na: False to treat only ``na_values`` as placeholders.
    :param sheet_name: the sheet of a workbook; None for the only visible one with the mapped headers.
    :param row_filter: the rows to keep, as values by header, or ``{"not": [...]}`` for the values of rows to remove.
    :param tags: values by name of tags that are added to every row.
    :param rvtools_as_template: True to convert an RVTools export to the import template.
    :raises ValueError: a parameter is invalid.
    """

    column_mapping: ColumnMapping | None = None
    max_file_bytes: int = IMPORT_FILE_MAX_BYTES
    on_invalid_rows: OnInvalidRows = "fail"
    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    na_values: Sequence[str] | Mapping[str, Sequence[str]] | None = None
    keep_default_na: bool = True
    sheet_name: str | None = None
    row_filter: RowFilterOption | None = None
    tags: Mapping[str, str] | None = None
    rvtools_as_template: bool = False

    #: The parameters above, in the form that the other modules use.
    mapping: dict[str, MappedColumn | None] = field(init=False)
    number_format: NumberFormat | None = field(init=False)
    placeholders: Mapping[str | None, frozenset[str]] = field(init=False)
    conditions: dict[str, tuple[bool, list[str]]] = field(init=False)
    added_tags: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        if type(self.max_file_bytes) is not int or not 1 <= self.max_file_bytes <= IMPORT_FILE_MAX_BYTES:
            raise ValueError(
                f"max_file_bytes must be a whole number from 1 to {IMPORT_FILE_MAX_BYTES:,}; got "
                f"{quote(self.max_file_bytes)}"
            )
        if self.on_invalid_rows not in ("fail", "quarantine"):
            raise ValueError(f"on_invalid_rows must be 'fail' or 'quarantine'; got {quote(self.on_invalid_rows)}")
        if self.delimiter is not None:
            check_delimiter(self.delimiter)
        if self.encoding is not None:
            check_encoding(self.encoding)
        if self.sheet_name is not None and not isinstance(self.sheet_name, str):
            raise ValueError(f"sheet_name must be the name of a sheet; got {quote(self.sheet_name)}")
        for name in ("keep_default_na", "rvtools_as_template"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False; got {quote(getattr(self, name))}")
        checked: dict[str, Any] = {
            "mapping": check_column_mapping(self.column_mapping),
            "number_format": check_number_format(self.decimal, self.thousands),
            "placeholders": check_na_values(self.na_values),
            "conditions": check_row_filter(self.row_filter),
            "added_tags": check_tags(self.tags),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def refuse_for_rvtools(self) -> None:
        """
        Check that no option is set that would change rows.

        :raises ImportFileError: one is.
        """
        names = ("column_mapping", "row_filter", "tags")
        if given := [name for name in names if getattr(self, name)]:
            raise ImportFileError(
                f"The file is an RVTools export, which is imported unchanged, so {' and '.join(given)} cannot be "
                "applied. Remove that, or set rvtools_as_template=True to convert the export to the import template."
            )
