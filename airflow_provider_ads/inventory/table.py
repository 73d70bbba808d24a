"""Tables: the header and the records that any kind of inventory contains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple, Protocol, Self

from airflow_provider_ads.inventory.template import ImportFileError

__all__ = [
    "HEADER_ROWS",
    "MAX_COLUMNS",
    "AmbiguousFileError",
    "IsHeader",
    "NumberCell",
    "Question",
    "Record",
    "SuspectCell",
    "Table",
    "find_header",
    "is_title",
    "unique_headers",
]

#: Number of rows that can contain the header.
HEADER_ROWS = 20

#: Maximum number of columns in a source. The import template has 34.
MAX_COLUMNS = 1_000

#: A function that returns True for the cells of a row that can be the header.
IsHeader = Callable[[Sequence[str]], bool]


class Record(NamedTuple):
    """
    One record of a table.

    :param line: number of its first line, or of its row in a sheet; the first one is 1.
    :param cells: its cells as text; not more or fewer than the source has.
    :param text: the record as it was read, with its line end; None if the source is not text.
    :param problem: the reason why it could not be read, as a sentence; empty if it could.
    """

    line: int
    cells: list[str]
    text: str | None = None
    problem: str = ""


class NumberCell(str):
    """A number of a spreadsheet as text. Its decimal separator is a point, whatever it is in cells with text."""

    __slots__ = ()


class SuspectCell(str):
    """
    A cell that a spreadsheet has probably changed. It invalidates its row if it would be imported.

    :param text: the cell.
    :param reason: a verb phrase whose subject is the cell, such as "is a date".
    :param is_date: True for a date or a time, which is correct in some columns.
    """

    reason: str
    is_date: bool

    def __new__(cls, text: str, reason: str, is_date: bool) -> Self:
        """Return a cell with a reason."""
        cell = super().__new__(cls, text)
        cell.reason, cell.is_date = reason, is_date
        return cell


class Table(Protocol):
    """
    The header and the records of a source.

    :ivar header: the headers, in which a repeated ``IP`` is ``IP.1``, as in pandas.
    :ivar skipped: the rows above the header, as text.
    :ivar description: how the source was read, for the report, such as ``CSV in UTF-8 with semicolons``.
    :ivar delimiter: the delimiter of a text, and a comma for other sources.
    """

    header: list[str]
    skipped: list[str]
    description: str
    delimiter: str

    def __iter__(self) -> Iterator[Record]:
        """
        Yield the records below the header, without empty rows.

        :raises ImportFileError: the rest of the source cannot be read.
        """


class Question(NamedTuple):
    """
    An ambiguity that only the user can resolve.

    :param text: the ambiguity, with examples from the file, as sentences.
    :param answers: lines to paste into the task, one of which resolves it: arguments such as ``delimiter=";",`` or
        entries of ``column_mapping``, such as ``"RAM": {"column": "RAM.TotalSizeInMB", "unit": "GB"},``.
    """

    text: str
    answers: tuple[str, ...]


class AmbiguousFileError(ImportFileError):
    """
    A file can be read in several ways, so the user is asked which one is right.

    :param questions: all ambiguities that were found.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        super().__init__("\n".join("\n    ".join([question.text, *question.answers]) for question in questions))


def find_header(rows: Sequence[Sequence[str]], is_header: IsHeader) -> int | None:
    """
    Return the index of the header: the first possible one, if all rows above it have fewer filled cells.

    :param rows: the first rows of a source; only the first 20 are searched.
    :param is_header: the function that recognizes a header.
    :return: the index; None if no row can be the header.
    """
    index = next((place for place, cells in enumerate(rows[:HEADER_ROWS]) if is_header(cells)), None)
    return index if index is not None and all(is_title(cells, rows[index]) for cells in rows[:index]) else None


def is_title(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Return True if a row has fewer filled cells than the header, so that it is not a record."""
    return sum(map(bool, map(str.strip, cells))) < sum(map(bool, map(str.strip, header)))


def unique_headers(cells: Sequence[str]) -> list[str]:
    """
    Return the headers of a table as pandas names them, without surrounding whitespace.

    A repeated ``IP`` is ``IP.1``, or the next number that is free, and an empty third header is ``Unnamed: 2``.

    :param cells: the cells of the header.
    """
    headers = [cell.strip() or f"Unnamed: {place}" for place, cell in enumerate(cells)]
    taken, named = set(headers), set[str]()
    numbers: dict[str, Iterator[int]] = {}
    for place, header in enumerate(headers):
        name = header
        if name in named:
            name = next(
                n for number in numbers.setdefault(header, count(1)) if (n := f"{header}.{number}") not in taken
            )
        taken.add(name)
        named.add(name)
        headers[place] = name
    return headers
