from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import openpyxl
import pytest

from airflow_provider_ads.emulator.import_files import ImportFile, Row, make_error_archive, read_import_file
from airflow_provider_ads.inventory.template import NUMERIC_COLUMNS
from tests.support import inventories


def read(content: str | bytes) -> ImportFile:
    import_file = read_import_file(content.encode() if isinstance(content, str) else content)
    assert import_file is not None
    return import_file


def read_rows(content: str) -> tuple[Row, ...]:
    return read(content).rows


def pack(members: dict[str, str | bytes]) -> bytes:
    """Return a ZIP file with these files in a folder."""
    contents = {name: member.encode() if isinstance(member, str) else member for name, member in members.items()}
    # Stored, so that tests can damage the contents.
    return inventories.pack({f"export/{name}": content for name, content in contents.items()}, zipfile.ZIP_STORED)


def workbook(rows: Sequence[Sequence[object]], sheet_name: str = "vInfo") -> bytes:
    """Create an Excel file whose second sheet has these rows."""
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


class TestType:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"externalid\na\n",
            b"ExternalId;HostName\na;b\n",
            "ExternalId\n\N{SNOWMAN}\n".encode("utf-16"),
            b"ExternalId\n\xff\n",
            b"ExternalId\na\0\n",
            pack({}),
            pack({"RVTools_tabvInfo.csv": "Name\nweb1\n"}),
            pack({"notvinfo.csv": "VM\nweb1\n"}),
            pack({"vInfo2.csv": "VM\nweb1\n"}),
            pack({"vInfo.csv": "VM\n" + "web\n" * 9}).replace(b"web\nweb", b"bad\nbad"),
            pack({"a.xlsx": workbook(SERVERS, "vInfos")}),
            pack({"a.xlsx": b"not an Excel file"}),
            pack({"a.xlsx": pack({"b.txt": "a ZIP file, but not an Excel file"})}),
            pack({"a.xlsx": workbook(SERVERS)}).replace(b"workbook", b"handbook"),
        ],
    )
    def test_other_files_are_not_supported(self, content: bytes) -> None:
        assert read_import_file(content) is None

    @pytest.mark.parametrize(
        "content",
        [
            b"ExternalId\na\n",
            b'\xef\xbb\xbf"ExternalId"\r\n"a"\r\n',
            b"\n\nExternalId\na",
            b"owner, ExternalId \nme, a ",
        ],
    )
    def test_a_csv_file_with_a_template_column_is_an_import_template(self, content: bytes) -> None:
        import_file = read(content)
        assert import_file.classification == "IMPORT_TEMPLATE"
        (row,) = import_file.rows
        assert (row.external_id, row.errors) == ("a", ())

    @pytest.mark.parametrize(
        "name", ["vInfo.csv", "VINFO.CSV", "tabvinfo.csv", "RVTools_tabvInfo.csv", "2026-01-02 vInfo.csv"]
    )
    def test_a_zip_file_with_a_vinfo_sheet_is_an_rvtools_export(self, name: str) -> None:
        sheets: dict[str, str | bytes] = {"tabvHost.csv": "Host\nesx1\n", name: "VM,VM UUID\nweb1,u1\nweb2,u2\n,u3\n"}
        import_file = read(pack(sheets))
        assert import_file.classification == "RVTOOLS_EXPORT"
        assert [[error.column for error in row.errors] for row in import_file.rows] == [[], [], ["VM"]]
        assert [row.identity for row in import_file.rows] == [("web1", "u1"), ("web2", "u2"), ("", "u3")]

    @pytest.mark.parametrize("name", ["RVTools_export_all.xlsx", "A.XLSX"])
    @pytest.mark.parametrize("sheet_name", ["vInfo", "vinfo"])
    def test_a_zip_file_with_a_workbook_is_an_rvtools_export(self, name: str, sheet_name: str) -> None:
        # macOS adds a file with the prefix ._ for each file that it packs.
        import_file = read(pack({f"._{name}": "metadata", name: workbook(SERVERS, sheet_name)}))
        assert import_file.classification == "RVTOOLS_EXPORT"
        assert import_file.header == "VM,Powerstate,CPUs\r\n"
        assert [row.text for row in import_file.rows] == [
            '"web, 1",poweredOn,2\r\n',
            "東京,,4\r\n",
            ",poweredOff,1\r\n",
        ]
        assert [[error.column for error in row.errors] for row in import_file.rows] == [[], [], ["VM"]]


class TestIdentity:
    @pytest.mark.parametrize(
        ("header", "row"),
        [
            ("ExternalId", "a"),
            ("IPAddress", "10.0.0.1"),
            ("HostName", "web1"),
            ("VMware.MoRefId,VMware.VCenterId", "vm-1,vc-1"),
        ],
    )
    def test_a_row_with_an_identity_is_valid(self, header: str, row: str) -> None:
        assert read_rows(f"{header}\n{row}\n")[0].errors == ()

    @pytest.mark.parametrize(
        ("header", "row"),
        [
            ("SMBiosId,ServerId", "s,d-server-1"),
            ("ExternalId,HostName,OS.Name", " ,,Linux"),
            ("VMware.MoRefId,VMware.VCenterId", "vm-1,"),
            ("VMware.MoRefId,VMware.VCenterId", ",vc-1"),
        ],
    )
    def test_a_row_without_an_identity_fails(self, header: str, row: str) -> None:
        (error,) = read_rows(f"{header}\n{row}\n")[0].errors
        assert error.column == "ExternalId"
        assert "VMware.MoRefId with VMware.VCenterId" in error.message


class TestNumbers:
    @pytest.mark.parametrize("cell", ["", "0", "4", "12.5", ".5", "4.", "+4", " 4 ", "4e3", "101"])
    def test_numbers_are_accepted(self, cell: str) -> None:
        row = ",".join([cell] * len(NUMERIC_COLUMNS))
        assert read_rows(f"ExternalId,{','.join(NUMERIC_COLUMNS)}\na,{row}\n")[0].errors == ()

    @pytest.mark.parametrize(
        "cell", ["four", "4 GB", '"1,024"', "1_024", "nan", "inf", "0x4", "-", "-1", "4e", "٤", "9223372036854775808"]
    )
    def test_other_cells_fail(self, cell: str) -> None:
        row = ",".join([cell] * len(NUMERIC_COLUMNS))
        errors = read_rows(f"ExternalId,{','.join(NUMERIC_COLUMNS)}\na,{row}\n")[0].errors
        assert tuple(error.column for error in errors) == NUMERIC_COLUMNS
        assert all(cell.strip('"') in error.message for error in errors)


class TestRows:
    @pytest.mark.parametrize(
        "content", ["ExternalId,Colour,CPUCount\na,red,many\n", "ExternalId,HostName,OS.Name\na\n"]
    )
    def test_unknown_columns_are_ignored_and_missing_cells_are_empty(self, content: str) -> None:
        assert read_rows(content)[0].errors == ()

    def test_a_row_longer_than_the_header_fails(self) -> None:
        header = "ExternalId,IPAddress,CPU.NumberOfCores"
        quoted, unquoted = read_rows(f'{header}\na,"10.0.0.1,10.0.0.2",4\nb,10.0.0.1,10.0.0.2,4\n')
        assert quoted.errors == ()
        assert [error.column for error in unquoted.errors] == ["", "CPU.NumberOfCores"]
        assert unquoted.errors[0].message == "The row has 4 cells, but the header has 3."

    def test_rows_keep_their_line_and_text(self) -> None:
        rows = read_rows('ExternalId,OS.Name\r\n\r\na,"two\r\nlines, ""quoted"""\r\n"b",x\r\nc,\u2028')
        assert [(row.line, row.text) for row in rows] == [
            (3, 'a,"two\r\nlines, ""quoted"""\r\n'),
            (5, '"b",x\r\n'),
            (6, "c,\u2028"),
        ]

    def test_only_the_row_that_is_not_csv_fails(self) -> None:
        huge = '"' + "x" * 200_000 + '"\n'
        first, second, third = read_rows(f"ExternalId\na\n{huge}c\n")
        assert (first.errors, third.errors) == ((), ())
        assert second.text == huge
        assert second.errors[0].message == "The row cannot be read as CSV."


def test_the_error_archive_contains_each_failed_field_and_row() -> None:
    content = (
        b"\xef\xbb\xbfExternalId,HostName,CPU.NumberOfCores,OS.Name\r\n"
        b'a,web1,"four","two\r\nlines"\r\n'
        b"b,web2,4,Linux\r\n"
        b',,-1,"\xe2\x98\x83 ""x"""\n'
        b"c,web3,4,Linux,more"
    )
    with zipfile.ZipFile(io.BytesIO(make_error_archive(read(content)))) as archive:
        assert archive.namelist() == ["errors-file.csv", "failed-entries-file.csv"]
        assert archive.read("failed-entries-file.csv") == content.replace(b"b,web2,4,Linux\r\n", b"")
        lines = archive.read("errors-file.csv").decode().splitlines()
    assert [line.split(",")[:3] for line in lines] == [
        ["line", "column name", "ExternalId"],
        ["2", "CPU.NumberOfCores", "a"],
        ["5", "ExternalId", ""],
        ["5", "CPU.NumberOfCores", ""],
        ["6", "", "c"],
    ]
