from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import openpyxl
import pytest

from airflow_provider_ads.emulator.import_rows import read_import_file
from airflow_provider_ads.emulator.rvtools_export import read_servers


def pack(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(f"export/{name.replace('__', '.')}", member)
    return content.getvalue()


def workbook(rows: Sequence[Sequence[object]], sheet_name: str = "vInfo") -> bytes:
    """An Excel file whose second sheet has these rows."""
    book = openpyxl.Workbook()
    book.worksheets[0].title = "vCPU"
    sheet = book.create_sheet(sheet_name)
    for row in rows:
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


SERVERS: list[list[object]] = [
    ["VM", "Powerstate", "CPUs"],
    ["web, 1", "poweredOn", 2],
    ["東京", None, 4],
    [None, "poweredOff", 1],
]


@pytest.mark.parametrize("name", ["RVTools_export_all__xlsx", "A__XLSX"])
@pytest.mark.parametrize("sheet_name", ["vInfo", "vinfo"])
def test_reads_the_sheet_of_an_excel_file(name: str, sheet_name: str) -> None:
    servers = read_servers(pack(**{name: workbook(SERVERS, sheet_name)}))
    assert servers is not None
    assert servers.decode().splitlines() == [
        "VM,Powerstate,CPUs",
        '"web, 1",poweredOn,2',
        "東京,,4",
        ",poweredOff,1",
    ]


def test_its_rows_are_checked_as_those_of_csv_files_are() -> None:
    import_file = read_import_file(pack(export__xlsx=workbook(SERVERS)))
    assert import_file is not None
    assert import_file.classification == "RVTOOLS_EXPORT"
    assert [[error.column for error in row.errors] for row in import_file.rows] == [[], [], ["VM"]]


def test_what_a_mac_puts_beside_a_file_is_no_export() -> None:
    assert read_servers(pack(**{"._a__xlsx": b"about it", "a__xlsx": workbook(SERVERS)})) is not None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no ZIP file",
        pack(),
        pack(a__xlsx=workbook(SERVERS, "vInfos")),
        pack(a__xlsx=b"no Excel file"),
        pack(a__xlsx=pack(b__txt=b"a ZIP file, and no Excel file")),
        pack(a__xlsx=workbook(SERVERS)).replace(b"workbook", b"handbook"),
    ],
    ids=["empty", "no ZIP", "no files", "no vInfo", "no Excel file", "another ZIP", "damaged"],
)
def test_nothing_else_is_an_export(content: bytes) -> None:
    assert read_servers(content) is None
