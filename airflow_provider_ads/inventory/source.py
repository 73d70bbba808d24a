"""Reading of sources: gzip, files that are not tables, and text tables of every dialect."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import accumulate, chain, islice
from typing import Any, Protocol

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.dialect import (
    DELIMITERS,
    choose_codec,
    detect_encoding,
    detect_layout,
    excerpt,
    suggest_encodings,
)
from airflow_provider_ads.inventory.table import (
    HEADER_ROWS,
    MAX_COLUMNS,
    AmbiguousFileError,
    IsHeader,
    Question,
    Record,
    is_title,
    unique_headers,
)
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["Source", "TextTable", "open_source"]

#: Maximum number of characters in a record. An importable row has at most half as many, so a row that is merely too
#: large for a part is not mistaken for a file without line breaks.
RECORD_MAX_CHARACTERS = 2 * IMPORT_FILE_MAX_BYTES

#: Maximum number of cells in a record. A record with fewer characters cannot have more cells, so they are not counted.
RECORD_MAX_CELLS = 1_000_000

#: Number of bytes that are requested from the source at a time.
CHUNK_BYTES = 64 * 1024

#: Number of lines from which the dialect is detected. Cells can contain line breaks, so there are fewer rows.
SAMPLE_LINES = 200

#: Maximum number of characters from which the dialect is detected.
SAMPLE_MAX_CHARACTERS = 1_000_000

#: Signatures of files that are not tables: the file, and what to do. ZIP files and old Excel files are not among them.
_NOT_TABLES = {
    b"\x1f\x8b": ("a gzip file inside a gzip file", "Compress it only once"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "Unpack it, and upload the file that it contains"),
    b"Rar!\x1a\x07": ("a RAR archive", "Unpack it, and upload the file that it contains"),
    b"BZh": ("compressed with bzip2", "Decompress it, or compress it with gzip instead"),
    b"\xfd7zXZ\x00": ("compressed with xz", "Decompress it, or compress it with gzip instead"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "Decompress it, or compress it with gzip instead"),
    b"%PDF-": ("a PDF document", "Export the inventory as CSV or as an Excel file"),
    b"PAR1\x15": ("a Parquet file", "Export the inventory as CSV"),
    b"SQLite format 3\x00": ("an SQLite database", "Export the inventory as CSV"),
}

#: Beginnings of texts that are not tables. A CSV header can begin with a bracket, but hardly with these characters.
_NOT_TEXT_TABLES = {
    r"\{\s*[\"}]|\[\s*[\[{\"]": ("JSON", "Export the inventory as CSV"),
    r"<\?xml|<(ss:)?workbook\b": (
        "XML, even if its name ends in .xls",
        "If a spreadsheet program can open it, save it as .xlsx or as CSV; otherwise export the inventory as CSV",
    ),
    r"<!|<(html|head|body|meta|style|table|div)\b": (
        "HTML, even if its name ends in .xls or .csv",
        "If it is a table, open it with a spreadsheet program and save it as .xlsx or as CSV. If it is a page, such as "
        "a login form or an error, repeat the export",
    ),
}

#: First lines that only instruct spreadsheets, and that PowerShell's Export-Csv writes.
_PREAMBLE = re.compile(r'("?)sep=(?P<delimiter>[^\r\n"])\1[\r\n]*|#TYPE [^\r\n]+[\r\n]*', re.IGNORECASE)


class Source(Protocol):
    """A file opened in binary mode for reading, or the body of a response from S3."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes: at most ``size``, and at least one unless the source has ended."""


def open_source(source: Source) -> io.BufferedReader:
    """
    Return a source as a stream, decompressed if it is a gzip file.

    :param source: the source, at its beginning.
    :raises ImportFileError: the source is empty, or it is recognized as something that is not a table. ZIP files and
        old Excel files are accepted.
    """
    stream: io.BufferedReader = io.BufferedReader(_RawSource(source), CHUNK_BYTES)
    if stream.peek(2).startswith(b"\x1f\x8b"):
        stream = io.BufferedReader(_RawSource(gzip.GzipFile(fileobj=stream)), CHUNK_BYTES)
    beginning = stream.peek(4096)[:4096]
    if not beginning:
        raise ImportFileError("The file is empty. Check that the export worked and that this is the right file.")
    text = beginning.decode(detect_encoding(beginning), "replace").lstrip("\ufeff \t\r\n")
    for kind, advice in (
        *(found for signature, found in _NOT_TABLES.items() if beginning.startswith(signature)),
        *(found for pattern, found in _NOT_TEXT_TABLES.items() if re.match(pattern, text, re.IGNORECASE)),
    ):
        raise ImportFileError(f"The file is {kind}. {advice}.")
    return stream


class _RawSource(io.RawIOBase):
    """A source as a raw stream that reads short only at its end, so that ``peek`` returns enough bytes."""

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


class TextTable:
    """
    A table in a text file: CSV or a similar format. Implements :class:`~airflow_provider_ads.inventory.table.Table`.

    :param stream: the file, at its beginning.
    :param is_header: returns True for the cells of a row that can be the header. The first such row among the first
        20 rows is the header. Without one, it is the first row, so that the caller can report what it lacks.
    :param delimiter: the character that separates the cells; None to detect commas, semicolons, tabs or pipes.
    :param encoding: the encoding; None to detect UTF-8 or UTF-16.
    :ivar header: the headers, in which a repeated ``IP`` is ``IP.1``, as in pandas.
    :ivar skipped: the rows above the header, as text.
    :ivar description: how the file was read, such as ``CSV in UTF-8 with semicolons``.
    :ivar delimiter: the character that separates the cells.
    :raises ~airflow_provider_ads.inventory.table.AmbiguousFileError: several delimiters fit, or the encoding
        is unknown. Iterating can raise it too.
    :raises ImportFileError: the file has no header, it cannot be read, or a parameter is wrong.
    """

    def __init__(
        self,
        stream: io.BufferedReader,
        is_header: IsHeader,
        delimiter: str | None = None,
        encoding: str | None = None,
    ) -> None:
        beginning = stream.peek(1)
        self._has_mark = beginning.startswith(codecs.BOM_UTF8)
        self._codec = choose_codec(encoding, beginning)
        self._encoding = encoding
        self._encoding_name = encoding or re.sub("-[bl]e$", "", self._codec).upper()
        self._delimiter = delimiter
        # The lines from the current record on that were read, and the numbers of lines before them and the record.
        self._lines: list[str] = []
        self._lines_dropped = self._start = 0
        # Number of lines above the first one that the CSV reader gets.
        self._preamble_lines = 0
        self._skipped: list[str] = []
        batches = self._read_lines(stream)
        sample = list(self._take_sample(batches))
        self._delimiter, titles = detect_layout(_shorten(chain.from_iterable(sample)), is_header, self._delimiter)
        # Strict, because after a misplaced quote it is unknown where the next row starts.
        self._reader = csv.reader(
            chain.from_iterable(self._keep_lines(chain(sample, batches))), delimiter=self._delimiter, strict=True
        )
        self.header: list[str] = self._read_header(titles)
        self.skipped: list[str] = self._skipped
        delimiter_name = DELIMITERS.get(self._delimiter, f"the delimiter {quote(self._delimiter)}")
        self.delimiter = self._delimiter
        self.description = f"CSV in {self._encoding_name} with {delimiter_name}"

    def __iter__(self) -> Iterator[Record]:
        """
        Yield the records below the header, without empty rows.

        :raises ~airflow_provider_ads.inventory.table.AmbiguousFileError: the file is not UTF-8 after all.
        :raises ImportFileError: the rest of the file cannot be read.
        """
        # This loop takes most of the time that reading a file takes.
        make_record = tuple.__new__
        reader, first_line = self._reader, self._preamble_lines + 1
        while True:
            start = self._start
            try:
                for cells in reader:
                    self._start = end = reader.line_num
                    if cells and (cells[0].strip() or any(map(str.strip, cells))):
                        lines, place = self._lines, start - self._lines_dropped
                        text = lines[place] if end - start == 1 else "".join(lines[place : place + end - start])
                        yield make_record(Record, (start + first_line, cells, text, ""))
                    start = end
                return
            except csv.Error as error:
                end = reader.line_num
                text = "".join(self._lines[start - self._lines_dropped : end - self._lines_dropped])
                if explained := self._explain(error, text):
                    raise explained from error
                self._start = end
                yield Record(start + first_line, [], text, f"A cell exceeds {csv.field_size_limit():,} characters.")

    def _explain(self, error: csv.Error, text: str) -> ImportFileError | None:
        """Return an error if reading cannot continue after this record; None if only a cell of it is too long."""
        delimiter = self._delimiter or ","
        # Shorten everything except quotes, delimiters and line ends, so that only misplaced quotes can cause an error.
        short = re.sub(rf'[^"{re.escape(delimiter)}\r\n]+', "_" if delimiter != "_" else ".", text)
        line, last = self._start + self._preamble_lines + 1, self._reader.line_num + self._preamble_lines
        try:
            list(csv.reader([short], delimiter=delimiter, strict=True))
        except csv.Error:
            if "field limit" in str(error):
                return ImportFileError(
                    f"A cell of the row on line {line} exceeds {csv.field_size_limit():,} characters and "
                    f"continues after line {last}. Check that its opening quote is closed."
                )
            return ImportFileError(
                f"The row on line {line} cannot be read after line {last}: {error}. Check that "
                "each quote that opens a cell is closed, and that quotes inside a cell are doubled."
            )
        return None

    def _read_lines(self, stream: io.BufferedReader) -> Iterator[list[str]]:
        """Yield the lines of the file in lists. A line that exceeds the maximum size of a record is cut."""
        decode = codecs.getincrementaldecoder(self._codec)().decode
        number = 1
        parts: list[str] = []
        held = ""
        foreign: tuple[int, str] | None = None
        has_marks = False
        for chunk in chain(iter(partial(stream.read, CHUNK_BYTES), b""), [b""]):
            try:
                text = held + decode(chunk, not chunk)
            except UnicodeDecodeError as error:
                readable = held + error.object[: error.start].decode(self._codec, "replace")
                self._check_nul(held + error.object.decode(self._codec, "replace"), number)
                rest = iter(partial(stream.read, CHUNK_BYTES), b"")
                foreign = foreign or _find_non_ascii(readable, number)
                raise self._explain_encoding(error, number + _count_line_ends(readable), foreign, rest) from error
            self._check_nul(text, number)
            has_marks = has_marks or "\ufeff" in text
            foreign = foreign or _find_non_ascii(text, number)
            # This carriage return and the next chunk's line feed can be one line end.
            held = "\r" if chunk and text.endswith("\r") else ""
            lines = io.StringIO(text[: len(text) - len(held)], newline="").readlines()
            unfinished = [lines.pop()] if lines and not lines[-1].endswith(("\r", "\n")) else []
            if lines:
                lines[0] = "".join([*parts, lines[0]])
                parts.clear()
            parts += unfinished
            if parts and (not chunk or sum(map(len, parts)) >= RECORD_MAX_CHARACTERS):
                lines.append("".join(parts))
                parts.clear()
            if lines:
                # Files that were joined have a byte order mark at the beginning of each.
                yield [line.removeprefix("\ufeff") for line in lines] if has_marks else lines
                number += len(lines)

    def _check_nul(self, text: str, number: int) -> None:
        if "\0" in text:
            number += _count_line_ends(text[: text.index("\0")])
            raise ImportFileError(
                f"Line {number} contains a NUL byte, so the file is not {self._encoding_name} text. Save it as CSV in "
                "UTF-8."
            )

    def _explain_encoding(
        self, error: UnicodeDecodeError, number: int, foreign: tuple[int, str] | None, rest: Iterator[bytes]
    ) -> ImportFileError:
        content, position = error.object, error.start
        problem = f"Line {number} is not {self._encoding_name}: it contains the byte 0x{content[position]:02x}"
        if self._encoding:
            return ImportFileError(
                f"{problem}. Correct encoding={quote(self._encoding)}, or remove it to detect the encoding."
            )
        if self._codec != "utf-8" or self._has_mark:
            return ImportFileError(f"{problem}, so the file is damaged or mixes encodings. Save it as CSV in UTF-8.")
        start = max(content.rfind(b"\n", 0, position), content.rfind(b"\r", 0, position)) + 1
        readings = suggest_encodings(content[start:], position - start, rest)
        listed = "; ".join(f"{encoding} reads {reading}" for encoding, reading in readings.items())
        mixed = f" Line {foreign[0]} is UTF-8, though: {quote(foreign[1])} would change too." if foreign else ""
        return AmbiguousFileError(
            [
                Question(
                    f"{problem}. Set the encoding in which its text is right: {listed}. If none is right, save the "
                    f"file as CSV in UTF-8.{mixed}",
                    tuple(f'encoding="{encoding}",' for encoding in readings),
                )
            ]
        )

    def _take_sample(self, batches: Iterator[list[str]]) -> Iterator[list[str]]:
        """Yield the first lines below the preamble, from which the dialect is detected."""
        filled = size = 0
        for lines in batches:
            if not filled:
                self._skip_preamble(lines)
            if lines:
                filled += sum(map(bool, map(str.strip, lines)))
                size += sum(map(len, lines))
                yield lines
            if filled >= SAMPLE_LINES or size >= SAMPLE_MAX_CHARACTERS:
                return

    def _skip_preamble(self, lines: list[str]) -> None:
        """Remove the first lines if they are empty or not part of the table."""
        removed = 0
        for line in lines:
            if len(self._skipped) < HEADER_ROWS and (preamble := _PREAMBLE.fullmatch(line)):
                self._skipped.append(line.rstrip("\r\n"))
                self._delimiter = self._delimiter or preamble["delimiter"]
            elif line.strip():
                break
            removed += 1
        del lines[:removed]
        self._preamble_lines += removed

    def _keep_lines(self, batches: Iterable[list[str]]) -> Iterator[list[str]]:
        """Yield the lines, keep those of the current record, and limit its size."""
        start, measured, characters, cells = -1, 0, 0, 0
        for lines in batches:
            record = self._lines[self._start - self._lines_dropped :]
            if start != self._start:
                start, measured, characters, cells = self._start, 0, 0, 0
            # Only the first of these lines can be longer than a chunk.
            for line in (*record[measured:], lines[0]):
                characters += len(line)
                cells += line.count(self._delimiter or ",")
            measured = len(record) + 1
            # A string needs about 60 bytes of memory in addition to its characters.
            if characters + 60 * measured >= RECORD_MAX_CHARACTERS or cells > RECORD_MAX_CELLS:
                raise ImportFileError(
                    f"The row on line {start + self._preamble_lines + 1} has at least {characters:,} characters, too "
                    "many for one server. Check that each server has its own line and all quotes are closed."
                )
            self._lines_dropped = self._start
            self._lines = record + lines
            yield lines

    def _read_header(self, titles: int) -> list[str]:
        records = iter(self)
        above = list(islice(records, titles))
        header = next(records, None)
        if header is None:
            raise ImportFileError("The file contains only empty lines. Check that the export worked.")
        if header.problem:
            raise ImportFileError(f"The header on line {header.line} cannot be read: {header.problem}")
        for record in above:
            if not is_title(record.cells, header.cells):
                raise ImportFileError(
                    f"The header is on line {header.line}, but line {record.line} above it has as many cells. Delete "
                    "the lines above the header."
                )
            self._skipped.append((record.text or "").rstrip("\r\n"))
        if len(header.cells) > MAX_COLUMNS:
            raise ImportFileError(
                f"The header on line {header.line} has {len(header.cells):,} columns; the maximum is "
                f"{MAX_COLUMNS:,}. Check that each server has its own line."
            )
        return unique_headers(header.cells)


def _shorten(lines: Iterable[str]) -> list[str]:
    """Return only as many lines as can be read with each delimiter in a reasonable time."""
    sizes = accumulate(map(len, lines := list(lines)))
    return lines[: sum(size <= SAMPLE_MAX_CHARACTERS for size in sizes)]


def _find_non_ascii(text: str, number: int) -> tuple[int, str] | None:
    """Return the line number and an excerpt of the first character that is not ASCII."""
    if text.isascii():
        return None
    place = next(place for place, character in enumerate(text) if not character.isascii())
    return number + _count_line_ends(text[:place]), excerpt(text, place)


def _count_line_ends(text: str) -> int:
    return len(re.findall(r"\r\n?|\n", text))
