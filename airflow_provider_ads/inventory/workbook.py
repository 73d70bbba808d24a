"""Reading workbooks: .xlsx, .xlsm, .xls, .xlsb and .ods."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from airflow_provider_ads.archives import ArchiveError, open_archive
from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.read_workbook import ROW_MAX_CHARACTERS
from airflow_provider_ads.inventory.table import (
    MAX_COLUMNS,
    AmbiguousFileError,
    IsHeader,
    NumberCell,
    Question,
    Record,
    SuspectCell,
    find_header,
    unique_headers,
)
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["WorkbookTable", "is_workbook"]

#: Reasons why cells are suspect, by the codes of the child process; True for dates and times.
_REASONS = (
    ("is a date or a time, which the spreadsheet has made from what was typed", True),
    ("has 16 or more digits, of which the spreadsheet keeps only 15", False),
)

#: Maximum number of bytes in a message of the child process. JSON needs at most six for a character.
MESSAGE_MAX_BYTES = 8 * ROW_MAX_CHARACTERS


def is_workbook(file: Path) -> bool:
    """
    Return True for a workbook, and for a file that is not a ZIP file, which might be one.

    :raises ImportFileError: the file begins like a ZIP file, but is damaged.
    """
    with file.open("rb") as stream:
        try:
            with open_archive(stream) as archive:
                return not {"[Content_Types].xml", "content.xml"}.isdisjoint(archive.namelist())
        except ArchiveError as error:
            stream.seek(0)
            if stream.read(2) == b"PK":
                raise ImportFileError(
                    "The file is a truncated or damaged ZIP file or workbook. Export it and upload it again."
                ) from error
            return True


class WorkbookTable:
    """
    A sheet of a workbook. It is read in a child process, because even a small workbook can exhaust the memory or crash
    the process.

    :param file: the workbook.
    :param is_header: the function that recognizes the header.
    :param sheet_name: the sheet; None for the visible sheet that contains a header. Hidden sheets need their name.
    :ivar header: the headers, in which a repeated ``IP`` is ``IP.1`` and an empty third one is ``Unnamed: 2``.
    :ivar skipped: the rows above the header, as text.
    :ivar description: the sheet, for the report.
    :ivar sheet_name: the name of the sheet.
    :ivar delimiter: a comma, for a file with rows of the sheet.
    :ivar warnings: facts that the user might not expect, as sentences, once the records were read.
    :raises ~airflow_provider_ads.inventory.table.AmbiguousFileError: several sheets contain a header.
    :raises ImportFileError: the workbook cannot be read, has no such sheet, or no sheet with rows.
    """

    def __init__(self, file: Path, is_header: IsHeader, sheet_name: str | None = None) -> None:
        if importlib.util.find_spec("python_calamine") is None:
            raise ImportFileError(
                "The file is a workbook, which needs python-calamine. Install airflow-provider-ads[workbook], or save "
                "the file as CSV in UTF-8."
            )
        self._file = file
        self.warnings: list[str] = []
        reader = _Reader(file, sheet_name or "")
        self._reader: _Reader | None = reader
        try:
            self._choose(reader, is_header, sheet_name)
        except BaseException:
            reader.close()
            raise

    def __iter__(self) -> Iterator[Record]:
        """
        Yield the records below the header, without empty rows.

        :raises ImportFileError: the rest of the sheet cannot be read.
        """
        # Only the first iteration can use the process that has found the header.
        reader, self._reader = self._reader, None
        if reader is None:
            reader = _Reader(self._file, self.sheet_name)
            reader.receive_first_rows(1)
        width = len(self.header)
        try:
            for number, cells in reader.read_rows(self._sheet, self._header_row, width):
                if number > self._header_row:
                    yield Record(number, cells + [""] * (width - len(cells)))
            self.warnings = reader.warnings
        finally:
            reader.close()

    def _choose(self, reader: _Reader, is_header: IsHeader, sheet_name: str | None) -> None:
        sheets = reader.sheets
        names = [name for name, _ in sheets]
        if sheet_name is not None and sheet_name not in names:
            raise ImportFileError(f"The workbook has no sheet {quote(sheet_name)}. {_list_sheets(sheets)}")
        searched = [
            place
            for place, (name, visible) in enumerate(sheets)
            if (visible if sheet_name is None else name == sheet_name)
        ]
        rows = dict(zip(searched, reader.receive_first_rows(len(searched)), strict=True))
        rows = {place: first for place, first in rows.items() if first}
        fitting = [
            place for place, first in rows.items() if find_header([cells for _, cells in first], is_header) is not None
        ]
        if len(fitting) > 1:
            raise AmbiguousFileError(
                [
                    Question(
                        f"{len(fitting)} sheets of the workbook contain a header. Choose one.",
                        tuple(f"sheet_name={json.dumps(names[place], ensure_ascii=False)}," for place in fitting),
                    )
                ]
            )
        if not rows:
            which = "The visible sheets are" if sheet_name is None else f"Sheet {quote(sheet_name)} is"
            raise ImportFileError(f"{which} empty in the first 20 rows. {_list_sheets(sheets)}")
        if not fitting and len(rows) > 1:
            raise ImportFileError(
                "No sheet has a header with the mapped columns in its first 20 rows. Set sheet_name, and check "
                f"column_mapping. {_list_sheets(sheets)}"
            )
        self._sheet = fitting[0] if fitting else next(iter(rows))
        self.sheet_name = names[self._sheet]
        first = rows[self._sheet]
        index = find_header([cells for _, cells in first], is_header) or 0
        self._header_row, cells = first[index]
        if len(cells) > MAX_COLUMNS:
            raise ImportFileError(
                f"The header in row {self._header_row} of sheet {quote(self.sheet_name)} has {len(cells):,} columns; "
                f"the maximum is {MAX_COLUMNS:,}. Check that each server has its own row."
            )
        self.header = unique_headers(cells)
        self.skipped = [", ".join(filter(str.strip, above)) for _, above in first[:index]]
        self.delimiter = ","
        self.description = f"sheet {quote(self.sheet_name)} of a workbook"


def _list_sheets(sheets: list[tuple[str, bool]]) -> str:
    shown = [quote(name) + ("" if visible else " (hidden)") for name, visible in sheets[:40]]
    if len(sheets) > len(shown):
        shown.append(f"and {len(sheets) - len(shown):,} more")
    return f"Its sheets are {', '.join(shown)}."


class _Reader:
    """The child process that reads a workbook."""

    def __init__(self, file: Path, sheet_name: str) -> None:
        # A script instead of a module, so that the child imports neither the package nor anything beside the script.
        script = Path(__file__).with_name("read_workbook.py")
        self._process = subprocess.Popen(  # noqa: S603 - the arguments are not a command of the user
            [sys.executable, "-P", "-X", "utf8", str(script), str(file.absolute()), sheet_name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)
        self.warnings: list[str] = []
        self._finalizer = weakref.finalize(self, _end, self._process)
        try:
            self.sheets: list[tuple[str, bool]] = [(name, visible) for name, visible in self._receive()[1]]
        except BaseException:
            self.close()
            raise

    def receive_first_rows(self, sheets: int) -> list[list[tuple[int, list[str]]]]:
        """Return the first rows of each sheet that is searched."""
        return [_decode(self._receive()[1]) for _ in range(sheets)]

    def read_rows(self, sheet: int, header_row: int, width: int) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows of a sheet, and fill merged cells below its headers."""
        try:
            self._stdin.write(b"%d %d %d\n" % (sheet, header_row, width))
            self._stdin.flush()
        except OSError:
            pass  # The process has ended; _receive() raises the reason.
        while (message := self._receive())[0] == "rows":
            yield from _decode(message[1])
        _, filled, is_binary, hidden = message
        if filled:
            self.warnings.append(
                f"Cells that are merged with the one above them, whose value they received: {filled:,}."
            )
        if hidden:
            self.warnings.append(
                f"Rows that the sheet hides, perhaps with a filter, and that are read like the others: {hidden:,}."
            )
        if is_binary:
            self.warnings.append(_BINARY)

    def close(self) -> None:
        """End the process."""
        self._finalizer()

    def _receive(self) -> Any:
        line = self._stdout.readline(MESSAGE_MAX_BYTES)
        if not line.endswith(b"\n"):
            if line:
                self._process.kill()
            raise ImportFileError(f"The workbook cannot be read: {self._explain_end()} {_ADVICE}")
        message = json.loads(line)
        if message[0] == "refused":
            raise ImportFileError(message[1])
        if message[0] == "error":
            reason = message[1]
            if "Password" in reason:
                reason = "It has a password."
            elif "Cannot detect file format" in reason:
                reason = "It is damaged, has a password, or is not a workbook."
            raise ImportFileError(f"The workbook cannot be read: {reason} {_ADVICE}")
        return message

    def _explain_end(self) -> str:
        code = self._process.wait()
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return "it took too much time or memory."
        # An allocation beyond the limit aborts the process, as does a fault of calamine.
        return "it needs too much memory, or is damaged, so that the process that read it crashed."


#: The warning about formats of which only calamine reads the cells.
_BINARY = (
    "Merged cells, errors and formulas without a saved value in a .xls or .xlsb file look empty, numbers lack what "
    "their format shows, such as % or leading zeros, and hidden rows are not counted. If the sheet has any, save it as "
    ".xlsx."
)

_ADVICE = "Save it as .xlsx without a password and without unused sheets, or as CSV in UTF-8."


def _decode(rows: list[list[Any]]) -> list[tuple[int, list[str]]]:
    return [
        (
            row[0],
            row[1] if len(row) == 2 else [_decode_cell(*cell) if type(cell) is list else cell for cell in row[1]],
        )
        for row in rows
    ]


def _decode_cell(text: str, code: int) -> str:
    return SuspectCell(text, *_REASONS[code]) if code < len(_REASONS) else NumberCell(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        try:
            if stream:
                stream.close()
        except OSError:
            pass
