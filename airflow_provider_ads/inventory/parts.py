"""Writing rows to parts: files that are not larger than the service accepts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["Part", "PartWriter", "format_line", "format_row"]

#: Number of characters that are collected before they are written.
PENDING_CHARACTERS = 64 * 1024


@dataclass(frozen=True)
class Part:
    """
    A file to import.

    :param name: its name in the folder.
    :param rows: number of rows below its header; None for an RVTools export, whose rows are not read.
    :param size_bytes: its size in bytes.
    """

    name: str
    rows: int | None
    size_bytes: int


class PartWriter:
    """
    Write rows to files, each with a header and with as many rows as a limit allows.

    :param folder: the folder for the files.
    :param columns: the header.
    :param max_file_bytes: maximum size of a file in bytes.
    :raises ImportFileError: the header leaves no room for rows.
    """

    def __init__(self, folder: Path, columns: Sequence[str], max_file_bytes: int) -> None:
        self._folder = folder
        self._header = _encode([format_row(columns)])
        self._max_file_bytes = max_file_bytes
        self._room = max_file_bytes - len(self._header)
        if self._room < 1:
            raise ImportFileError(f"The header alone has {len(self._header):,} bytes. Raise max_file_bytes above that.")
        self._parts: list[Part] = []
        self._file: BinaryIO = io.BytesIO()
        # Pretend that a part is full, so that the first row starts a new one.
        self._size, self._rows = max_file_bytes, 0
        self._pending: list[str] = []
        self._pending_characters = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: str) -> bool:
        """
        Add a row. Rows are written in groups, which takes less time.

        :param row: the row's text without a line end.
        :return: True if the row was added; False if it is too large for any part.
        """
        characters = len(row)
        # A character has at most four bytes in UTF-8, and the line end has two.
        if characters * 4 + 2 > self._room and len(_encode([row])) > self._room:
            return False
        self._pending.append(row)
        self._pending_characters += characters
        if self._pending_characters > PENDING_CHARACTERS:
            self._write_pending()
        return True

    def finish(self) -> tuple[Part, ...]:
        """Write the remaining rows and return the parts."""
        self._write_pending()
        self._end_part()
        return tuple(self._parts)

    def _write_pending(self) -> None:
        rows = _encode(self._pending)
        if self._size + len(rows) <= self._max_file_bytes:
            self._write(rows, len(self._pending))
        else:
            for row in self._pending:
                self._write(_encode([row]), 1)
        self._pending.clear()
        self._pending_characters = 0

    def _write(self, rows: bytes, count: int) -> None:
        if self._size + len(rows) > self._max_file_bytes:
            self._end_part()
            self._file = (self._folder / f"part-{len(self._parts) + 1:04}.csv").open("wb")
            self._file.write(self._header)
            self._size, self._rows = len(self._header), 0
        self._file.write(rows)
        self._size += len(rows)
        self._rows += count

    def _end_part(self) -> None:
        self._file.close()
        if self._rows:
            self._parts.append(Part(f"part-{len(self._parts) + 1:04}.csv", self._rows, self._size))


class _StringSink:
    """A file whose ``write`` returns its argument, so that ``writerow`` of the csv module returns the row's text."""

    write = staticmethod(str)


def format_row(cells: Sequence[object]) -> str:
    """Return a row's text without a line end."""
    text: str = csv.writer(_StringSink()).writerow(cells)
    return text.removesuffix("\r\n")


#: Return the text of a row whose cells contain no line breaks. Not checking for them saves a quarter of the time.
format_line = csv.writer(_StringSink(), lineterminator="").writerow


def _encode(rows: Sequence[str]) -> bytes:
    return "\r\n".join([*rows, ""]).encode()
