"""Conversion of the cells below one header, with a subclass for each kind of column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from operator import ne
from typing import Any

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.columns import MappedColumn
from airflow_provider_ads.inventory.placeholders import clean_cell
from airflow_provider_ads.inventory.table import Question

__all__ = [
    "CellConverter",
    "ExternalIdConverter",
    "HostNameConverter",
    "InvalidCell",
    "MoRefIdConverter",
    "NameConverter",
    "TextConverter",
    "lost_characters",
]

#: Number of different cells whose results are kept. Most columns have few different cells.
MEMO_SIZE = 10_000

#: Number of different cells that are known to stay unchanged, and their average length. A column with more of them
#: hardly ever repeats a cell, so keeping them would only waste memory.
UNCHANGED_SIZE = 1_000
UNCHANGED_LENGTH = 100

#: Characters that draw a line, as sqlcmd does below the header, or fill a narrow column.
_PUNCTUATION = "-#*+._~"

#: The months as spreadsheets write them, in lower case: in English, German, French, Italian, Spanish and Dutch.
_MONTHS = (
    "jan|janv|gen|ene|feb|febr|févr|mar|mars|mär|märz|mrz|mrt|apr|april|avr|abr|may|mai|mag|mei|jun|juni|juin|giu|jul|juli"
    "|juil|lug|aug|août|ago|sep|sept|set|oct|okt|ott|nov|dec|dez|déc|dic"
)

#: A date that a spreadsheet has made from a name or a version: 01-mar, 01. mrz, or a date at midnight.
#: A pattern whose first item is a single character is searched faster.
_DATE = rf"[0-9](?:[0-9]?(?:-|\. )(?:{_MONTHS})\.?|[0-9]{{3}}-[0-9]{{2}}-[0-9]{{2}} 00:00:00)"

#: Whitespace in ASCII, except blanks.
_ASCII_WHITESPACE = tuple(filter(str.isspace, map(chr, (*range(0x20), 0x7F))))

#: An identifier that a spreadsheet has turned into a rounded number.
_ROUNDED = re.compile(r"\d([.,]\d+)?E\+\d{2,}", re.IGNORECASE)


class InvalidCell(str):
    """The reason, as a sentence, why a cell cannot be imported. It takes the place of the converted cell."""

    __slots__ = ()


def lost_characters(cell: str) -> InvalidCell:
    """Return the reason for a cell with U+FFFD, which stands for what a wrong encoding has lost."""
    return InvalidCell(f"{quote(cell)} has lost characters when its encoding was changed. Export it again.")


class CellConverter:
    """
    Convert the cells below one header to those of a template column.

    :param mapped: the header with its column and options.
    :param placeholders: cells and items that count as empty, in lower case.
    :ivar converted: number of cells that were changed.
    :ivar invalid: number of cells that cannot be imported.
    """

    #: A pattern of cells that stay unchanged; None for no pattern. Other cells can stay unchanged too.
    unchanged: str | None = None

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        self.mapped = mapped
        self.placeholders = placeholders
        self.converted = self.invalid = 0
        #: Results by cell.
        self.memo = _Memo(self)
        self._unchanged_cells: set[str] = set()

    def convert(self, cell: str) -> str:
        """Return the cell as the service understands it, or an :class:`InvalidCell`."""
        raise NotImplementedError

    def questions(self) -> Iterator[Question]:
        """Yield a question for each ambiguity in the cells converted so far."""
        return iter(())

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each fact that the user might not expect."""
        return iter(())

    def convert_all(self, cells: Sequence[str]) -> Sequence[str]:
        """Convert the cells of several rows; those that cannot be imported become an :class:`InvalidCell`."""
        # Most cells stay unchanged. Checking several cells together takes a tenth of the time of converting each, and
        # recognizing those of a repetitive column takes a twentieth.
        if self._unchanged_cells.issuperset(cells):
            return cells
        text = "\0".join(cells)
        if text.count("\0") == len(cells) - 1 and self.stays_unchanged(text):
            if len(self._unchanged_cells) < UNCHANGED_SIZE and len(text) <= UNCHANGED_LENGTH * len(cells):
                self._unchanged_cells.update(cells)
            return cells
        if len(self.memo) > MEMO_SIZE:
            self.memo.clear()
        result = self.convert_several(cells)
        invalid = list(map(type, result)).count(InvalidCell)
        self.invalid += invalid
        self.converted += sum(map(ne, cells, result)) - invalid
        return result

    def convert_several(self, cells: Sequence[str]) -> list[str]:
        """Return the converted cells."""
        return list(map(self.memo.__getitem__, cells))

    def stays_unchanged(self, text: str) -> bool:
        """
        Return True if converting would change none of several cells; False can also mean that it is not known.

        :param text: the cells, separated by NULs.
        """
        return self._match_unchanged is not None and self._match_unchanged(text) is not None

    @cached_property
    def _match_unchanged(self) -> Any:
        """The function that matches several cells with :attr:`unchanged`; None if placeholders match too."""
        pattern = self.unchanged
        if pattern is None or any(re.fullmatch(pattern, each, re.IGNORECASE) for each in self.placeholders - {""}):
            return None
        return re.compile(rf"(?:{pattern})(?:\0(?:{pattern}))*+").fullmatch


class _Memo(dict[str, str]):
    def __init__(self, converter: CellConverter) -> None:
        self._converter = converter

    def __missing__(self, cell: str) -> str:
        result = self[cell] = self._converter.convert(cell)
        return result


class TextConverter(CellConverter):
    """Convert text: whitespace around it, formulas for text, and placeholders are removed."""

    #: Characters, in lower case, of cells that might not stay unchanged.
    special: tuple[str, ...] = ()

    def stays_unchanged(self, text: str) -> bool:
        """Return True if no cell has whitespace around it, is a placeholder, or contains special characters."""
        lower = f"\0{text.lower()}\0"
        # A single character is found much faster than several, and most texts contain none of these.
        if (
            (" " in lower and ("\0 " in lower or " \0" in lower))
            or ("=" in lower and '\0="' in lower)
            or ("[" in lower and "[]\0" in lower)
            or (":" in lower and "\0err:5" in lower)
            or any(each in lower for each in self.special)
        ):
            return False
        if text.isascii():
            is_clean = not any(map(lower.__contains__, _ASCII_WHITESPACE))
        else:
            # Blanks are the only printable whitespace.
            is_clean = text.replace("\0", " ").isprintable() and "\ufffd" not in text
        return is_clean and self.placeholders.isdisjoint(lower.split("\0"))

    def convert(self, cell: str) -> str:
        """Return the text, or an :class:`InvalidCell` if it begins with a blank and a quote or has lost characters."""
        text = clean_cell(cell, self.placeholders)
        if text.startswith('"') and cell[0].isspace():
            return InvalidCell(f"{quote(cell)} has a blank before its quote. Remove the blanks after delimiters.")
        if "\ufffd" in text:
            return lost_characters(text)
        return text


class NameConverter(TextConverter):
    """Convert names and versions, which are not dates or rounded numbers unless a spreadsheet has changed them."""

    special: tuple[str, ...] = ("e+",)

    #: Find a cell, after a NUL and in lower case, that might be invalid.
    needs_check = staticmethod(re.compile(rf"\0{_DATE}\0").search)

    def stays_unchanged(self, text: str) -> bool:
        """Return True if no cell needs conversion or might be invalid."""
        return super().stays_unchanged(text) and not self.needs_check(f"\0{text.lower()}\0")

    def convert(self, cell: str) -> str:
        """Return the text, or an :class:`InvalidCell` if a spreadsheet has rounded it or made a date from it."""
        text = super().convert(cell)
        if isinstance(text, InvalidCell):
            return text
        if re.fullmatch(_DATE, text.lower()):
            return InvalidCell(
                f"{quote(text)} is a date that a spreadsheet has made from text. Export the column as text again."
            )
        if _ROUNDED.fullmatch(text):
            return InvalidCell(
                f"{quote(text)} is a number that a spreadsheet has rounded. Export the column as text again."
            )
        return text


class MoRefIdConverter(TextConverter):
    """Convert managed object references, before which PowerCLI writes their type: ``VirtualMachine-vm-101``."""

    special = ("virtualmachine-",)

    def convert(self, cell: str) -> str:
        """Return the reference, such as ``vm-101``."""
        text = super().convert(cell)
        return text if isinstance(text, InvalidCell) else text.removeprefix("VirtualMachine-")


class ExternalIdConverter(NameConverter):
    """Convert identifiers of servers."""

    needs_check = staticmethod(re.compile(rf"\0(?:[{re.escape(_PUNCTUATION)}'=]|{_DATE}\0|localhost)").search)

    def convert(self, cell: str) -> str:
        """Return the identifier, or an :class:`InvalidCell` if it is a formula or has no letter and no digit."""
        text = super().convert(cell)
        if isinstance(text, InvalidCell):
            return text
        # An apostrophe makes a spreadsheet keep the text after it unchanged.
        if quoted := re.fullmatch(r"'([^']+)'?", text):
            text = clean_cell(quoted[1], self.placeholders)
        if text.startswith("="):
            return InvalidCell(f"{quote(text)} is a formula. Export its value.")
        if len(text) > 1 and not text.strip(_PUNCTUATION):
            return InvalidCell(f"{quote(text)} has no letter and no digit, so it does not identify a server.")
        return text


class HostNameConverter(ExternalIdConverter):
    """Convert names of servers, each of which is one name."""

    special = (*ExternalIdConverter.special, ",", ";", "|", "/")

    def convert(self, cell: str) -> str:
        """Return the name, or an :class:`InvalidCell` if there are several or it is not an identifier."""
        text = super().convert(cell)
        if not isinstance(text, InvalidCell) and re.search(r"[,;|/\t\n\r]", text):
            return InvalidCell(f"{quote(text)} is more than one name. Write each server to a row of its own.")
        if text.lower() in ("localhost", "localhost.localdomain"):
            return InvalidCell(f"{quote(text)} identifies no server. Export the server's name.")
        return text
