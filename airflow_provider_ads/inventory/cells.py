"""Conversion of the cells below one header; subclasses know what the cells of each kind of column mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import ne
from typing import Any

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.columns import MappedColumn
from airflow_provider_ads.inventory.placeholders import clean_cell, unchanged_text
from airflow_provider_ads.inventory.table import Question

__all__ = ["CellConverter", "ExternalIdConverter", "HostNameConverter", "InvalidCell", "TextConverter"]

#: Number of different cells whose results are kept. Most columns have few different cells.
MEMO_SIZE = 10_000

#: An identifier that a spreadsheet has turned into a rounded number.
_ROUNDED = re.compile(r"\d([.,]\d+)?E\+\d{2,}", re.IGNORECASE)


class InvalidCell(str):
    """The reason, as a sentence, why a cell cannot be imported. It stands in the place of the converted cell."""

    __slots__ = ()


class CellConverter:
    """
    Convert the cells below one header to those of a template column.

    :param mapped: the header with its column and options.
    :param placeholders: cells and items that count as empty, in lower case.
    :ivar converted: number of cells that were changed.
    :ivar invalid: number of cells that cannot be imported.
    """

    #: A pattern of cells that stay unchanged, in a text that NULs divide. A cell that does not match can stay
    #: unchanged too.
    unchanged: str | None = None

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        self.mapped = mapped
        self.placeholders = placeholders
        self.converted = self.invalid = 0
        self._memo = _Memo(self)

    def convert(self, cell: str) -> str:
        """Return the cell as the service understands it, or an :class:`InvalidCell`."""
        raise NotImplementedError

    def questions(self) -> Iterator[Question]:
        """Yield what is ambiguous in the cells converted so far."""
        return iter(())

    def convert_all(self, cells: Sequence[str]) -> Sequence[str]:
        """Convert the cells of several rows; those that cannot be imported become an :class:`InvalidCell`."""
        if self.unchanged is not None:
            text = "\0".join(cells)
            if _all_match(self.unchanged)(text) and text.count("\0") == len(cells) - 1:
                return cells
        if len(self._memo) > MEMO_SIZE:
            self._memo.clear()
        result = list(map(self._memo.__getitem__, cells))
        invalid = list(map(type, result)).count(InvalidCell)
        self.invalid += invalid
        self.converted += sum(map(ne, cells, result)) - invalid
        return result


class _Memo(dict[str, str]):
    def __init__(self, converter: CellConverter) -> None:
        self._converter = converter

    def __missing__(self, cell: str) -> str:
        result = self[cell] = self._converter.convert(cell)
        return result


@lru_cache(maxsize=64)
def _all_match(pattern: str) -> Any:
    return re.compile(rf"(?:{pattern})(?:\0(?:{pattern}))*+").fullmatch


class TextConverter(CellConverter):
    """Convert text: whitespace around it, formulas for text, and placeholders are removed."""

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        super().__init__(mapped, placeholders)
        self.unchanged = unchanged_text(placeholders)

    def convert(self, cell: str) -> str:
        """Return the text, or an :class:`InvalidCell` for an ExternalId that a spreadsheet has rounded."""
        return clean_cell(cell, self.placeholders)


class ExternalIdConverter(TextConverter):
    """Convert identifiers of servers."""

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        super().__init__(mapped, placeholders)
        self.unchanged = rf"(?![\d.,]*+[eE]\+){self.unchanged}"

    def convert(self, cell: str) -> str:
        """Return the identifier, or an :class:`InvalidCell` if a spreadsheet has rounded it."""
        text = super().convert(cell)
        if _ROUNDED.fullmatch(text):
            return InvalidCell(
                f"{quote(text)} is a number that a spreadsheet has rounded. Export the column as text again."
            )
        return text


class HostNameConverter(ExternalIdConverter):
    """Convert names of servers, each of which is one name."""

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        super().__init__(mapped, placeholders)
        self.unchanged = rf"(?![\d.,]*+[eE]\+){unchanged_text(placeholders, ',;|')}"

    def convert(self, cell: str) -> str:
        """Return the name, or an :class:`InvalidCell` if there are several or a spreadsheet has rounded it."""
        text = super().convert(cell)
        if not isinstance(text, InvalidCell) and re.search(r"[,;|\n\r]", text):
            return InvalidCell(f"{quote(text)} is more than one name. Write each server to a row of its own.")
        return text
