"""
The child process that reads a workbook for :class:`~airflow_provider_ads.inventory.workbook.WorkbookTable`.

A workbook of 5 kB can make calamine allocate all memory and abort. Here, that only ends a process that has limits.
It is run as a script and imports nothing else from the package. It writes JSON lines: the sheets with their first
rows, then, once the parent has written the index of a sheet, the rows of that sheet, then ``["end"]``. Instead of any
of these, it can write ``["error", reason]`` or ``["refused", message]``.

Known limit: error cells of .xls and .xlsb files are read as empty, because calamine does not return them and only XML
is searched for them. The same applies to their formulas without a saved value.
"""

from __future__ import annotations

import datetime
import json
import posixpath
import re
import resource
import sys
import xml.parsers.expat
import zipfile
from collections.abc import Iterator
from typing import IO, Any

__all__ = ["HEADER_ROWS", "ROW_MAX_CHARACTERS", "main"]

#: Number of rows in which the header is searched.
HEADER_ROWS = 20

#: Maximum number of characters in a row. An importable row cannot have more bytes.
ROW_MAX_CHARACTERS = 10_000_000

#: Limits of this process. 25,000 rows with 34 columns need a tenth of the memory and two seconds.
MEMORY_BYTES = 1_000_000_000
CPU_SECONDS = 120

#: Number of characters that are collected before they are written.
BATCH_CHARACTERS = 64 * 1024

#: Excel keeps 15 digits of a number.
INEXACT = 10**15

#: Codes of cells whose content is probably not what was typed.
DATE, DIGITS = 0, 1

#: Cells of an .xlsx sheet that calamine reads as empty: formulas and errors. Other XML than this is not parsed.
_NEEDS_SCAN = re.compile(rb"<(?:\w+:)?f[\s/>]|\bt\s*=\s*[\"']e[\"']")


def main() -> None:
    """Read the workbook whose path and sheet are in the arguments; an empty sheet name means all visible sheets."""
    for kind, limit in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS)):
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))
    # A crash must not leave a core dump of a gigabyte.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _read(sys.argv[1], sys.argv[2])
    except BrokenPipeError:
        sys.exit(1)
    except _UnsavedError as error:
        _send("refused", str(error))
    except _ReadError as error:
        _send("error", str(error))
    except MemoryError:
        _send("error", f"It needs more than {MEMORY_BYTES:,} bytes of memory.")
    # Panics of the Rust library are not derived from Exception.
    except BaseException as error:
        _send("error", f"{type(error).__name__}: {str(error)[:200]}.")


class _ReadError(Exception):
    """The workbook cannot be read; the message is a sentence."""


class _UnsavedError(Exception):
    """Formulas have no saved values; the message is complete."""


def _send(*message: object) -> None:
    sys.stdout.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _read(path: str, sheet_name: str) -> None:
    from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

    with open(path, "rb") as file:
        workbook = CalamineWorkbook.from_filelike(file)
        metadata = [sheet for sheet in workbook.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        sheets = [(sheet.name, sheet.visible == SheetVisibleEnum.Visible) for sheet in metadata]
        _send("sheets", sheets)
        loaded: tuple[str, Any] = ("", None)
        for name, visible in sheets:
            if name == sheet_name or (not sheet_name and visible):
                # Release the previous sheet before the next one is read.
                loaded = ("", None)
                loaded = (name, workbook.get_sheet_by_name(name))
                _send("rows", list(_rows(loaded[1], {}, HEADER_ROWS)))
        choice = sys.stdin.readline()
        if not choice:
            return
        name = sheets[int(choice)][0]
        errors = _scan(file, name)
        sheet = loaded[1] if loaded[0] == name else workbook.get_sheet_by_name(name)
    batch: list[object] = []
    size = 0
    for row in _rows(sheet, errors):
        batch.append(row)
        size += sum(map(len, row[1]))
        if size > BATCH_CHARACTERS or len(batch) == 1_000:
            _send("rows", batch)
            batch, size = [], 0
    _send("rows", batch)
    _send("end")


def _rows(sheet: Any, errors: dict[int, dict[int, str]], limit: int | None = None) -> Iterator[list[Any]]:
    """Yield number and cells of each row that is not empty, without empty cells at its end."""
    suspects: list[int] = []

    def text(value: Any) -> str | list[str | int]:
        kind = type(value)
        if kind is bool:
            return "TRUE" if value else "FALSE"
        if kind is int or kind is float:
            if kind is float and not value.is_integer():
                return repr(value)
            if -INEXACT < value < INEXACT:
                return str(int(value))
            suspects.append(DIGITS)
            return [str(int(value)), DIGITS]
        suspects.append(DATE)
        if kind is datetime.timedelta:
            minutes, seconds = divmod(int(value.total_seconds()), 60)
            return [f"{minutes // 60}:{minutes % 60:02}:{seconds:02}", DATE]
        return [value.isoformat(), DATE]

    # Before 0.7, python-calamine fails on an empty sheet.
    for number, row in enumerate(sheet.iter_rows() if sheet.height else (), 1):
        if limit and number > limit:
            return
        cells: list[Any] = [cell if type(cell) is str else text(cell) for cell in row]
        for place, error in errors.get(number, {}).items():
            cells += [""] * (place + 1 - len(cells))
            cells[place] = cells[place] or error
        while cells and not cells[-1]:
            cells.pop()
        if not any(not isinstance(cell, str) or cell.strip() for cell in cells):
            continue
        if sum(map(len, cells)) > ROW_MAX_CHARACTERS:
            raise _ReadError(f"Row {number:,} has more than {ROW_MAX_CHARACTERS:,} characters.")
        yield [number, cells, True] if suspects else [number, cells]
        suspects.clear()


def _scan(file: IO[bytes], sheet: str) -> dict[int, dict[int, str]]:
    """
    Return the error cells of a sheet, which calamine reads as empty, by row and column.

    :raises _ReadError: a formula has no value, which calamine reads as empty too.
    """
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return {}
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        if "content.xml" in names:
            return _OpenDocumentScan(sheet).run(archive, "content.xml")
        if "xl/workbook.xml" not in names:
            return {}
        member = _find_member(archive, sheet)
        if member not in names:
            raise _ReadError(f"The content of sheet {sheet!r} is missing.")
        with archive.open(member) as content:
            tail = content.read(4)
            # Other encodings than UTF-8 hide the cells from the pattern.
            found = b"\0" in tail or tail.startswith((b"\xfe\xff", b"\xff\xfe"))
            while not found and (chunk := content.read(1024 * 1024)):
                found = bool(_NEEDS_SCAN.search(tail + chunk))
                tail = chunk[-64:]
        return _ExcelScan(sheet).run(archive, member) if found else {}


def _find_member(archive: zipfile.ZipFile, sheet: str) -> str:
    ids: dict[str, str] = {}
    targets: dict[str, str] = {}

    def on_sheet(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "sheet":
            ids[attributes.get("name", "")] = next((v for k, v in attributes.items() if _local(k) == "id"), "")

    def on_target(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "Relationship":
            targets[attributes.get("Id", "")] = attributes.get("Target", "")

    _parse(archive, "xl/workbook.xml", on_sheet)
    _parse(archive, "xl/_rels/workbook.xml.rels", on_target)
    return posixpath.normpath(posixpath.join("/xl", targets.get(ids.get(sheet, ""), ""))).lstrip("/")


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _parse(archive: zipfile.ZipFile, member: str, on_start: Any, on_end: Any = None, on_text: Any = None) -> None:
    def on_document_type(*_: object) -> None:
        # Entities can expand without limit, and spreadsheet programs never write a document type declaration.
        raise _ReadError("It contains a document type declaration, which no spreadsheet program writes.")

    parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    parser.CharacterDataHandler = on_text
    parser.StartDoctypeDeclHandler = on_document_type
    with archive.open(member) as content:
        parser.ParseFile(content)


class _Scan:
    def __init__(self, sheet: str) -> None:
        self.sheet = sheet
        self.errors: dict[int, dict[int, str]] = {}
        self.row = self.column = 0
        self.first_missing = ""
        self.missing = 0

    def run(self, archive: zipfile.ZipFile, member: str) -> dict[int, dict[int, str]]:
        _parse(archive, member, self.on_start, self.on_end, self.on_text)
        if self.missing:
            more = f" So have {self.missing - 1:,} other cells." if self.missing > 1 else ""
            raise _UnsavedError(
                f"Cell {self.first_missing} of sheet {self.sheet!r} has a formula without a saved value.{more} Open "
                "the file in Excel and save it, which calculates the values."
            )
        return self.errors

    def on_missing(self) -> None:
        self.missing += 1
        if self.missing == 1:
            letters, number = "", self.column
            while number:
                number, letter = divmod(number - 1, 26)
                letters = chr(ord("A") + letter) + letters
            self.first_missing = f"{letters}{self.row}"

    def on_start(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def on_end(self, name: str) -> None:
        pass

    def on_text(self, text: str) -> None:
        pass


class _ExcelScan(_Scan):
    def __init__(self, sheet: str) -> None:
        super().__init__(sheet)
        self.kind = self.value = ""
        self.is_formula = self.in_value = False

    def on_start(self, name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        if element == "row":
            self.row, self.column = int(attributes.get("r", self.row + 1)), 0
        elif element == "c":
            self.column += 1
            if reference := re.fullmatch(r"([A-Z]{1,3})[0-9]+", attributes.get("r", "")):
                self.column = 0
                for letter in reference[1]:
                    self.column = self.column * 26 + ord(letter) - ord("A") + 1
            self.kind, self.value, self.is_formula = attributes.get("t", "n"), "", False
        elif element == "f":
            self.is_formula = True
        elif element == "v":
            self.in_value = True

    def on_end(self, name: str) -> None:
        element = _local(name)
        if element == "v":
            self.in_value = False
        elif element == "c":
            if self.kind == "e" and self.value:
                self.errors.setdefault(self.row, {})[self.column - 1] = self.value
            # The result of a formula can be an empty string.
            elif self.is_formula and not self.value and self.kind != "str":
                self.on_missing()

    def on_text(self, text: str) -> None:
        if self.in_value:
            self.value += text


class _OpenDocumentScan(_Scan):
    in_sheet = False
    row_repeated = 1

    def on_start(self, name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        local = {_local(key): value for key, value in attributes.items()} if element.startswith("table") else {}
        if element == "table":
            self.in_sheet = local.get("name") == self.sheet
        elif element == "table-row":
            self.row, self.column = self.row + self.row_repeated if self.in_sheet else 0, 0
            self.row_repeated = int(local.get("number-rows-repeated", 1))
        elif element == "table-cell" and self.in_sheet:
            self.column += 1
            if "formula" in local and "value-type" not in local:
                self.on_missing()
            self.column += int(local.get("number-columns-repeated", 1)) - 1
        elif element == "covered-table-cell":
            pass


if __name__ == "__main__":
    main()
