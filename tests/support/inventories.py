"""Inventory files for tests, and helpers that prepare them."""

from __future__ import annotations

import csv
import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from xlwt.CompoundDoc import XlsDoc  # type: ignore[import-untyped]

from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.prepare import prepare_import_file
from airflow_provider_ads.inventory.report import PreparedImportFile
from airflow_provider_ads.inventory.rvtools import REQUIRED_SHEETS
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = [
    "CSV_FILES",
    "SERVERS",
    "encrypted_workbook",
    "macro_workbook",
    "pack",
    "prepare",
    "read_csv",
    "read_rows",
    "refuse",
    "sheets",
    "workbook",
    "xlsb_workbook",
]

#: A CSV inventory of 300 servers, six of which are invalid.
SERVERS = Path(__file__).resolve().parents[2] / "sample_inventories" / "servers.csv"

#: The files of an RVTools export.
CSV_FILES = {f"export/RVTools_tab{sheet}.csv": b"VM\r\nweb1\r\n" for sheet in REQUIRED_SHEETS}


def pack(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a ZIP archive of these files, with the same bytes at any time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in files.items():
            archive.writestr(zipfile.ZipInfo(name), member, compression)
    return content.getvalue()


def workbook(sheets: Sequence[str] = REQUIRED_SHEETS) -> bytes:
    """Return the parts of an .xlsx file that name its sheets."""
    names = "".join(f'<sheet name="{sheet}" sheetId="{n}" r:id="rId{n}"/>' for n, sheet in enumerate(sheets, 1))
    content = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        f"<sheets>{names}</sheets></workbook>"
    )
    return pack({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": content.encode(), "xl/a.xml": b"<a/>"})


def sheets(
    *, merged: Sequence[str] = (), hidden_rows: Sequence[Any] = (), **contents: Sequence[Sequence[object]]
) -> bytes:
    """
    Return an .xlsx file with these sheets.

    A sheet whose name starts with "hidden" is hidden. A cell can be a tuple of a value and its number format.

    :param merged: ranges of cells to merge in each sheet.
    :param hidden_rows: numbers of rows to hide in each sheet.
    """
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for name, rows in contents.items():
        sheet = workbook.create_sheet(name)
        for number, row in enumerate(rows, 1):
            for place, cell in enumerate(row, 1):
                value, number_format = cell if isinstance(cell, tuple) else (cell, None)
                written = sheet.cell(number, place, value)
                written.number_format = number_format or written.number_format
        for cells in merged:
            sheet.merge_cells(cells)
        for number in hidden_rows:
            sheet.row_dimensions[number].hidden = True
        sheet.sheet_state = "hidden" if name.startswith("hidden") else "visible"
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def macro_workbook(contents: Sequence[Sequence[object]]) -> bytes:
    """Return an .xlsm file with a sheet of these rows, which differs from an .xlsx file in a content type."""
    with zipfile.ZipFile(io.BytesIO(sheets(Servers=contents))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    types = files["[Content_Types].xml"]
    old = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    assert old in types
    files["[Content_Types].xml"] = types.replace(old, b"application/vnd.ms-excel.sheet.macroEnabled.main+xml")
    return pack(files)


def xlsb_workbook(contents: Sequence[Sequence[str | float | None]]) -> bytes:
    """
    Return an .xlsb file with a sheet of these rows, in which None is an error.

    https://learn.microsoft.com/en-us/openspecs/office_file_formats/ms-xlsb/
    """

    def record(kind: int, content: bytes = b"") -> bytes:
        # Numbers from 128 on have two bytes with seven bits each.
        numbers = [bytes([n]) if n < 128 else bytes([n % 128 + 128, n // 128]) for n in (kind, len(content))]
        # The number of a record contains the high bit of its first byte.
        numbers[0] = bytes([kind]) if kind < 128 else bytes([kind, 1])
        return b"".join(numbers) + content

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value)) + value.encode("utf-16-le")

    def cell(place: int, value: str | float | None) -> bytes:
        start = struct.pack("<II", place, 0)
        if value is None:
            return record(3, start + b"\x17")
        return record(6, start + text(value)) if isinstance(value, str) else record(5, start + struct.pack("<d", value))

    relationships = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
        'Target="worksheets/sheet1.bin"/></Relationships>'
    )
    rows = [
        record(0, struct.pack("<I", number) + bytes(21)) + b"".join(cell(*each) for each in enumerate(row))
        for number, row in enumerate(contents)
    ]
    size = struct.pack("<IIII", 0, len(contents) - 1, 0, max(map(len, contents)) - 1)
    return pack(
        {
            "[Content_Types].xml": b"<Types/>",
            "xl/_rels/workbook.bin.rels": relationships.encode(),
            "xl/workbook.bin": record(156, struct.pack("<II", 0, 1) + text("rId1") + text("Servers"))
            + record(144)
            + record(132),
            "xl/worksheets/sheet1.bin": record(129)
            + record(148, size)
            + record(145)
            + b"".join(rows)
            + record(146)
            + record(130),
        }
    )


def encrypted_workbook() -> bytes:
    """
    Return the container of a workbook with a password: an OLE file with a stream ``EncryptedPackage``.

    https://learn.microsoft.com/en-us/openspecs/office_file_formats/ms-offcrypto/
    """
    container = io.BytesIO()
    XlsDoc().save(container, bytes(8_000))
    # Rename the only stream. Its directory entry has 64 bytes for the name, and then the size of the name.
    old, new = ((name + "\0").encode("utf-16-le") for name in ("Workbook", "EncryptedPackage"))
    entry = old.ljust(64, b"\0") + struct.pack("<H", len(old))
    assert entry in container.getvalue()
    return container.getvalue().replace(entry, new.ljust(64, b"\0") + struct.pack("<H", len(new)))


def prepare(content: str | bytes, folder: Path, **parameters: Any) -> PreparedImportFile:
    """Prepare a file with this content."""
    source = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return prepare_import_file(source, folder, PrepareOptions(**parameters))


def refuse(content: str | bytes, folder: Path, **parameters: Any) -> str:
    """Prepare a file that must be refused, and return the message; the folder must stay unchanged."""
    before = set(folder.iterdir())
    with pytest.raises(ImportFileError) as caught:
        prepare(content, folder, **parameters)
    assert set(folder.iterdir()) == before
    return str(caught.value)


def read_csv(path: Path) -> list[list[str]]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


def read_rows(prepared: PreparedImportFile, folder: Path) -> list[list[str]]:
    """Return the rows of all parts without their headers, which must be equal."""
    parts = [read_csv(folder / part.name) for part in prepared.parts]
    assert len({tuple(part[0]) for part in parts}) == 1
    assert [len(part) - 1 for part in parts] == [part.rows for part in prepared.parts]
    return [row for part in parts for row in part[1:]]
