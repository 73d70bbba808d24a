"""Detection of a text table's dialect: its encoding, its delimiter and the row of its header."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.table import HEADER_ROWS, AmbiguousFileError, IsHeader, Question, is_title
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = [
    "DELIMITERS",
    "Layout",
    "check_delimiter",
    "check_encoding",
    "choose_codec",
    "detect_encoding",
    "detect_layout",
    "excerpt",
    "suggest_encodings",
]

#: The delimiters that are detected, and their names. The first one wins if all of them read the same.
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}

#: Encodings that are suggested for a file that is not UTF-8: Western European, Central European and Cyrillic Windows,
#: Japanese Windows, and DOS. The first one is by far the most common.
LEGACY_ENCODINGS = ("cp1252", "cp1250", "cp1251", "cp932", "cp850")

#: Byte order marks and their codecs. UTF-16 comes last because UTF-32's mark starts with the one of UTF-16.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def detect_encoding(beginning: bytes) -> str:
    """
    Return the codec of a text: UTF-8, UTF-16 or UTF-32, without the byte order mark.

    :param beginning: the first bytes of the text.
    """
    if marked := _marked_encoding(beginning):
        return marked
    beginning = beginning[:4096]
    pairs = len(beginning) // 2
    first, second = beginning[::2].count(0), beginning[1::2].count(0)
    # In UTF-16, one byte of every ASCII character is zero, and an inventory is at least a quarter ASCII. A single
    # zero in UTF-8 is an error that must be reported.
    if second * 4 >= pairs and second > first * 4:
        return "utf-16-le"
    if first * 4 >= pairs and first > second * 4:
        return "utf-16-be"
    return "utf-8"


def _marked_encoding(beginning: bytes) -> str | None:
    return next((codec for mark, codec in _BYTE_ORDER_MARKS.items() if beginning.startswith(mark)), None)


def choose_codec(encoding: str | None, beginning: bytes) -> str:
    """
    Return the codec for reading a text; its byte order mark, if any, is decoded as U+FEFF.

    :param encoding: an encoding that :func:`check_encoding` returned; None to detect it.
    :param beginning: the first bytes of the text.
    :raises ImportFileError: the byte order mark contradicts the encoding.
    """
    detected = detect_encoding(beginning)
    if encoding is None:
        return detected
    codec = codecs.lookup(encoding).name
    codec = "utf-8" if codec == "utf-8-sig" else codec
    # These names leave the order of the bytes open.
    if codec in ("utf-16", "utf-32"):
        codec = detected if detected.startswith(codec) else f"{codec}-le"
    marked = _marked_encoding(beginning)
    if marked and marked != codec:
        raise ImportFileError(
            f"The file starts with the byte order mark of {marked.upper()}, so encoding={quote(encoding)} is wrong. "
            "Remove it."
        )
    return codec


def suggest_encodings(line: bytes, position: int, rest: Iterable[bytes]) -> dict[str, str]:
    """
    Return the encodings in which a text that is not UTF-8 can be read, with the reading of an excerpt in each.

    :param line: the bytes from the start of the line that is not UTF-8.
    :param position: the index of the first byte that is not UTF-8.
    :param rest: the bytes after ``line``, in chunks.
    """
    decoders = {encoding: codecs.getincrementaldecoder(encoding)() for encoding in LEGACY_ENCODINGS}
    examples = {
        encoding: quote(excerpt(line.decode(encoding, "replace"), len(line[:position].decode(encoding, "replace"))))
        for encoding in LEGACY_ENCODINGS
    }
    common, *others = LEGACY_ENCODINGS
    same = set(others)
    for chunk in chain([line], rest, [b""]):
        texts = {}
        for encoding, decoder in list(decoders.items()):
            try:
                texts[encoding] = decoder.decode(chunk, not chunk)
            except UnicodeDecodeError:
                del decoders[encoding]
        text = texts.get(common, "")
        for encoding in same & texts.keys():
            if texts[encoding] != text:
                same.remove(encoding)
                pairs = zip(text, texts[encoding], strict=False)
                place = next((place for place, pair in enumerate(pairs) if pair[0] != pair[1]), 0)
                reading = quote(excerpt(texts[encoding], place))
                if text and reading != examples[encoding]:
                    examples[encoding] = f"{reading} instead of {quote(excerpt(text, place))}"
    return {encoding: examples[encoding] for encoding in decoders if encoding not in same or common not in decoders}


def excerpt(text: str, place: int) -> str:
    """Return the characters around a place of a text that are on its line."""
    before = re.split(r"[\r\n]", text[max(place - 30, 0) : place])[-1]
    return before + re.split(r"[\r\n]", text[place : place + 30])[0]


def check_delimiter(delimiter: object) -> str:
    """
    Return a delimiter that the user gave if it is valid.

    :raises ValueError: it is not one character that can separate cells.
    """
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise ValueError(f"delimiter must be one character, such as ';' or '\\t'; got {quote(delimiter)}")
    return delimiter


def check_encoding(encoding: object) -> str:
    """
    Return an encoding that the user gave if it is valid.

    :raises ValueError: Python does not have it, or it is not a text encoding.
    """
    try:
        # This fails for codecs that do not decode text, or that cannot replace errors.
        b" ".decode(encoding, "replace")  # type: ignore[arg-type]
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"encoding must be a text encoding of Python, such as 'utf-8' or 'cp1252'; got {quote(encoding)}"
        ) from error
    return str(encoding)


class Layout(NamedTuple):
    """
    The layout of a text table.

    :param delimiter: the character that separates its cells.
    :param titles: number of rows above the header, without empty rows.
    """

    delimiter: str
    titles: int


class _Reading(NamedTuple):
    """The first rows of a file, read with a delimiter; ``header`` is the index of the row that can be the header."""

    delimiter: str
    rows: list[list[str]]
    header: int | None
    is_damaged: bool

    @property
    def table(self) -> list[list[str]]:
        return self.rows[self.header :]

    @property
    def has_titles_only_above(self) -> bool:
        return all(is_title(row, self.table[0]) for row in self.rows[: self.header])

    @property
    def misfits(self) -> int:
        """Number of rows that do not have as many cells as the header."""
        width = len(self.table[0])
        return self.is_damaged + sum(len(row) < width or any(row[width:]) for row in self.table)

    @property
    def splits_rows_alike(self) -> bool:
        """True if every row below the header has the same number of cells, and more than one."""
        widths = set(map(len, self.table[1:]))
        return len(widths) == 1 and widths != {1}


def detect_layout(lines: Sequence[str], is_header: IsHeader, delimiter: str | None = None) -> Layout:
    """
    Find the delimiter and the header of a text table.

    :param lines: the first lines of the file; the last row can be incomplete.
    :param is_header: returns True for the cells of a row that can be the header.
    :param delimiter: the delimiter if it is given; None to detect it.
    :return: the layout. If no row can be the header, it is the most likely one with the first row as the header.
    :raises AmbiguousFileError: several delimiters fit equally well.
    """
    candidates = [delimiter] if delimiter else list(DELIMITERS)
    readings = [_read_rows(lines, candidate, is_header) for candidate in candidates]
    found = [reading for reading in readings if reading.header is not None]
    found = [reading for reading in found if reading.has_titles_only_above] or found
    if not found:
        first, text = (re.sub(r'"[^"]*"', "", part) for part in (next(filter(str.strip, lines), ""), "".join(lines)))
        return Layout(max(candidates, key=lambda candidate: (first.count(candidate), text.count(candidate))), 0)
    fewest = min(reading.misfits for reading in found)
    best = [reading for reading in found if reading.misfits == fewest]
    if len(best[0].table[0]) == 1:
        # If the header contains no semicolon, commas make a single cell of each row "a;b", which is hardly intended.
        best += [reading for reading in found if reading not in best and reading.splits_rows_alike]
    different: list[_Reading] = []
    for reading in best:
        if all(reading.table != other.table for other in different):
            different.append(reading)
    if len(different) > 1:
        raise AmbiguousFileError([_ask_for_delimiter(different)])
    return Layout(best[0].delimiter, best[0].header or 0)


def _read_rows(lines: Sequence[str], delimiter: str, is_header: IsHeader) -> _Reading:
    rows: list[list[str]] = []
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    is_damaged = False
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append(stripped)
            if len(rows) == HEADER_ROWS:
                break
    except csv.Error:
        # The sample can end inside a row, which is not an error of the file.
        is_damaged = reader.line_num < len(lines)
    header = next((place for place, cells in enumerate(rows) if is_header(cells)), None)
    return _Reading(delimiter, rows, header, is_damaged)


def _ask_for_delimiter(readings: Sequence[_Reading]) -> Question:
    tables = [reading.table for reading in readings]
    shortest = min(map(len, tables))
    # Without a difference in the common rows, the tables differ in their number of rows.
    different = next((n for n in range(shortest) if any(table[n] != tables[0][n] for table in tables)), shortest - 1)
    examples = []
    for reading, table in zip(readings, tables, strict=True):
        row = f" and a row is {quote(table[different])}" if different else ""
        name = DELIMITERS[reading.delimiter]
        examples.append(f"With {name}, the header is {quote(table[0])}{row}.")
    return Question(
        " ".join(["The file can be read with more than one delimiter, so set the right one.", *examples]),
        tuple(f"delimiter={json.dumps(reading.delimiter)}," for reading in readings),
    )
