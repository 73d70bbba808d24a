"""The column mapping: from a source's headers to the import template's columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.template import TEMPLATE_COLUMNS, ImportFileError, select_cells

__all__ = ["Columns", "check_column_mapping", "list_headers", "match_columns"]


@dataclass(frozen=True)
class Columns:
    """
    The columns of a source, matched with those of the import template.

    :param places: indices of the imported columns, in the source's order.
    :param headers: headers of the imported columns by template column, in the same order.
    :param ignored: headers that the mapping maps to None.
    :param unknown: headers that are neither mapped nor template columns.
    """

    places: tuple[int, ...]
    headers: Mapping[str, str]
    ignored: tuple[str, ...]
    unknown: tuple[str, ...]

    def label(self, column: str) -> str:
        """Return the prefix for a message about a template column; empty if the column is."""
        if not column:
            return ""
        header = self.headers[column]
        return f"{column}: " if header == column else f"{quote(header)} ({column}): "

    def selector(self, width: int) -> Callable[[Sequence[str]], Sequence[str]] | None:
        """
        Return a function that picks the imported cells from a row of the source.

        :param width: number of columns of the source.
        :return: the function; None if the row can be used unchanged.
        """
        return None if self.places == tuple(range(width)) else select_cells(self.places)


def check_column_mapping(column_mapping: object) -> dict[str, str | None]:
    """
    Return a column mapping if it is valid.

    :param column_mapping: template columns by the source's headers, with None for each column to ignore; None for no
        mapping.
    :raises ValueError: it is not a mapping, or it maps a header to something that is not a template column, or two
        headers to one column.
    """
    if column_mapping is None:
        return {}
    if not isinstance(column_mapping, Mapping):
        advice = (
            ". Jinja renders it as a string unless the Dag sets render_template_as_native_obj=True; the .output of a "
            "task stays a dict"
            if isinstance(column_mapping, str)
            else ""
        )
        raise ValueError(
            f"column_mapping must be a dict such as {{'Server Name': 'HostName'}}; got {quote(column_mapping)}{advice}"
        )
    headers: dict[str, str] = {}
    for header, column in column_mapping.items():
        if not isinstance(header, str):
            raise ValueError(f"The keys of column_mapping are the source's headers, as strings; got {quote(header)}")
        if column is None:
            continue
        if column not in TEMPLATE_COLUMNS:
            near = get_close_matches(str(column), TEMPLATE_COLUMNS, 1)
            advice = f"Did you mean {near[0]!r}?" if near else f"Its columns are {', '.join(TEMPLATE_COLUMNS)}."
            raise ValueError(
                f"column_mapping maps {quote(header)} to {quote(column)}, which is not a column of the import "
                f"template. {advice}"
            )
        if column in headers:
            raise ValueError(
                f"column_mapping maps both {quote(headers[column])} and {quote(header)} to {column!r}. Map one of them."
            )
        headers[column] = header
    return dict(column_mapping)


def match_columns(header: Sequence[str], mapping: Mapping[str, str | None]) -> Columns:
    """
    Match the headers of a source with the columns of the import template.

    :param header: the source's headers.
    :param mapping: a mapping that :func:`check_column_mapping` returned.
    :raises ImportFileError: a mapped header is missing, two headers map to one column, or a header differs from a
        template column only in case or whitespace.
    """
    if missing := [name for name in mapping if name not in header]:
        raise ImportFileError(
            f"column_mapping contains headers that the file does not have: {list_headers(missing)}. The file has "
            f"{list_headers(header)}."
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
                f"The file has two columns for {column}: {list_headers([headers[column], name])}. Map one of them to "
                "None in column_mapping to ignore it, or rename it."
            )
    spelling = {column.casefold(): column for column in TEMPLATE_COLUMNS if column not in headers}
    if misspelled := {name: spelling[key] for name in unknown if (key := name.strip().casefold()) in spelling}:
        raise ImportFileError(
            "Some headers differ from template columns only in case or whitespace, so the service would ignore them. "
            f"Add them to column_mapping, with None for those to ignore: {misspelled}."
        )
    return Columns(tuple(places), headers, tuple(ignored), tuple(unknown))


def list_headers(headers: Sequence[str]) -> str:
    """Return the first 40 headers and the number of further ones, for a message."""
    more = f" and {len(headers) - 40:,} more" if len(headers) > 40 else ""
    return ", ".join(map(quote, headers[:40])) + more
