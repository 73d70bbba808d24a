"""Reading a source: gzip, encoding, header and records."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["CsvSource", "Source", "open_source"]

#: Maximum number of characters in a record. An importable row has at most half as many, so that a row that is only too
#: large for a part is not mistaken for a file without line breaks.
RECORD_MAX_CHARACTERS = 2 * IMPORT_FILE_MAX_BYTES

#: Maximum number of cells in a record. A record with fewer characters cannot have more cells, so they are not counted.
RECORD_MAX_CELLS = 1_000_000

#: Maximum number of columns in a source. The import template has 34.
SOURCE_MAX_COLUMNS = 1_000

#: Number of bytes that are requested from the source at a time.
CHUNK_BYTES = 64 * 1024


class Source(Protocol):
    """A file opened in binary mode for reading, or the body of a response from S3."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes: at most ``size``, and at least one unless the source has ended."""


def open_source(source: Source) -> io.BufferedReader:
    """
    Return a source as a stream, decompressed if it is a gzip file.

    :param source: the source, at its beginning.
    :raises ImportFileError: the source is empty, UTF-16 or UTF-32 text, or an old or encrypted Excel file.
    """
    stream: io.BufferedReader = io.BufferedReader(_RawSource(source), CHUNK_BYTES)
    if stream.peek(2).startswith(b"\x1f\x8b"):
        stream = io.BufferedReader(_RawSource(gzip.GzipFile(fileobj=stream)), CHUNK_BYTES)
    beginning = stream.peek(8)
    if not beginning:
        raise ImportFileError("The file is empty. Check that the export worked and that this is the right file.")
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ImportFileError("The file starts with the byte order mark of UTF-16 or UTF-32. Save it as CSV in UTF-8.")
    if beginning.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise ImportFileError(
            "The file is an old Excel file (.xls) or has a password. Save it as CSV in UTF-8 or, if it is an RVTools "
            "export, as .xlsx without a password."
        )
    return stream


class _RawSource(io.RawIOBase):
    """A source as a raw stream, whose reads are only short at the end, so that ``peek`` sees enough bytes."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        filled = 0
        while filled < len(buffer) and (content := self._source.read(len(buffer) - filled)):
            buffer[filled : filled + len(content)] = content
            filled += len(content)
        return filled


class CsvSource:
    """
    The header and the records of a CSV file.

    :param stream: the file, at its beginning.
    :ivar header: the cells of the first line that is not empty.
    :ivar lines: the lines of the current record as they were read.
    :raises ImportFileError: the file has no header, or it cannot be read.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self.lines: list[str] = []
        if stream.peek(3).startswith(codecs.BOM_UTF8):
            stream.read(3)
        # Strict, because after a misplaced quote it is unknown where the next row starts.
        self._reader = csv.reader(self._read_lines(io.TextIOWrapper(stream, "utf-8", newline="")), strict=True)
        self.header = self._read_header()

    def __iter__(self) -> Iterator[list[str]]:
        """
        Yield the cells of each record, and an empty list for an empty line.

        :raises csv.Error: a cell of one record is too long. Iterate again to continue after that record.
        :raises ImportFileError: the rest of the file cannot be read.
        """
        self.lines.clear()
        try:
            for cells in self._reader:
                yield cells
                self.lines.clear()
        except csv.Error as error:
            if explained := self._explain(error):
                raise explained from error
            raise

    @property
    def line(self) -> int:
        """Number of the current record's first line; the first line of the file is 1."""
        return self._reader.line_num - len(self.lines) + 1

    @property
    def text(self) -> str:
        """The current record as it was read."""
        return "".join(self.lines)

    def _explain(self, error: csv.Error) -> ImportFileError | None:
        """Return an error if reading cannot continue after this record; None if only a cell of it is too long."""
        # Shorten everything except quotes, commas and line ends, so that only misplaced quotes can cause an error.
        short = re.sub(r'[^",\r\n]+', "_", self.text)
        try:
            list(csv.reader([short], strict=True))
        except csv.Error:
            if "field limit" in str(error):
                return ImportFileError(
                    f"A cell of the row on line {self.line} exceeds {csv.field_size_limit():,} characters and "
                    f"continues after line {self._reader.line_num}. Check that its opening quote is closed."
                )
            return ImportFileError(
                f"The row on line {self.line} cannot be read after line {self._reader.line_num}: {error}. Check that "
                "each quote that opens a cell is closed, and that quotes inside a cell are doubled."
            )
        return None

    def _read_lines(self, file: io.TextIOWrapper) -> Iterator[str]:
        lines = self.lines
        size = commas = 0
        try:
            for line in iter(partial(file.readline, RECORD_MAX_CHARACTERS), ""):
                if lines:
                    # A string needs about 60 bytes of memory in addition to its characters.
                    size += len(line) + 60
                else:
                    size, commas = len(line), 0
                if "\0" in line:
                    raise ImportFileError(
                        f"Line {self._reader.line_num + 1} contains a NUL byte, so the file is not UTF-8 text. Save it "
                        "as CSV in UTF-8."
                    )
                lines.append(line)
                if size > RECORD_MAX_CELLS:
                    commas += line.count(",")
                    if size >= RECORD_MAX_CHARACTERS or commas > RECORD_MAX_CELLS:
                        raise ImportFileError(
                            f"The row on line {self.line + 1} has at least {sum(map(len, lines)):,} characters, too "
                            "many for one server. Check that each server has its own line and all quotes are closed."
                        )
                yield line
        except UnicodeDecodeError as error:
            # The decoder's buffer starts on the line after the last one that was read.
            line_breaks = re.findall(rb"\r\n?|\n", error.object[: error.start])
            raise ImportFileError(
                f"Line {self._reader.line_num + 1 + len(line_breaks)} is not UTF-8: it contains the byte "
                f"0x{error.object[error.start]:02x}. Save the file as CSV in UTF-8."
            ) from error

    def _read_header(self) -> list[str]:
        header: list[str] = []
        error: ImportFileError | None = None
        try:
            header = next(filter(None, self), [])
        except ImportFileError as caught:
            # With another delimiter, quotes can seem misplaced; advice about the delimiter is more helpful then.
            if not isinstance(caught.__cause__, csv.Error):
                raise
            error = caught
        except csv.Error as caught:
            error = ImportFileError(f"Line {self.line} is not a header: {caught}.")
        unquoted = re.sub(r'"[^"]*"', "", self.text)
        for name, delimiter in (("semicolons", ";"), ("tabs", "\t")):
            if unquoted.count(delimiter) > unquoted.count(","):
                raise ImportFileError(
                    f"The header on line {self._reader.line_num} separates its columns with {name}. Save the file as "
                    "CSV with commas."
                )
        if error:
            raise error
        if not header:
            raise ImportFileError("The file contains only empty lines. Check that the export worked.")
        if len(header) > SOURCE_MAX_COLUMNS:
            raise ImportFileError(
                f"The header on line {self._reader.line_num} has {len(header):,} columns; the maximum is "
                f"{SOURCE_MAX_COLUMNS:,}. Check that each server has its own line."
            )
        return header
