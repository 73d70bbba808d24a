"""Inventory files for tests, and helpers that prepare them."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.prepare import prepare_import_file
from airflow_provider_ads.inventory.report import PreparedImportFile
from airflow_provider_ads.inventory.rvtools import REQUIRED_SHEETS
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["CSV_FILES", "SERVERS", "pack", "prepare", "read_csv", "read_rows", "refuse", "workbook"]

#: A CSV inventory of 300 servers, six of which are invalid.
SERVERS = Path(__file__).resolve().parents[2] / "sample_inventories" / "servers.csv"

#: The files of an RVTools export.
CSV_FILES = {f"export/RVTools_tab{sheet}.csv": b"VM\r\nweb1\r\n" for sheet in REQUIRED_SHEETS}


def pack(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a ZIP archive of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, member in files.items():
            archive.writestr(name, member)
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


def prepare(content: str | bytes, folder: Path, **parameters: Any) -> PreparedImportFile:
    """Prepare a file with this content."""
    source = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return prepare_import_file(source, folder, PrepareOptions(**parameters))


def refuse(content: str | bytes, folder: Path, **parameters: Any) -> str:
    """Return the message of the error that preparing raises; it must leave the folder unchanged."""
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
