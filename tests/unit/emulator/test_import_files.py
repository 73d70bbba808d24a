from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Mapping, Sequence

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


def pack(members: Mapping[str, str | bytes]) -> bytes:
    """Return a ZIP file with these files in a folder."""
    contents = {name: member.encode() if isinstance(member, str) else member for name, member in members.items()}
    # Stored, so that tests can damage the contents.
    return inventories.pack({f"export/{name}": content for name, content in contents.items()}, zipfile.ZIP_STORED)


#: The required sheets besides vInfo.
OTHERS = ["vNetwork", "vCpu", "vMemory", "vDisk", "vPartition", "vSource", "vTools", "vHost", "vNic", "vSC_VMK"]


def export(vinfo: str, name: str = "RVTools_tabvInfo.csv") -> dict[str, bytes]:
    """Return the CSV files of an RVTools export."""
    return {f"RVTools_tab{sheet}.csv": b"Host\nesx1\n" for sheet in OTHERS} | {name: vinfo.encode()}


def workbook(rows: Sequence[Sequence[object]], sheet_name: str = "vInfo", others: Sequence[str] = OTHERS) -> bytes:
    """Create an Excel file with these rows on its last sheet."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for other in others:
        book.create_sheet(other)
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
            pack(export("Name\nweb1\n")),
            pack(export("VM\nweb1\n", "notvinfo.csv")),
            pack(export("VM\nweb1\n", "vInfo2.csv")),
            pack(export("VM\n" + "web\n" * 9)).replace(b"web\nweb", b"bad\nbad"),
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
        import_file = read(pack(export("VM,VM UUID\nweb1,u1\nweb2,u2\n,u3\n", name)))
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

    @pytest.mark.parametrize("sheet", [*OTHERS, "vInfo"])
    def test_every_required_sheet_must_exist(self, sheet: str) -> None:
        files = export("VM\nweb1\n")
        del files[f"RVTools_tab{sheet}.csv"]
        assert read_import_file(pack(files)) is None
        first, *others = [each for each in ("vInfo", *OTHERS) if each != sheet]
        assert read_import_file(pack({"a.xlsx": workbook(SERVERS, first, others)})) is None


def workbook_of(parts: dict[str, bytes]) -> bytes:
    """Return an RVTools export with one server, of whose Excel file some parts are replaced or added."""
    with zipfile.ZipFile(io.BytesIO(workbook(SERVERS[:2]))) as book:
        content = {name: book.read(name) for name in book.namelist()} | parts
    return inventories.pack({"a.xlsx": inventories.pack(content)})


def vinfo_part(rows: bytes, before: bytes = b"") -> dict[str, bytes]:
    """Return the part with the sheet vInfo of a workbook."""
    namespace = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    xml = b'<worksheet xmlns="%b">%b<sheetData>%b</sheetData></worksheet>' % (namespace, before, rows)
    return {"xl/worksheets/sheet11.xml": xml}


def lie(content: bytes, name: str, size: int) -> bytes:
    """Change the unpacked size of a file in the directory of a ZIP file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo(name)
    directory = content.index(b"PK\1\2")
    at = content.index(name.encode(), directory) - 46 + 24
    assert content[at : at + 4] == struct.pack("<L", info.file_size)
    return content[:at] + struct.pack("<L", size) + content[at + 4 :]


ROW = b'<row r="%d"><c r="%b%d" t="inlineStr"><is><t>VM</t></is></c></row>'
WIDE = b"".join(ROW % (number, b"XFD", number) for number in range(1, 20_000))
MANY_CSV = "VM\n" + "a\n" * 250_000


class TestHostileExports:
    """Each file is small, but reading it without limits would take many seconds or much memory."""

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(inventories.pack(export(MANY_CSV)), id="lines"),
            pytest.param(inventories.pack(export("VM\n" + " " * 40_000_000)), id="csv"),
            pytest.param(inventories.pack({"a.xlsx": bytes(300_000_000)}), id="workbook"),
            pytest.param(inventories.pack({f"{n}.txt": b"" for n in range(20_000)}, zipfile.ZIP_STORED), id="members"),
            pytest.param(workbook_of(vinfo_part(b"<row>" + b"<c/>" * 5_000_000 + b"</row>")), id="one row"),
            pytest.param(workbook_of(vinfo_part(b"<row></row>" * 6_000_000)), id="empty rows"),
            pytest.param(workbook_of(vinfo_part(ROW % (1, b"A", 1) + ROW % (10**9, b"A", 10**9))), id="missing rows"),
            pytest.param(workbook_of(vinfo_part(WIDE)), id="wide rows"),
            pytest.param(workbook_of({"xl/sharedStrings.xml": b"<sst><si><t>" + b"a" * 50_000_000}), id="string"),
            pytest.param(workbook_of({"xl/styles.xml": b"<a/>" * 5_000_000}), id="styles"),
            pytest.param(workbook_of({f"xl/worksheets/{n}.xml": b"row>" * 9_999_999 for n in range(6)}), id="sheets"),
        ],
    )
    def test_they_are_refused_in_bounded_memory(self, content: bytes) -> None:
        assert len(content) < 3_000_000
        tracemalloc.start()
        try:
            assert read_import_file(content) is None
            assert tracemalloc.get_traced_memory()[1] < 150_000_000
        finally:
            tracemalloc.stop()

    def test_a_sheet_is_not_filled_up_to_the_size_that_it_claims_to_have(self) -> None:
        rows = ROW % (1, b"A", 1) + ROW % (2, b"A", 2)
        import_file = read(workbook_of(vinfo_part(rows, b'<dimension ref="A1:XFD1048576"/>')))
        assert [row.text for row in import_file.rows] == ["VM\r\n"]

    def test_a_size_in_the_directory_is_not_trusted(self) -> None:
        with zipfile.ZipFile(io.BytesIO(workbook_of({"xl/styles.xml": b"<a/>" * 30_000_000}))) as archive:
            book = archive.read("a.xlsx")
        content = inventories.pack({"a.xlsx": lie(book, "xl/styles.xml", 100)})
        tracemalloc.start()
        try:
            assert read_import_file(content) is None
            assert tracemalloc.get_traced_memory()[1] < 50_000_000
        finally:
            tracemalloc.stop()


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
