"""
The child process that reads a workbook for :class:`~airflow_provider_ads.inventory.workbook.WorkbookTable`.

A workbook of 5 kB can make calamine allocate all memory and abort. Here, that only ends a process that has limits.
It is run as a script and imports nothing else from the package. It writes JSON lines: the sheets with their first
rows, then, once the parent has written the index of a sheet, the number of its header's row and the number of its
headers, the rows of that sheet, then ``["end", cells filled, is binary, rows hidden]``. Instead of any of these, it can
write ``["error", reason]`` or ``["refused", message]``.

calamine does not return errors, merged cells, number formats, hidden rows, and formulas without a saved value, so the
XML is searched for them.

Known limit: .xls and .xlsb files are binary, so they are not searched, and the parent warns about them.
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
from typing import IO, Any, NamedTuple

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

#: Codes of cells: the first two are those whose content is probably not what was typed.
DATE, DIGITS, FRACTION = 0, 1, 2

#: Cells of an .xlsx sheet that calamine reads as empty: formulas and errors. Other XML than this is not parsed. Each
#: match contains one of the literals, which are found much faster.
_NEEDS_SCAN = re.compile(rb"<(?:\w+:)?f[\s/>]|\bt\s*=\s*[\"']e[\"']")
_NEEDS_SCAN_LITERALS = (b"<f", b":f", b'"e"', b"'e'")

#: Cells of an .xlsx sheet with a number and one of some styles, and what is searched in their attributes.
_NUMBERS = r"<(?:\w+:)?c\s([^<>]*?\bs\s*=\s*[\"']({})[\"'][^<>]*)>\s*<(?:\w+:)?v>([^<]+)</"
_REFERENCE = re.compile(rb"\br\s*=\s*[\"']([A-Z]{1,3})([0-9]+)[\"']")
_HAS_TYPE = re.compile(rb"\bt\s*=\s*[\"'](?!n[\"'])")

#: A range of merged cells in an .xlsx sheet.
_MERGED = re.compile(rb"mergeCell\s[^>]*?\bref\s*=\s*[\"']([A-Z]{1,3}[0-9]+:[A-Z]{1,3}[0-9]+)[\"']")

#: The attributes of a hidden row in an .xlsx sheet. Columns can be hidden too.
_HIDDEN_ROW = re.compile(rb"<(?:\w+:)?row\s([^<>]*?\bhidden\s*=\s*[\"'](?:1|true)[\"'][^<>]*)>")
_ROW_NUMBER = re.compile(rb"\br\s*=\s*[\"']([0-9]+)[\"']")


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
        try:
            workbook = CalamineWorkbook.from_filelike(file)
        except Exception as error:
            file.seek(0)
            # calamine knows this stream only if the name of a file ends in .xlsx.
            if "EncryptedPackage".encode("utf-16-le") in file.read():
                raise _ReadError("It has a password.") from error
            raise
        metadata = [sheet for sheet in workbook.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        sheets = [(sheet.name, sheet.visible == SheetVisibleEnum.Visible) for sheet in metadata]
        _send("sheets", sheets)
        loaded: tuple[str, Any] = ("", None)
        for name, visible in sheets:
            if name == sheet_name or (not sheet_name and visible):
                # Release the previous sheet before the next one is read.
                loaded = ("", None)
                loaded = (name, workbook.get_sheet_by_name(name))
                _send("rows", list(_rows(loaded[1], {}, limit=HEADER_ROWS)))
        choice = sys.stdin.readline()
        if not choice:
            return
        index, header_row, width = map(int, choice.split())
        name = sheets[index][0]
        found = _scan(file, name)
        sheet = loaded[1] if loaded[0] == name else workbook.get_sheet_by_name(name)
        if found is not None and sheet.start is not None:
            found = found.without_columns(sheet.start[1])
    batch: list[object] = []
    size = hidden = 0
    filler = _MergeFiller(found.merges if found else [], header_row, width)
    for row in _rows(sheet, found.texts if found else {}, filler=filler):
        batch.append(row)
        hidden += found is not None and row[0] > header_row and row[0] in found.hidden
        size += sum(map(len, row[1]))
        if size > BATCH_CHARACTERS or len(batch) == 1_000:
            _send("rows", batch)
            batch, size = [], 0
    _send("rows", batch)
    _send("end", filler.filled, found is None, hidden)


class _Found(NamedTuple):
    """
    The cells of a sheet that calamine does not return as a spreadsheet shows them.

    :param texts: texts of cells by row and column, where the first row is 1 and the first column is 0.
    :param merges: cells that are merged with those below them, as first row, column and last row.
    :param hidden: rows that are hidden, perhaps by a filter.
    """

    texts: dict[int, dict[int, str]]
    merges: list[tuple[int, int, int]]
    hidden: set[int]

    def without_columns(self, count: int) -> _Found:
        """Return the cells without the first columns, which calamine omits if they are empty."""
        if not count:
            return self
        texts = {
            row: {column - count: text for column, text in cells.items() if column >= count}
            for row, cells in self.texts.items()
        }
        merges = [(first, column - count, last) for first, column, last in self.merges if column >= count]
        return _Found(texts, merges, self.hidden)


class _MergeFiller:
    """Fill cells that are merged with the one above them, below the headers."""

    def __init__(self, merges: list[tuple[int, int, int]], header_row: int, width: int) -> None:
        self.filled = 0
        self._starts: dict[int, list[tuple[int, int]]] = {}
        for first, column, last in merges:
            if header_row < first < last and column < width:
                self._starts.setdefault(first, []).append((column, last))
        self._held: dict[int, tuple[int, Any]] = {}

    def fill(self, number: int, cells: list[Any]) -> None:
        """Fill the cells of a row that is not empty."""
        for column, (last, cell) in list(self._held.items()):
            if number > last:
                del self._held[column]
                continue
            cells += [""] * (column + 1 - len(cells))
            if not cells[column]:
                cells[column] = cell
                self.filled += 1
        for column, last in self._starts.get(number, ()):
            if column < len(cells) and cells[column]:
                self._held[column] = last, cells[column]


def _rows(
    sheet: Any, texts: dict[int, dict[int, str]], *, filler: _MergeFiller | None = None, limit: int | None = None
) -> Iterator[list[Any]]:
    """Yield number and cells of each row that is not empty, without empty cells at its end."""
    coded: list[int] = []

    def text(value: Any) -> str | list[str | int]:
        kind = type(value)
        if kind is bool:
            return "TRUE" if value else "FALSE"
        if kind is int or kind is float:
            if kind is float and not value.is_integer():
                coded.append(FRACTION)
                return [repr(value), FRACTION]
            if -INEXACT < value < INEXACT:
                return str(int(value))
            coded.append(DIGITS)
            return [str(int(value)), DIGITS]
        coded.append(DATE)
        if kind is datetime.timedelta:
            minutes, seconds = divmod(int(value.total_seconds()), 60)
            return [f"{minutes // 60}:{minutes % 60:02}:{seconds:02}", DATE]
        return [value.isoformat(), DATE]

    # Before 0.7, python-calamine fails on an empty sheet.
    for number, row in enumerate(sheet.iter_rows() if sheet.height else (), 1):
        if limit and number > limit:
            return
        cells: list[Any] = [cell if type(cell) is str else text(cell) for cell in row]
        for place, shown in texts.get(number, {}).items():
            cells += [""] * (place + 1 - len(cells))
            if type(cells[place]) is str:
                # A whole number can be shown in thousands, with a decimal point.
                if is_fraction := bool(cells[place]) and "." in shown:
                    coded.append(FRACTION)
                cells[place] = [shown, FRACTION] if is_fraction else shown
            # A cell with too many digits stays suspect.
            elif cells[place][1] == FRACTION:
                cells[place] = [shown, FRACTION]
        while cells and not cells[-1]:
            cells.pop()
        if not any(not isinstance(cell, str) or cell.strip() for cell in cells):
            continue
        if filler is not None:
            filler.fill(number, cells)
        if sum(map(len, cells)) > ROW_MAX_CHARACTERS:
            raise _ReadError(f"Row {number:,} has more than {ROW_MAX_CHARACTERS:,} characters.")
        yield (
            [number, cells, True]
            if coded or (filler and filler.filled and list in map(type, cells))
            else [number, cells]
        )
        coded.clear()


def _scan(file: IO[bytes], sheet: str) -> _Found | None:
    """
    Return what calamine does not: errors and merged cells, which it reads as empty, and what number formats show.

    :return: the cells; None if the workbook is not XML.
    :raises _UnsavedError: a formula has no value, which calamine reads as empty too.
    """
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return None
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        if "content.xml" in names:
            return _OpenDocumentScan(sheet).run(archive, "content.xml")
        if "xl/workbook.xml" not in names:
            return None
        member, styles, is_uncalculated = _find_members(archive, sheet)
        if member not in names:
            raise _ReadError(f"The content of sheet {sheet!r} is missing.")
        formats = _read_formats(archive, styles) if styles in names else {}
        numbers = re.compile(_NUMBERS.format("|".join(formats)).encode())
        texts: dict[int, dict[int, str]] = {}
        merges: dict[bytes, None] = {}
        hidden: set[int] = set()
        with archive.open(member) as content:
            tail = content.read(4)
            # Other encodings than UTF-8 hide the cells from the pattern.
            found = b"\0" in tail or tail.startswith((b"\xfe\xff", b"\xff\xfe"))
            while not found and (chunk := content.read(1024 * 1024)):
                text = tail + chunk
                found = any(map(text.__contains__, _NEEDS_SCAN_LITERALS)) and bool(_NEEDS_SCAN.search(text))
                for attributes, style, number in numbers.findall(text) if formats else ():
                    if not (reference := _REFERENCE.search(attributes)):
                        found = True
                        break
                    if not _HAS_TYPE.search(attributes):
                        row = texts.setdefault(int(reference[2]), {})
                        row[_column(reference[1].decode()) - 1] = formats[style.decode()].show(number.decode())
                for attributes in _HIDDEN_ROW.findall(text) if b"hidden" in text else ():
                    if not (reference := _ROW_NUMBER.search(attributes)):
                        found = True
                        break
                    hidden.add(int(reference[1]))
                if b"mergeCell" in text:
                    merges |= dict.fromkeys(_MERGED.findall(text))
                tail = chunk[-256:]
        if found:
            return _ExcelScan(sheet, formats, is_uncalculated).run(archive, member)
        return _Found(texts, [_parse_merge(each.decode()) for each in merges], hidden)


def _find_members(archive: zipfile.ZipFile, sheet: str) -> tuple[str, str, bool]:
    """Return the names of an .xlsx file's members with a sheet and the styles, and True if Excel must calculate it."""
    ids: dict[str, str] = {}
    calculation: dict[str, str] = {}
    targets: dict[str, str] = {}

    def on_sheet(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "sheet":
            ids[attributes.get("name", "")] = next((v for k, v in attributes.items() if _local(k) == "id"), "")
        elif _local(name) == "calcPr":
            calculation.update(attributes)

    def on_target(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "Relationship":
            target = posixpath.normpath(posixpath.join("/xl", attributes.get("Target", ""))).lstrip("/")
            targets[attributes.get("Id", "")] = target
            if attributes.get("Type", "").endswith("/styles"):
                targets["styles"] = target

    _parse(archive, "xl/workbook.xml", on_sheet)
    _parse(archive, "xl/_rels/workbook.xml.rels", on_target)
    is_uncalculated = calculation.get("fullCalcOnLoad") in ("1", "true")
    return targets.get(ids.get(sheet, ""), ""), targets.get("styles", ""), is_uncalculated


def _read_formats(archive: zipfile.ZipFile, member: str) -> dict[str, _NumberFormat]:
    """Return the number formats that show something else than the number, by the style of their cells."""
    # The codes of built-in formats are not in the file. Among them are two of percentages.
    codes = {"9": "0%", "10": "0.00%"}
    styles: list[str] = []
    elements: list[str] = []

    def on_start(name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        if element == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif element == "xf" and elements[-1:] == ["cellXfs"]:
            styles.append(attributes.get("numFmtId", ""))
        elements.append(element)

    _parse(archive, member, on_start, lambda _: elements.pop())
    formats = {number: _read_format(code) for number, code in codes.items()}
    return {str(style): found for style, number in enumerate(styles) if (found := formats.get(number)) is not None}


class _NumberFormat(NamedTuple):
    """
    A number format that shows something else than the number.

    :param shape: the text that is shown, with a NUL in the place of each digit.
    :param power: the power of ten by which the number is multiplied.
    :param is_padded: True if each digit is shown, even if it is a leading zero.
    """

    shape: str
    power: int
    is_padded: bool

    def show(self, number: str) -> str:
        """Return the number as it is shown, but not rounded."""
        from decimal import Decimal

        text = f"{Decimal(repr(float(number))).scaleb(self.power):f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
        width = self.shape.count("\0")
        if not self.is_padded or not text.isdigit():
            return f"{sign}{self.shape.partition(chr(0))[0]}{text}{self.shape.rpartition(chr(0))[2]}"
        text = text.zfill(width)
        # The first placeholder shows all digits that exceed the number of placeholders.
        digits = iter([text[: len(text) - width + 1], *text[len(text) - width + 1 :]])
        return sign + "".join(next(digits) if character == "\0" else character for character in self.shape)


#: What a number format appends to thousands, millions and so on. It is not a unit: such a format shows only the number.
_SCALES = {1: "K", 2: "M", 3: "BG", 4: "T"}

#: The parts of a number format: quoted, escaped, blanks, currency, condition, other brackets, and characters.
_FORMAT = re.compile(r'"([^"]*)"|\\(.)|([_*].)|\[\$([^\]-]*)[^\]]*\]|(\[[<>=][^\]]*\])|(\[[^\]]*\])|(.)', re.DOTALL)


def _read_format(code: str) -> _NumberFormat | None:
    """Return a number format; None if it shows only the number, perhaps rounded, or a date."""
    shape = digits = ""
    power = 0
    for quoted, escaped, _, currency, condition, _, character in _FORMAT.findall(
        re.sub("general", "0", code, flags=re.I)
    ):
        if character == ";":
            # The first section is that of positive numbers.
            break
        # calamine recognizes dates.
        if condition or character.isalpha() or character in ("/", "@"):
            return None
        if character and character in "0#?.,":
            digits += character
            shape += "\0" if character in "0#?" else ""
            continue
        power += 2 * (character == "%")
        shape += quoted + escaped + currency + character
    scaled = len(digits) - len(digits.rstrip(","))
    is_padded = bool(digits) and not digits.strip("0")
    shape = shape.strip()
    words = shape.strip("\0 ").upper()
    is_abbreviated = words != "" and words in _SCALES.get(scaled, "")
    if (
        "\0" not in shape
        or is_abbreviated
        or not (power or scaled or (is_padded and len(digits) > 1) or any(character.isalnum() for character in shape))
    ):
        return None
    return _NumberFormat(shape, power - 3 * scaled, is_padded)


def _parse_merge(reference: str) -> tuple[int, int, int]:
    """Return the first row, the column and the last row of a range such as ``A2:B3``, or of one cell."""
    cells = re.findall(r"([A-Z]+)([0-9]+)", reference)
    return int(cells[0][1]), _column(cells[0][0]) - 1, int(cells[-1][1])


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


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
        self.found = _Found({}, [], set())
        self.row = self.column = 0
        self.first_missing = ""
        self.missing = 0

    def run(self, archive: zipfile.ZipFile, member: str) -> _Found:
        _parse(archive, member, self.on_start, self.on_end, self.on_text)
        if self.missing:
            others = self.missing - 1
            more = f" {others:,} other cell{' has' if others == 1 else 's have'} none either." if others else ""
            raise _UnsavedError(
                f"Cell {self.first_missing} of sheet {self.sheet!r} has a formula without a saved value.{more} Open "
                "the file in Excel and save it, which calculates the values."
            )
        return self.found

    def add(self, text: str) -> None:
        """Add the text of the current cell."""
        self.found.texts.setdefault(self.row, {})[self.column - 1] = text

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
    def __init__(self, sheet: str, formats: dict[str, _NumberFormat], is_uncalculated: bool) -> None:
        super().__init__(sheet)
        self.formats = formats
        self.is_uncalculated = is_uncalculated
        self.format: _NumberFormat | None = None
        self.kind = self.value = ""
        self.is_formula = self.in_value = False

    def on_start(self, name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        if element == "row":
            self.row, self.column = int(attributes.get("r", self.row + 1)), 0
            if attributes.get("hidden") in ("1", "true"):
                self.found.hidden.add(self.row)
        elif element == "c":
            self.column += 1
            if reference := re.fullmatch(r"([A-Z]{1,3})[0-9]+", attributes.get("r", "")):
                self.column = _column(reference[1])
            self.format = self.formats.get(attributes.get("s", ""))
            self.kind, self.value, self.is_formula = attributes.get("t", "n"), "", False
        elif element == "f":
            self.is_formula = True
        elif element == "v":
            self.in_value = True
        elif element == "mergeCell":
            self.found.merges.append(_parse_merge(attributes["ref"]))

    def on_end(self, name: str) -> None:
        element = _local(name)
        if element == "v":
            self.in_value = False
        elif element == "c":
            if self.kind == "e" and self.value:
                self.add(self.value)
            # XlsxWriter saves 0 as the value of each formula, and lets Excel calculate all of them.
            elif self.is_formula and self.is_uncalculated and self.value == "0":
                self.on_missing()
            elif self.format is not None and self.kind == "n" and self.value:
                self.add(self.format.show(self.value))
            # The result of a formula can be an empty string.
            elif self.is_formula and not self.value and self.kind != "str":
                self.on_missing()

    def on_text(self, text: str) -> None:
        if self.in_value:
            self.value += text


class _OpenDocumentScan(_Scan):
    in_sheet = in_annotation = False
    row_repeated = repeated = 1
    value = text = ""
    kinds: frozenset[str] = frozenset()

    def on_start(self, name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        if element == "table":
            self.in_sheet = self.sheet in (value for key, value in attributes.items() if _local(key) == "name")
            self.row, self.row_repeated = 0, 1
        elif element == "annotation":
            self.in_annotation = True
        if not self.in_sheet or element not in ("table-row", "table-cell", "covered-table-cell"):
            return
        local = {_local(key): value for key, value in attributes.items()}
        if element == "table-row":
            self.row, self.column = self.row + self.row_repeated, 0
            self.row_repeated = int(local.get("number-rows-repeated", 1))
            if local.get("visibility") in ("collapse", "filter"):
                self.found.hidden.update(range(self.row, self.row + self.row_repeated))
            return
        self.column += 1
        self.repeated = int(local.get("number-columns-repeated", 1))
        self.value, self.text = local.get("value", ""), ""
        # Spreadsheet programs add a type of their own, which alone says that the value is an error.
        self.kinds = frozenset(value for key, value in attributes.items() if _local(key) == "value-type")
        if element == "table-cell":
            if "formula" in local and not self.kinds:
                self.on_missing()
            if (spanned := int(local.get("number-rows-spanned", 1))) > 1:
                self.found.merges.append((self.row, self.column - 1, self.row + spanned - 1))

    def on_end(self, name: str) -> None:
        element = _local(name)
        if element == "annotation":
            self.in_annotation = False
        if not self.in_sheet or element not in ("table-cell", "covered-table-cell"):
            return
        shown = ""
        if "error" in self.kinds:
            shown = self.text
        elif "percentage" in self.kinds and self.value:
            shown = _NumberFormat("\0%", 2, False).show(self.value)
        elif "float" in self.kinds and re.fullmatch("0[0-9]+", self.text):
            shown = self.text
        if shown:
            for row in range(self.row, self.row + self.row_repeated):
                cells = self.found.texts.setdefault(row, {})
                cells.update(dict.fromkeys(range(self.column - 1, self.column - 1 + self.repeated), shown))
        self.column += self.repeated - 1

    def on_text(self, text: str) -> None:
        # A cell that shows more than this is not an error or a number.
        if self.kinds and not self.in_annotation and len(self.text) < 100:
            self.text += text


if __name__ == "__main__":
    main()
