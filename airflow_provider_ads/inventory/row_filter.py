"""Row filters: selection of the rows of a source to import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.columns import list_headers
from airflow_provider_ads.inventory.placeholders import clean_cell
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["RowFilter", "RowFilterOption", "check_row_filter"]

#: The values of the rows to keep by header, or those of the rows to remove as ``{"not": [...]}``.
RowFilterOption = Mapping[str, "Sequence[str] | Mapping[str, Sequence[str]]"]


def check_row_filter(row_filter: object) -> dict[str, tuple[bool, list[str]]]:
    """
    Return a row filter if it is valid.

    :param row_filter: values by header; None for no filter.
    :return: by header, True if rows with these values are kept and False if they are removed, and the values.
    :raises ValueError: it has another form.
    """
    if row_filter is None:
        return {}
    if not isinstance(row_filter, Mapping):
        raise ValueError(f"row_filter must be a dict such as {{'Status': ['Operational']}}; got {quote(row_filter)}")
    checked = {}
    for header, condition in row_filter.items():
        keep = not isinstance(condition, Mapping)
        values = condition if keep else condition.get("not") if condition.keys() == {"not"} else None
        if not isinstance(values, list | tuple) or not values or not all(isinstance(value, str) for value in values):
            raise ValueError(
                f"row_filter must have a list of strings, or {{'not': [...]}}, for each header; got "
                f"{quote({header: condition})}"
            )
        checked[header] = (keep, list(values))
    return checked


class RowFilter:
    """
    Decide which rows are kept. Values are compared ignoring case, and without surrounding whitespace and formulas for
    text.

    :param conditions: the result of :func:`check_row_filter`.
    :param header: the source's headers.
    :ivar filtered: number of removed rows, by header.
    :raises ImportFileError: the source lacks a header.
    """

    def __init__(self, conditions: Mapping[str, tuple[bool, list[str]]], header: Sequence[str]) -> None:
        if missing := [name for name in conditions if name not in header]:
            raise ImportFileError(
                f"row_filter contains headers that the file does not have: {list_headers(missing)}. The file has "
                f"{list_headers(header)}."
            )
        self.filtered = dict.fromkeys(conditions, 0)
        self._conditions = [
            (name, header.index(name), keep, {_clean(value): value for value in values})
            for name, (keep, values) in conditions.items()
        ]
        self._seen: dict[str, set[str]] = {name: set() for name in conditions}

    def keeps(self, cells: Sequence[str]) -> bool:
        """Return True if a row is kept, and count it otherwise."""
        for name, place, keep, values in self._conditions:
            value = _clean(cells[place])
            if value in values:
                self._seen[name].add(value)
            if (value in values) is not keep:
                self.filtered[name] += 1
                return False
        return True

    def warnings(self) -> list[str]:
        """Return a sentence for each value that no row has."""
        return [
            f"row_filter: no row that reaches the filter has {quote(text)} under {quote(name)}."
            for name, _, _, values in self._conditions
            for value, text in values.items()
            if value not in self._seen[name]
        ]


def _clean(cell: str) -> str:
    # A filter can name placeholders, so they are values here.
    return clean_cell(cell, frozenset()).casefold()
