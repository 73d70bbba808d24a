"""Writing of rows to parts: files that are not larger than the service accepts."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from airflow_provider_ads.inventory.template import NUMERIC_COLUMNS, ImportFileError

__all__ = ["Part", "PartWriter", "format_lines"]


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
        self._header = _encode(format_lines([[column] for column in columns]))
        self._max_file_bytes = max_file_bytes
        # Numbers contain nothing that needs quotes.
        self._numeric = {place for place, column in enumerate(columns) if column in NUMERIC_COLUMNS}
        self._room = max_file_bytes - len(self._header)
        if self._room < 1:
            raise ImportFileError(f"The header alone has {len(self._header):,} bytes. Raise max_file_bytes above that.")
        self._parts: list[Part] = []
        self._file: BinaryIO = io.BytesIO()
        # Pretend that a part is full, so that the first row starts a new one.
        self._size, self._rows = max_file_bytes, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, columns: Sequence[Sequence[str]]) -> list[int]:
        """
        Add rows.

        :param columns: their cells, by column.
        :return: the indices of rows that are too large for any part, and were not added.
        """
        lines = format_lines(columns, self._numeric)
        content = _encode(lines)
        if self._size + len(content) <= self._max_file_bytes:
            self._write(content, len(lines))
            return []
        too_large = []
        for index, text in enumerate(lines):
            line = _encode([text])
            if len(line) > self._room:
                too_large.append(index)
            else:
                self._write(line, 1)
        return too_large

    def finish(self) -> tuple[Part, ...]:
        """End the last part and return all parts."""
        self._end_part()
        return tuple(self._parts)

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


def _encode(lines: Sequence[str]) -> bytes:
    return "\r\n".join([*lines, ""]).encode()


def format_lines(columns: Sequence[Sequence[str]], numeric: Collection[int] = ()) -> list[str]:
    """
    Return rows as lines of CSV without their ends, as ``csv.writer`` formats them, but in a third of its time.

    :param columns: the cells of all rows, by column. A table with one column has no empty cell.
    :param numeric: the places of columns with only numbers in digits and a point.
    """
    quoted = [cells if place in numeric else _quote(cells) for place, cells in enumerate(columns)]
    return list(map(",".join, zip(*quoted, strict=True)))


def _quote(cells: Sequence[str]) -> Sequence[str]:
    text = "\0".join(cells)
    special = [each for each in ',"\n\r' if each in text]
    if not special:
        return cells
    if special == [","]:
        return [f'"{cell}"' if "," in cell else cell for cell in cells]
    return [
        '"' + cell.replace('"', '""') + '"' if "," in cell or '"' in cell or "\n" in cell or "\r" in cell else cell
        for cell in cells
    ]
