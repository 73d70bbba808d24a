"""The column mapping: from a source's headers to the import template's columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Required, TypedDict

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.table import AmbiguousFileError, Question
from airflow_provider_ads.inventory.template import (
    LIST_COLUMNS,
    TEMPLATE_COLUMNS,
    UNITS,
    ImportFileError,
)

__all__ = [
    "ColumnMapping",
    "ColumnOptions",
    "Columns",
    "MappedColumn",
    "check_column_mapping",
    "list_headers",
    "mapping_line",
    "match_columns",
    "simplify_header",
]


class ColumnOptions(TypedDict, total=False):
    """
    Options for reading the cells below a header.

    ``column`` is the template column. ``unit`` is the unit of numbers that do not have their own, such as ``GB``, ``%``
    or ``fraction``. ``separator`` separates the items of a list; None means that each cell is one item.
    ``pair_separator`` separates the name of a tag from its value. ``tag`` makes each cell the value of a tag with this
    name.
    """

    column: Required[str]
    unit: str
    separator: str | None
    pair_separator: str
    tag: str


#: Template columns by the source's headers, each with options or without, and None for each column to ignore.
ColumnMapping = Mapping[str, str | ColumnOptions | None]


@dataclass(frozen=True)
class MappedColumn:
    """
    A header that is imported.

    :param header: the header in the source.
    :param column: the template column.
    :param unit: the unit of the numbers; None if the mapping does not set one.
    :param separator: the separator of a list; None if each cell is one item; empty if the mapping does not set one.
    :param pair_separator: the separator between the name of a tag and its value.
    :param tag: the name of the tag whose values the cells are; None if the cells contain the names.
    """

    header: str
    column: str
    unit: str | None = None
    separator: str | None = ""
    pair_separator: str = ":"
    tag: str | None = None

    @property
    def label(self) -> str:
        """The prefix for a message about a cell."""
        return f"{self.column}: " if self.header == self.column else f"{quote(self.header)} ({self.column}): "


@dataclass(frozen=True)
class Columns:
    """
    The headers of a source, matched with the columns of the import template.

    :param mapped: the imported headers by their index in the source, in the order of the mapping and then of the
        source.
    :param ignored: headers that the mapping maps to None.
    :param unknown: headers that are neither mapped nor template columns.
    """

    mapped: Mapping[int, MappedColumn]
    ignored: tuple[str, ...]
    unknown: tuple[str, ...]


def check_column_mapping(column_mapping: object) -> dict[str, MappedColumn | None]:
    """
    Return a column mapping if it is valid.

    :param column_mapping: template columns by the source's headers, each as a string or with :class:`ColumnOptions`,
        and None for each column to ignore; None for no mapping.
    :raises ValueError: it is not a mapping, or it maps a header to something that is not a template column, or two
        headers to one column that is not a list, or an option does not fit the column.
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
    mapping: dict[str, MappedColumn | None] = {}
    headers: dict[str, str] = {}
    for header, value in column_mapping.items():
        if not isinstance(header, str):
            raise ValueError(f"The keys of column_mapping are the source's headers, as strings; got {quote(header)}")
        header = header.strip()
        mapping[header] = mapped = None if value is None else _check_entry(header, value)
        if mapped is None or mapped.column in LIST_COLUMNS:
            continue
        if mapped.column in headers:
            raise ValueError(
                f"column_mapping maps both {quote(headers[mapped.column])} and {quote(header)} to {mapped.column!r}. "
                "Map one of them."
            )
        headers[mapped.column] = header
    return mapping


def _check_entry(header: str, value: object) -> MappedColumn:
    about = f"column_mapping maps {quote(header)} to {quote(value)}"
    options: dict[str, Any] = dict(value) if isinstance(value, Mapping) else {"column": value}
    if wrong := [name for name in options if name not in ColumnOptions.__annotations__]:
        raise ValueError(
            f"{about}: {quote(wrong[0])} is not an option. The options are {', '.join(ColumnOptions.__annotations__)}."
        )
    column = options.get("column")
    if column not in TEMPLATE_COLUMNS:
        near = get_close_matches(str(column), TEMPLATE_COLUMNS, 1)
        advice = f"Did you mean {near[0]!r}?" if near else f"Its columns are {', '.join(TEMPLATE_COLUMNS)}."
        raise ValueError(f"{about}, which is not a column of the import template. {advice}")
    if "unit" in options:
        units = UNITS.get(str(column), {})
        if options["unit"] not in units:
            known = f"the units of {column} are {', '.join(units)}" if units else f"{column} has no unit"
            raise ValueError(f"{about}: {known}.")
    separator = options.get("separator", "")
    if "separator" in options and (
        column not in LIST_COLUMNS or not (separator is None or (isinstance(separator, str) and separator))
    ):
        raise ValueError(f"{about}: separator must be text or None, for {', '.join(LIST_COLUMNS)}.")
    for name in ("pair_separator", "tag"):
        if name in options and (column != "Tags" or not isinstance(options[name], str) or not options[name].strip()):
            raise ValueError(f"{about}: {name} must be text, for Tags.")
    if options.keys() >= {"tag", "pair_separator"}:
        raise ValueError(f"{about}: tag and pair_separator exclude each other: with tag, each cell is a value.")
    if set(options.get("tag", "")) & set(",:"):
        raise ValueError(f"{about}: the name of a tag contains no comma and no colon.")
    return MappedColumn(header, **options)


def match_columns(header: Sequence[str], mapping: Mapping[str, MappedColumn | None]) -> Columns:
    """
    Match the headers of a source with the columns of the import template.

    :param header: the source's headers.
    :param mapping: a mapping that :func:`check_column_mapping` returned.
    :raises ImportFileError: a mapped header is missing, two headers map to one column, or a header differs from a
        template column only in case.
    :raises ~airflow_provider_ads.inventory.table.AmbiguousFileError: an imported header is repeated, and the second one
        is not mapped.
    """
    if missing := [name for name in mapping if name not in header]:
        spellings = {simplify_header(name): name for name in header if name not in mapping}
        lines = [
            mapping_line(spellings[simplify_header(name)], _entry(mapping[name]))
            for name in missing
            if simplify_header(name) in spellings
        ]
        advice = (
            " Some differ only in case or whitespace. Replace their entries of column_mapping:\n    "
            + "\n    ".join(lines)
            if lines
            else ""
        )
        raise ImportFileError(
            f"column_mapping contains headers that the file does not have: {list_headers(missing)}. The file has "
            f"{list_headers(header)}.{advice}"
        )
    if questions := list(_questions_about_repetitions(header, mapping)):
        raise AmbiguousFileError(questions)
    columns: dict[str, str] = {}
    by_place: dict[int, MappedColumn] = {}
    ignored: list[str] = []
    unknown: list[str] = []
    for place, name in enumerate(header):
        mapped = mapping.get(name, MappedColumn(name, name))
        if mapped is None:
            ignored.append(name)
        elif mapped.column not in TEMPLATE_COLUMNS:
            unknown.append(name)
        elif mapped.column in columns and mapped.column not in LIST_COLUMNS:
            raise ImportFileError(
                f"The file has two columns for {mapped.column}: {list_headers([columns[mapped.column], name])}. Map "
                "one of them to None in column_mapping to ignore it, or rename it."
            )
        else:
            columns[mapped.column] = name
            by_place[place] = mapped
    spelling = {column.casefold(): column for column in TEMPLATE_COLUMNS if column not in columns}
    if misspelled := {name: spelling[key] for name in unknown if (key := name.strip().casefold()) in spelling}:
        raise ImportFileError(
            "Some headers differ from template columns only in case, so the service would ignore them. "
            f"Add them to column_mapping, with None for those to ignore: {misspelled}."
        )
    order = {name: number for number, name in enumerate(mapping)}
    places = sorted(by_place, key=lambda place: (order.get(header[place], len(order)), place))
    return Columns({place: by_place[place] for place in places}, tuple(ignored), tuple(unknown))


def _questions_about_repetitions(
    header: Sequence[str], mapping: Mapping[str, MappedColumn | None]
) -> Iterator[Question]:
    """Yield a question about each repeated header that has no entry, although one with the same name is imported."""
    for name in header:
        first, _, number = name.rpartition(".")
        if name in mapping or first not in header or not number.isdecimal():
            continue
        mapped = mapping.get(first, MappedColumn(first, first))
        if mapped is not None and mapped.column in TEMPLATE_COLUMNS:
            same = [mapping_line(name, mapped.column)] if mapped.column in LIST_COLUMNS else []
            yield Question(
                f"The header {quote(first)} is repeated; the second one is called {quote(name)}. Say what it is, with "
                "one of these entries of column_mapping, or another one:",
                (*same, mapping_line(name, None)),
            )


def simplify_header(header: str) -> str:
    """Return a header in lower case, with each whitespace character replaced by a blank."""
    return " ".join(header.casefold().split())


def _entry(mapped: MappedColumn | None) -> str | dict[str, object] | None:
    """Return the entry of ``column_mapping`` from which a header was mapped."""
    if mapped is None:
        return None
    options = {
        each.name: getattr(mapped, each.name)
        for each in fields(mapped)
        if each.name not in ("header", "column") and getattr(mapped, each.name) != each.default
    }
    return {"column": mapped.column, **options} if options else mapped.column


def mapping_line(header: str, value: str | Mapping[str, object] | None) -> str:
    """Return a line of ``column_mapping`` to paste into a Dag."""
    if isinstance(value, Mapping):
        text = f"{{{', '.join(f'{_literal(name)}: {_literal(option)}' for name, option in value.items())}}}"
    else:
        text = _literal(value)
    return f"{_literal(header)}: {text},"


def _literal(value: object) -> str:
    # JSON and Python write such strings alike, and double quotes are what most Dags use.
    return json.dumps(value, ensure_ascii=not value.isprintable()) if isinstance(value, str) else repr(value)


def list_headers(headers: Sequence[str]) -> str:
    """Return the first 40 headers and the number of further ones, for a message."""
    more = f" and {len(headers) - 40:,} more" if len(headers) > 40 else ""
    return ", ".join(map(quote, headers[:40])) + more
