"""What every kind of inventory is read as: a header and records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["AmbiguousFileError", "IsHeader", "Question", "Record", "Table"]

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


class Table(Protocol):
    """
    The header and the records of a source.

    :ivar header: the headers, in which a repeated ``IP`` is ``IP.1``, as in pandas.
    :ivar skipped: the rows above the header, as text.
    :ivar description: how the source was read, for the report, such as ``CSV in UTF-8 with semicolons``.
    """

    header: Sequence[str]
    skipped: Sequence[str]
    description: str

    def __iter__(self) -> Iterator[Record]:
        """
        Yield the records below the header, without empty rows.

        :raises ImportFileError: the rest of the source cannot be read.
        """


class Question(NamedTuple):
    """
    An ambiguity that only the user can resolve.

    :param text: what is ambiguous, with examples from the file, as sentences.
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
